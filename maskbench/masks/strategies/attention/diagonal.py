"""A mask that keeps a decoder position near the diagonal: the source position expected from its own position.

That is t / r for target position t, with r target tokens per source token in the training pairs. The sentence's own
target length would predict it better, but the decoder does not know that length before the sentence ends.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskbench.masks.base import AttentionMask, MaskMod, StrategyOptions
from maskbench.masks.context import AttentionContext
from maskbench.masks.schedules import Radius
from maskbench.registry import MASKS


def source_lengths(ctx: AttentionContext) -> Int[Tensor, "batch"]:
    """Return the true source lengths; where a question names none, every key counts as real."""
    r = ctx.request
    return torch.full_like(r.examples, len(r.kv_idx)) if r.src_lengths is None else r.src_lengths


def expected_source_position(
    q_idx: Int[Tensor, "*#pairs"], lengths: Int[Tensor, "*#pairs"], ratio: float
) -> Float[Tensor, "*pairs"]:
    """Return the source position that target positions point at: t / ratio, the last real token at most."""
    return torch.minimum(q_idx.double() / ratio, (lengths - 1).double())


class DiagonalOptions(StrategyOptions):
    """How far from the diagonal a target position may look."""

    width: Radius
    """Greatest distance from its place in the source, in source positions."""


@MASKS.register("diagonal")
class Diagonal(AttentionMask):
    """A target position sees the source tokens around the place its own position points at.

    keep(t, s) = |s - c| <= width with c = min(t / r, S - 1), r target tokens per source token in the training pairs
    and S the source's length. The source token nearest to c always stays, so no row is empty.
    """

    sites = frozenset({"cross"})
    depends_on = frozenset({"length"})
    source = "You et al. 2020 (hard-coded attention, arXiv:2005.00742), as a mask over a learned attention"
    Options = DiagonalOptions
    example = DiagonalOptions(width=1)

    def mask_mod(self, options: DiagonalOptions, ctx: AttentionContext) -> MaskMod:
        lengths, ratio, width = source_lengths(ctx), self.sizes.facts.length_ratio, int(options.width)

        def keep(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
            centre = expected_source_position(q_idx, lengths[b], ratio)
            return ((kv_idx - centre).abs() <= width) | (kv_idx == (centre + 0.5).floor())

        return keep

    def density(self, options: DiagonalOptions, q_len: int, kv_len: int) -> float:
        """The sum over t of min(S - 1, floor(c + width)) - max(0, ceil(c - width)) + 1, at least 1, of T * S."""
        kept = 0
        for t in range(q_len):
            centre = min(t / self.sizes.facts.length_ratio, kv_len - 1)
            first, last = math.ceil(centre - options.width), math.floor(centre + options.width)
            kept += max(1, min(kv_len - 1, last) - max(0, first) + 1)
        return kept / (q_len * kv_len)
