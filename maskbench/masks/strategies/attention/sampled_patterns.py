"""Random patterns over positions, drawn so that they do not depend on any length: `random_sparse` and `bigbird`.

The draw of a pair (i, j) is keyed by the two positions. So a short sentence has the top left corner of the pattern of
a long one, cached decoding has the same rows as training, and no row depends on how many positions follow.
"""

from __future__ import annotations

from collections.abc import Hashable

import torch
from jaxtyping import Bool
from torch import Tensor

from maskbench.config.schema.experiment import Refresh
from maskbench.masks.base import MaskMod, StrategyOptions
from maskbench.masks.context import AttentionContext, Sizes
from maskbench.masks.random_draws import below
from maskbench.masks.schedules import Radius, Ratio, least_value
from maskbench.masks.strategies.attention.position_mask import PositionMask, count_legal_pairs
from maskbench.registry import MASKS

_ROWS_AT_ONCE = 256
"""Positions whose draws are ranked at once; ranks of all positions would take some 50 bytes a pair."""


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
class RandomSparse(PositionMask):
    """Every pair stays with probability `density`, by a draw of its own: the control for every structured pattern.

    keep(i, j) = u(i, j) < density or i = j, with u keyed by the two positions, so that a pattern does not depend on
    the lengths. By default one pattern holds for the whole run, in training and evaluation.
    """

    stochastic = True
    default_refresh = Refresh(per="run")
    source = "Zaheer et al. 2020 (the random part of BigBird, arXiv:2007.14062)"
    Options = RandomSparseOptions
    example = RandomSparseOptions(density=0.4)

    def __init__(self, options: RandomSparseOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        self.may_empty_rows = site == "cross" or not options.diagonal

    def mask_mod(self, options: RandomSparseOptions, ctx: AttentionContext) -> MaskMod:
        def keep(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
            stays = below(random_words_per_pair(options, ctx, h, q_idx, kv_idx), options.density)
            return stays | (q_idx == kv_idx) if options.diagonal else stays

        return keep

    def density(self, options: RandomSparseOptions, q_len: int, kv_len: int) -> float | None:
        """The expected density: `density` off the diagonal, 1 on it if it is kept."""
        legal = count_legal_pairs(self.site, q_len, kv_len)
        if legal is None:
            return None
        fixed = q_len / legal if options.diagonal else 0.0
        return fixed + float(options.density) * (1 - fixed)


class BigBirdOptions(StrategyOptions):
    """The three parts."""

    radius: Radius = 1
    """The window: neighbours on either side that a query sees."""
    first: Radius = 1
    """Positions from the front that see every key and are seen by every query."""
    random: Radius = 2
    """Keys drawn for every position among those before it that window and global positions leave hidden."""
    per_head: bool = False
    """Draw a pattern of its own for every head."""
    per_layer: bool = False
    """Draw a pattern of its own for every layer."""


@MASKS.register("bigbird")
class BigBird(PositionMask):
    """A query sees a window, the global positions at the front, and a few keys drawn at random.

    keep(i, j) = |i - j| <= radius or i < first or j < first or j is drawn for i or i is drawn for j. Every position
    draws exactly `random` of the earlier positions that are still hidden (all, where there are fewer), and a drawn
    pair is open both ways: so the pattern knows no length, the causal decoder has `random` drawn keys in a row, and the
    encoder as many again, on average, among the later ones. By default one pattern holds for the whole run.
    """

    stochastic = True
    default_refresh = Refresh(per="run")
    source = "Zaheer et al. 2020 (BigBird, arXiv:2007.14062)"
    Options = BigBirdOptions
    example = BigBirdOptions(radius=1, first=1, random=1)

    def __init__(self, options: BigBirdOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        self.may_empty_rows = site == "cross" and least_value(options.first) == 0
        self._last: tuple[Hashable, Tensor] | None = None

    def mask_mod(self, options: BigBirdOptions, ctx: AttentionContext) -> MaskMod:
        def keep(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
            n = int(torch.cat([q_idx.flatten(), kv_idx.flatten()]).max()) + 1
            chosen = self._all_chosen(options, ctx, h, n)
            later, earlier = torch.maximum(q_idx, kv_idx), torch.minimum(q_idx, kv_idx)
            drawn = chosen[:, :, later[0, 0], earlier[0, 0]]
            return _in_window_or_global(options, later, earlier) | drawn

        return keep

    def _all_chosen(
        self, options: BigBirdOptions, ctx: AttentionContext, h: Tensor, n: int
    ) -> Bool[Tensor, "b h n n"]:
        """Return `_chosen` of all `n` positions; the last result is kept, for the next block of the same pattern."""
        assert ctx.draws is not None  # stochastic: the plan always draws
        examples = tuple(ctx.draws.examples.tolist()) if ctx.draws.per_example else None
        key = (options, n, ctx.draws.key.words, examples, ctx.layer if options.per_layer else 0, h.device)
        if self._last is None or self._last[0] != key:
            index = torch.arange(n, device=h.device)
            parts = [_chosen(options, ctx, h, rows, index) for rows in index.split(_ROWS_AT_ONCE)]  # type: ignore[no-untyped-call]
            self._last = (key, torch.cat(parts, dim=2))
        return self._last[1]

    def density(self, options: BigBirdOptions, q_len: int, kv_len: int) -> float | None:
        """Exact: of its b earlier positions, position b sees all but max(0, b - radius - first), and draws among those."""
        legal, n = count_legal_pairs(self.site, q_len, kv_len), q_len
        if legal is None:
            return None
        radius, first, random = int(options.radius), int(options.first), int(options.random)
        side = 0
        for b in range(n):
            hidden = max(0, b - radius - first)
            side += b - hidden + min(random, hidden)
        return (n + side * (2 if self.site == "encoder_self" else 1)) / legal


def _chosen(
    options: BigBirdOptions, ctx: AttentionContext, h: Tensor, rows: Tensor, index: Tensor
) -> Bool[Tensor, "b h rows n"]:
    """Return True where a position (the row) has drawn an earlier one, over all positions up to the last."""
    row, column = rows[None, None, :, None], index[None, None, None]
    candidate = (column < row) & ~_in_window_or_global(options, row, column)
    # The smallest words among the candidates are a draw without repeats that no later position can change.
    words = random_words_per_pair(options, ctx, h, row, column).masked_fill(~candidate, 2**32)
    rank = words.argsort(dim=-1, stable=True).argsort(dim=-1)
    return candidate & (rank < int(options.random))


def _in_window_or_global(options: BigBirdOptions, later: Tensor, earlier: Tensor) -> Tensor:
    """Return True where window or global positions keep the pair."""
    # A pair has a global position if its earlier one is.
    return (later - earlier <= int(options.radius)) | (earlier < int(options.first))


def random_words_per_pair(
    options: RandomSparseOptions | BigBirdOptions, ctx: AttentionContext, h: Tensor, a: Tensor, b: Tensor
) -> Tensor:
    """Return a word in [0, 2**32) for every head and pair of positions, `[examples or 1, heads or 1, a, b]`.

    Args:
        at: says whether heads and layers share the words.
        h: head numbers, `[1, heads, 1, 1]`.
        a: positions, `[1, 1, a, 1]`.
        b: positions, `[1, 1, 1, b]`.
    """
    assert ctx.draws is not None  # stochastic: the plan always draws
    # Layer and head enter above the positions: the same words in all of them unless asked otherwise.
    layer = (ctx.layer + 1 if options.per_layer else 0) * 2**16
    head = h[0] + 1 if options.per_head else torch.zeros_like(h[0, :1])
    return ctx.draws.words(a[0] + layer, b[0] + head * 2**16)[0]
