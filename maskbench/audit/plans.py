"""A mask plan for audits: the arm's decisions, which it can record, or restrict to test empty rows."""

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
    """Attention request of one layer and the plan's decision for it."""

    site: str
    layer: int
    request: AttentionRequest
    decision: AttentionDecision


class RecordingMaskPlan(MaskPlan):
    """The mask plan of an audited arm; it can record the decision of every attention layer."""

    def __init__(
        self, placements: Sequence[PlacementConfig], *, seed: int, streams: str, sizes: Sizes
    ) -> None:
        super().__init__(placements, seed=seed, streams=streams, sizes=sizes)
        self._notes: list[RecordedDecision] | None = None
        self._emptied = False

    @contextmanager
    def recording(self) -> Iterator[list[RecordedDecision]]:
        """Within the context, append every attention decision to the yielded list."""
        notes: list[RecordedDecision] = []
        self._notes = notes
        try:
            yield notes
        finally:
            self._notes = None

    @contextmanager
    def emptied(self) -> Iterator[None]:
        """Within the context, keep at most the key at the query's position; none for every third query."""
        self._emptied = True
        try:
            yield
        finally:
            self._emptied = False

    @property
    def reads_decisions(self) -> bool:
        """Whether decisions are recorded or restricted, or an observer reads them."""
        return self._emptied or self._notes is not None or super().reads_decisions

    def is_empty(self, site: str) -> bool:
        """Whether nothing is placed at `site`; False at attention sites within `emptied`."""
        return super().is_empty(site) and not (self._emptied and site in ATTENTION_SITES)

    def decide_attention(self, site: str, layer: int, request: AttentionRequest) -> AttentionDecision:
        """Return the arm's decision, restricted within `emptied`; record it within `recording`."""
        decision = super().decide_attention(site, layer, request)
        if self._emptied:
            decision = replace(decision, keep=decision.keep & own_position(request.q_idx, request.kv_idx))
        if self._notes is not None:
            self._notes.append(RecordedDecision(site, layer, request, decision))
        return decision


def own_position(q_idx: Tensor, kv_idx: Tensor) -> Bool[Tensor, "1 1 q kv"]:
    """Return True where kv index = query index, except for query indices with i mod 3 = 1."""
    keep: Tensor = (kv_idx == q_idx[:, None]) & (torch.remainder(q_idx, 3) != 1)[:, None]
    return keep[None, None]
