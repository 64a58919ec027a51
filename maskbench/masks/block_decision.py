"""The blocks of an arm's combined mask at one attention layer, and what keeps a layer from being computed in blocks.

The part of a mask that depends on positions alone is computed once per length (the next power of two) and cropped;
padding, masks that read the batch, and masks drawn for each example are asked again in every call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskbench.masks.base import AttentionMask, HeadGate, ScoreBias, ScoreGate, Strategy
from maskbench.masks.blocks import (
    Block,
    Pattern,
    crop_blocks,
    derive_blocks,
    group_queries,
    indices_of,
    restrict_blocks,
    share_of_pairs,
)
from maskbench.masks.clock import Clock
from maskbench.masks.context import AttentionContext, AttentionRequest
from maskbench.masks.placement import PlacedStrategy
from maskbench.masks.plan import MaskPlan


@dataclass(frozen=True, slots=True)
class BlockDecision:
    """Everything that changes one attention layer that is computed in blocks."""

    blocks: list[Block]
    share: float
    """Share of all pairs that the blocks contain, in [0, 1]."""
    head_gate: Float[Tensor, "#batch #heads"] | None = None
    """Attention multiplies each head's output by these."""
    has_bias: bool = False


def reason_for_dense(plan: MaskPlan, site: str, layer: int, clock: Clock) -> str | None:
    """Return why a layer's weights must be computed as one matrix; None where blocks give the same result."""
    if plan.application(site) != "hard":
        return f"apply: {plan.application(site)} gives weight to hidden pairs"
    for placed, strategy in plan.acting(site, Strategy, clock, layer):
        reason = _reason(strategy)
        if reason is not None:
            return f"{placed.name} {reason}"
    return None


def _reason(strategy: Strategy) -> str | None:
    if isinstance(strategy, HeadGate):
        return None
    if isinstance(strategy, AttentionMask):
        # The rows of such a mask cannot be computed apart from each other.
        return None if strategy.cacheable and not strategy.mixes_queries else "needs all queries at once"
    if isinstance(strategy, ScoreBias | ScoreGate):
        return None if strategy.by_pair else "learns its scores or reads them from the content"
    return "changes the weights after the softmax, or replaces it"


def decide_blocks(
    plan: MaskPlan, site: str, layer: int, request: AttentionRequest, legal: Pattern, *, rows: int
) -> BlockDecision:
    """Return the blocks of one attention layer for which `reason_for_dense` is None.

    Args:
        request: queries and keys at the positions 0, 1, 2, ... each; its `legal` is not read.
        legal: returns which pairs causality and padding allow.
        rows: largest number of queries in a block.
    """
    device, q_len, kv_len = request.q_idx.device, len(request.q_idx), len(request.kv_idx)
    acting = list(plan.acting(site, Strategy, request.clock, layer))
    masks = [placed for placed, strategy in acting if isinstance(strategy, AttentionMask)]
    by_position = [placed for placed in masks if placed.pattern_cache is not None]
    others = [placed for placed in masks if placed.pattern_cache is None]
    causal = legal if site == "decoder_self" else None
    blocks = crop_blocks(
        _position_blocks(plan, site, layer, request, by_position, causal, rows), q_len, kv_len
    )

    def of_batch(q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        keep = _everything(device) if causal else legal(q_idx, kv_idx)
        part = _part(request, q_idx, legal)
        for placed in others:
            # Asked for all keys: some masks look along the whole row, such as one that never hides all of it.
            pattern = _keep(placed, plan.context(placed, layer, part))
            keep = keep & (pattern if len(kv_idx) == kv_len else pattern[..., kv_idx])
        return keep

    if others or (causal is None and not _all_real(request)):
        # The dropout bits of a block depend on which keys it has. Where queries are target positions, these must not
        # depend on later target tokens, which a mask that reads its input would make them.
        reads_input = any("input" in placed.strategy.depends_on for placed in others)
        tighten = site == "encoder_self" or not reads_input
        blocks = restrict_blocks(blocks, of_batch, device, tighten=tighten)
    biases = [placed for placed, strategy in acting if isinstance(strategy, ScoreBias | ScoreGate)]
    if biases:
        blocks = [_with_bias(block, biases, plan, layer, request, legal) for block in blocks]
    gate = None
    for placed, strategy in acting:
        if isinstance(strategy, HeadGate):
            ctx = plan.context(placed, layer, request)
            own = placed.head_gate(placed.options_in(ctx), ctx)
            gate = own if gate is None else gate * own
    return BlockDecision(blocks, share_of_pairs(blocks, q_len, kv_len), gate, bool(biases))


def _everything(device: torch.device) -> Bool[Tensor, "1 1 1 1"]:
    """Return a pattern that keeps every pair."""
    return torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device)


