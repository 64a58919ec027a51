"""Computes which tokens can influence which outputs, from the masks alone.

The plan's decision at each layer is a graph from keys to queries; composing the layers gives the positions
that can influence an output. This uses booleans only: masks, no weights. Every keep mask is limited to the
pairs the task allows, whatever the arm declares as legal, so an arm that leaks future tokens shows influence
outside its reach.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from maskbench.data.batches import Batch
from maskbench.masks.base import InputFeature, TensorGate
from maskbench.masks.clock import Clock
from maskbench.masks.context import AttentionContext, AttentionDecision, SourceBatch
from maskbench.masks.placement import PlacedStrategy
from maskbench.masks.plan import MaskPlan
from maskbench.masks.random_draws import Draws
from maskbench.model.attention import legal_pairs


class DecisionRecorder:
    """Records the attention decision that a plan makes for every layer."""

    reads_decisions = True
    measures_pairs = False

    def __init__(self) -> None:
        self.decisions: dict[tuple[str, int], AttentionDecision] = {}

    def observe_decision(self, site: str, layer: int, decision: AttentionDecision) -> None:
        """Store the combined decision of a layer."""
        self.decisions[site, layer] = decision

    def observe_picks(
        self, placed: PlacedStrategy, draws: Draws | None, picked: Tensor, eligible: Tensor, examples: Tensor
    ) -> None:
        """Do nothing with the picks of token masks."""

    def observe_pattern(self, placed: PlacedStrategy, ctx: AttentionContext, keep: Tensor | None) -> None:
        """Do nothing with the patterns of single strategies."""

    def observe_pairs(self, placed: PlacedStrategy, ctx: AttentionContext, keep: Tensor) -> None:
        """Do nothing with the patterns of single strategies."""

    def observe_use(self, placed: PlacedStrategy, clock: Clock, examples: Tensor) -> None:
        """Do nothing with gates, features and logit masks."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Boolean reach per block: True where the input (last axis) can influence the output (second axis)."""

    target: Bool[Tensor, "batch tgt tgt"]
    """Influence of decoder inputs on predictions."""
    source: Bool[Tensor, "batch tgt src"]
    """Influence of source tokens on predictions, through the encoder's output."""
    memory: Bool[Tensor, "batch src src"]
    """Influence of source tokens on the encoder's output."""


def compose_reach(first: Tensor, second: Tensor) -> Tensor:
    """Return `[batch a c]`: which c reach a, for `first [batch a b]` and `second [batch b c]`."""
    return (first.float() @ second.float()) > 0


def compute_reach(
    plan: MaskPlan, decisions: Mapping[tuple[str, int], AttentionDecision], batch: Batch, source: SourceBatch
) -> Reach:
    """Return the reach from decoder inputs and source tokens to predictions and the encoder's output.

    Args:
        decisions: the plan's decisions by site and layer; without one, all legal pairs are kept.
        source: the source as read by the encoder.
    """
    n_src, n_tgt, device = source.ids.shape[1], batch.tgt_in.shape[1], source.ids.device
    s, t = torch.arange(n_src, device=device), torch.arange(n_tgt, device=device)
    legal = {
        "encoder_self": legal_pairs("encoder_self", s, s, source.lengths),
        "decoder_self": legal_pairs("decoder_self", t, t, None),
        "cross": legal_pairs("cross", t, s, source.lengths),
    }
    queries = {"encoder_self": n_src, "decoder_self": n_tgt, "cross": n_tgt}

    def legal_at(site: str) -> Tensor:
        return legal[site].expand(len(batch.ids), 1, queries[site], -1)[:, 0]

    def kept(site: str, layer: int) -> Tensor:
        decision = decisions.get((site, layer))
        here = legal_at(site)
        return here if decision is None else decision.keep.any(1) & here

    real, before = legal_at("encoder_self"), legal_at("decoder_self")
    memory = _encoder(plan, kept, torch.eye(n_src, device=device).bool(), real)
    target, attended = _decoder(plan, kept, torch.eye(n_tgt, device=device).bool(), before)
    return Reach(target, compose_reach(attended, memory), memory)


Kept = Callable[[str, int], Tensor]


def _mixes(plan: MaskPlan, site: str) -> bool:
    """Whether a gate or feature, which may read several positions at once, is placed at `site`."""
    return any(p.site == site and isinstance(p.strategy, TensorGate | InputFeature) for p in plan.placed)


def _encoder(plan: MaskPlan, kept: Kept, itself: Tensor, real: Tensor) -> Tensor:
    """Return the reach of source tokens into the encoder's output, `[batch src src]`."""
    flow = itself | real if _mixes(plan, "encoder_input") else itself.expand(real.shape)
    for layer in range(plan.sizes.encoder_layers):
        flow = flow | compose_reach(kept("encoder_self", layer), flow)
    return flow | compose_reach(real, flow) if _mixes(plan, "memory") else flow


def _decoder(plan: MaskPlan, kept: Kept, itself: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    """Return the reach into predictions of decoder inputs, and of positions of the encoder's output."""
    flow = before if _mixes(plan, "decoder_input") else itself.expand(before.shape)
    attended = torch.zeros_like(kept("cross", 0))
    for layer in range(plan.sizes.decoder_layers):
        own, cross = kept("decoder_self", layer), kept("cross", layer)
        flow = flow | compose_reach(own, flow)
        attended = attended | compose_reach(own, attended) | cross
    if _mixes(plan, "logits"):
        flow, attended = flow | compose_reach(before, flow), attended | compose_reach(before, attended)
    return flow, attended
