"""A plan that can be looked at closely: it decides what the arm's plan decides, and can note or narrow it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool
from torch import Tensor

from maskbench.config.schema.experiment import ATTENTION_SITES, PlacementConfig
from maskbench.masks.context import AttentionDecision, AttentionRequest, Sizes
from maskbench.masks.plan import MaskPlan


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """What one layer asked and was told."""

    site: str
    layer: int
    request: AttentionRequest
    decision: AttentionDecision


class RecordingMaskPlan(MaskPlan):
    """The plan of an audited arm, which can record the decision of every attention layer."""

    def __init__(
        self, placements: Sequence[PlacementConfig], *, seed: int, streams: str, sizes: Sizes
    ) -> None:
        super().__init__(placements, seed=seed, streams=streams, sizes=sizes)
        self._notes: list[RecordedDecision] | None = None
        self._emptied = False

    @contextmanager
    def recording(self) -> Iterator[list[RecordedDecision]]:
        """Inside, every decision is noted in the list."""
        notes: list[RecordedDecision] = []
        self._notes = notes
        try:
            yield notes
        finally:
            self._notes = None

    @contextmanager
    def emptied(self) -> Iterator[None]:
        """Inside, every query is left at most the key at its own position, and every third one nothing."""
        self._emptied = True
        try:
            yield
        finally:
            self._emptied = False

    def is_empty(self, site: str) -> bool:
        """Whether nothing is placed at `site`; while rows are emptied, something is wherever there is attention."""
        return super().is_empty(site) and not (self._emptied and site in ATTENTION_SITES)

    def decide_attention(self, site: str, layer: int, request: AttentionRequest) -> AttentionDecision:
        """Return the arm's decision."""
        decision = super().decide_attention(site, layer, request)
        if self._emptied:
            decision = replace(decision, keep=decision.keep & own_position(request.q_idx, request.kv_idx))
        if self._notes is not None:
            self._notes.append(RecordedDecision(site, layer, request, decision))
        return decision


def own_position(q_idx: Tensor, kv_idx: Tensor) -> Bool[Tensor, "1 1 q kv"]:
    """Return True at j = i, except where i leaves a remainder of 1 by 3."""
    keep: Tensor = (kv_idx == q_idx[:, None]) & (torch.remainder(q_idx, 3) != 1)[:, None]
    return keep[None, None]