def _all_real(request: AttentionRequest) -> bool:
    lengths = request.src_lengths
    return lengths is None or int(lengths.min()) >= len(request.kv_idx)


def _keep(placed: PlacedStrategy, ctx: AttentionContext) -> Bool[Tensor, "#batch #heads q kv"]:
    """Return the pattern of one attention mask, not through its cache of whole patterns."""
    return placed.compute_keep(placed.options_in(ctx), ctx)


def _part(
    request: AttentionRequest,
    rows: Int[Tensor, "rows"],
    legal: Pattern,
    keys: Int[Tensor, "keys"] | None = None,
) -> AttentionRequest:
    """Return the request of some of its queries, for all keys or some of them."""
    return replace(
        request,
        query=request.query[:, :, rows],
        keys=request.keys if keys is None else request.keys[:, :, keys],
        x=request.x[:, rows],
        q_idx=rows,
        kv_idx=request.kv_idx if keys is None else keys,
        legal=legal(rows, request.kv_idx if keys is None else keys),
    )


def _position_blocks(
    plan: MaskPlan,
    site: str,
    layer: int,
    request: AttentionRequest,
    masks: Sequence[PlacedStrategy],
    causal: Pattern | None,
    rows: int,
) -> list[Block]:
    """Return the blocks of the masks that depend on positions alone, for the next power of two of both lengths."""
    clock, device = request.clock, request.q_idx.device
    n = 1 << (max(len(request.q_idx), len(request.kv_idx)) - 1).bit_length()
    if not masks and causal is None:
        return _whole_blocks(n, rows, device)

    def pattern(q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        keep = _everything(device) if causal is None else causal(q_idx, kv_idx)
        # One example is enough: a pattern with a cache is the same for all examples.
        part = AttentionRequest.of_positions(q_idx, kv_idx, request.examples[:1], clock, plan.sizes.n_heads)
        for placed in masks:
            keep = keep & _keep(placed, plan.context(placed, layer, part))
        return keep.expand(-1, -1, len(q_idx), len(kv_idx))

    def compute() -> list[Block]:
        strategies = [
            (cast(AttentionMask, placed.strategy), placed.options_at(clock, layer)) for placed in masks
        ]
        periods = {1} | {strategy.period(options) for strategy, options in strategies}
        tried = [
            derive_blocks(pattern, group_queries(n, rows, period, device), n, device)
            for period in sorted(periods)
        ]
        return min(tried, key=lambda blocks: share_of_pairs(blocks, n, n))

    parts = [(placed.label, placed.situation(plan.context(placed, layer, request))) for placed in masks]
    key = (site, layer, n, rows, device, plan.legality(site), tuple(parts))
    return plan.block_cache.get(key, compute)


def _whole_blocks(n: int, rows: int, device: torch.device) -> list[Block]:
    """Return blocks of `rows` queries that keep all `n` keys."""
    return [Block(group, slice(0, n), None) for group in group_queries(n, rows, 1, device)]


def _with_bias(
    block: Block,
    biases: Sequence[PlacedStrategy],
    plan: MaskPlan,
    layer: int,
    request: AttentionRequest,
    legal: Pattern,
) -> Block:
    """Return the block with the sum of the biases of its pairs, less the pairs that a gate hides."""
    device, keep, total = request.q_idx.device, block.keep, None
    if not block.n_pairs:
        return block
    part = _part(request, indices_of(block.rows, device), legal, indices_of(block.keys, device))
    for placed in biases:
        ctx = plan.context(placed, layer, part)
        bias, shown = placed.bias(placed.options_in(ctx), ctx)
        if shown is not None:
            keep = shown if keep is None else keep & shown
        total = bias if total is None else total + bias
    return replace(block, keep=keep, bias=None if total is None else total.detach())


def tell_patterns(
    plan: MaskPlan, site: str, layer: int, request: AttentionRequest, legal: Pattern, *, rows: int
) -> None:
    """Tell the plan's observer which strategies acted; with their patterns only where it measures pairs.

    The arguments are those of `decide_blocks`.
    """
    observer, device = plan.observer, request.q_idx.device
    if observer is None:
        return
    for placed, strategy in plan.acting(site, Strategy, request.clock, layer):
        ctx = plan.context(placed, layer, request)
        observer.observe_pattern(placed, ctx, None)
        if not isinstance(strategy, AttentionMask) or not observer.measures_pairs:
            continue
        for group in group_queries(len(request.q_idx), rows, 1, device):
            part = replace(ctx, request=_part(request, indices_of(group, device), legal))
            observer.observe_pairs(placed, part, _keep(placed, part))
