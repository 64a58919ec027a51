"""Patterns over positions: which pairs may meet, whatever the words are."""

from __future__ import annotations

import torch
from pydantic import model_validator
from torch import Tensor

from maskbench.config.schema import Refresh
from maskbench.masks.base import ATTENTION_SITES, AttentionMask, MaskMod, StrategyOptions
from maskbench.masks.context import AttentionContext
from maskbench.masks.draws import below
from maskbench.masks.schedules import Count, Radius, Ratio
from maskbench.registry import MASKS


class WindowOptions(StrategyOptions):
    """Inclusive distances: left = right = 0 keeps the position itself alone."""

    radius: Radius | None = None
    """Sets left and right at once."""
    left: Radius | None = None
    """How far back a query may look; without it (and without radius) as far as is legal."""
    right: Radius | None = None
    """How far ahead, likewise."""
    dilation: Count = 1
    """Only distances divisible by this are kept."""

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> WindowOptions:
        if self.radius is not None and (self.left is not None or self.right is not None):
            raise ValueError("radius sets left and right at once; give radius, or left and right")
        if self.radius is None and self.left is None and self.right is None:
            raise ValueError("give radius, or left, or right")
        return self


@MASKS.register("window")
class Window(AttentionMask):
    """A query sees the keys at most `left` positions before and `right` positions after its own.

    keep(i, j) = -left <= j - i <= right and (j - i) mod dilation = 0. Both ends are inclusive, so an inner row of the
    encoder keeps left + right + 1 keys; in the causal decoder left + 1.
    """

    sites = ATTENTION_SITES
    may_empty_rows = True
    source = "Beltagy et al. 2020 (Longformer, arXiv:2004.05150)"
    Options = WindowOptions
    example = WindowOptions(radius=2)

    def mask_mod(self, at: WindowOptions, ctx: AttentionContext) -> MaskMod:
        left = at.radius if at.left is None else at.left
        right = at.radius if at.right is None else at.right

        def keep(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
            ahead = kv_idx - q_idx
            inside = torch.ones_like(ahead, dtype=torch.bool)
            if left is not None:
                inside = inside & (ahead >= -left)
            if right is not None:
                inside = inside & (ahead <= right)
            return inside if at.dilation == 1 else inside & (ahead % at.dilation == 0)

        return keep

    def density(self, at: WindowOptions, q_len: int, kv_len: int) -> float | None:
        """n(2w + 1) - w(w + 1) pairs of n * n, for the two-sided window of radius w < n without dilation."""
        if self.site != "encoder_self" or at.radius is None or at.dilation != 1 or q_len != kv_len:
            return None
        w = min(at.radius, q_len - 1)
        return float(q_len * (2 * w + 1) - w * (w + 1)) / q_len**2


class BlockLocalOptions(StrategyOptions):
    """How positions are cut into segments."""

    size: Count
    """Positions in a segment."""
    overlap: Radius = 0
    """How many positions beyond each end of its own segment a query may see as well."""


@MASKS.register("block_local")
class BlockLocal(AttentionMask):
    """Positions are cut into segments of equal size; a query sees its own segment (and `overlap` beyond each end).

    keep(i, j) = s(i) - overlap <= j < s(i) + size + overlap, with s(i) = size * floor(i / size).
    """

    sites = ATTENTION_SITES
    may_empty_rows = True
    source = "Qiu et al. 2020 (blockwise self-attention, arXiv:1911.02972)"
    Options = BlockLocalOptions
    example = BlockLocalOptions(size=4)

    def mask_mod(self, at: BlockLocalOptions, ctx: AttentionContext) -> MaskMod:
        size, overlap = int(at.size), int(at.overlap)

        def keep(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
            first = q_idx // size * size
            return (kv_idx >= first - overlap) & (kv_idx < first + size + overlap)

        return keep


class RandomSparseOptions(StrategyOptions):
    """How many pairs stay, and who shares a pattern."""

    density: Ratio
    """The probability that a pair stays."""
    diagonal: bool = True
    """Always keep the pair of a position with itself."""
    per_head: bool = False
    """Draw a pattern of its own for every head."""
    per_layer: bool = False
    """Draw a pattern of its own for every layer."""


@MASKS.register("random_sparse")
class RandomSparse(AttentionMask):
    """Every pair stays with probability `density`, by a draw of its own: the control for every structured pattern.

    keep(i, j) = u(i, j) < density or i = j, with u keyed by the two positions, so that a pattern does not depend on
    the lengths. By default one pattern holds for the whole run, in training and evaluation.
    """

    sites = ATTENTION_SITES
    stochastic = True
    default_refresh = Refresh(per="run")
    may_empty_rows = True
    source = "Zaheer et al. 2020 (the random part of BigBird, arXiv:2007.14062)"
    Options = RandomSparseOptions
    example = RandomSparseOptions(density=0.4)

    def mask_mod(self, at: RandomSparseOptions, ctx: AttentionContext) -> MaskMod:
        draws = ctx.draws
        assert draws is not None  # stochastic: the plan always draws
        # Layer and head enter above the positions: the same words in all of them unless asked otherwise.
        layer = (ctx.layer + 1 if at.per_layer else 0) * 2**16

        def keep(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
            head = h[0] + 1 if at.per_head else torch.zeros_like(h[0, :1])
            words = draws.words(q_idx[0] + layer, kv_idx[0] + head * 2**16)[0]
            stays = below(words, at.density)
            return stays | (q_idx == kv_idx) if at.diagonal else stays

        return keep

    def density(self, at: RandomSparseOptions, q_len: int, kv_len: int) -> float | None:
        """The expected density: `density` off the diagonal, 1 on it, where everything is legal."""
        if self.site != "encoder_self":
            return None
        fixed = min(q_len, kv_len) / (q_len * kv_len) if at.diagonal else 0.0
        return fixed + float(at.density) * (1 - fixed)
