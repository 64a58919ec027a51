"""Windows of neighbouring keys: `window` and `sink_window`.

Distances are inclusive radii: a radius of 2 keeps two neighbours on that side and the position itself.
"""

from __future__ import annotations

import torch
from pydantic import model_validator
from torch import Tensor

from maskbench.masks.base import MaskMod, StrategyOptions
from maskbench.masks.context import AttentionContext, Sizes
from maskbench.masks.schedules import Count, CountFromZero, Radius, least_value
from maskbench.masks.strategies.attention.position_mask import (
    PositionMask,
    count_legal_pairs,
    count_pairs_per_side,
)
from maskbench.registry import MASKS


class ReachOptions(StrategyOptions):
    """Inclusive distances: left = right = 0 keeps the position itself alone."""

    radius: Radius | None = None
    """Sets left and right at once."""
    left: Radius | None = None
    """How far back a query may look; without it (and without radius) as far as is legal."""
    right: Radius | None = None
    """How far ahead, likewise."""

    @model_validator(mode="after")
    def _check_consistency(self) -> ReachOptions:
        if self.radius is not None and (self.left is not None or self.right is not None):
            raise ValueError("radius sets left and right at once; give radius, or left and right")
        if self.radius is None and self.left is None and self.right is None:
            raise ValueError("give radius, or left, or right")
        return self

    def reach(self) -> tuple[Radius | None, Radius | None]:
        """Return how far a query looks back and ahead, None for as far as is legal."""
        return (self.radius, self.radius) if self.radius is not None else (self.left, self.right)


class WindowOptions(ReachOptions):
    """Inclusive distances: left = right = 0 keeps the position itself alone."""

    dilation: Count = 1
    """Only distances divisible by this are kept."""


def _within(reach: tuple[int | None, int | None], q_idx: Tensor, kv_idx: Tensor) -> Tensor:
    """Return True where the key lies within reach of the query."""
    left, right = reach
    ahead = kv_idx - q_idx
    inside = torch.ones_like(ahead, dtype=torch.bool)
    if left is not None:
        inside = inside & (ahead >= -left)
    return inside if right is None else inside & (ahead <= right)


@MASKS.register("window")
class Window(PositionMask):
    """A query sees the keys at most `left` positions before and `right` positions after its own.

    keep(i, j) = -left <= j - i <= right and (j - i) mod dilation = 0. Both ends are inclusive, so an inner row of the
    encoder keeps left + right + 1 keys; in the causal decoder left + 1.
    """

    source = "Beltagy et al. 2020 (Longformer, arXiv:2004.05150)"
    Options = WindowOptions
    example = WindowOptions(radius=2)

    @classmethod
    def is_causal(cls, options: WindowOptions) -> bool:
        return options.reach()[1] == 0

    def period(self, options: WindowOptions) -> int:
        return int(options.dilation)

    def mask_mod(self, options: WindowOptions, ctx: AttentionContext) -> MaskMod:
        def keep(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
            inside = _within(options.reach(), q_idx, kv_idx)
            return inside if options.dilation == 1 else inside & ((kv_idx - q_idx) % options.dilation == 0)

        return keep

    def density(self, options: WindowOptions, q_len: int, kv_len: int) -> float | None:
        """The diagonal and the kept distances of each side; in the decoder only those before the query are legal."""
        legal, (left, right) = count_legal_pairs(self.site, q_len, kv_len), options.reach()
        if legal is None:
            return None
        after = count_pairs_per_side(q_len, right, options.dilation) if self.site == "encoder_self" else 0
        return (q_len + count_pairs_per_side(q_len, left, options.dilation) + after) / legal


class SinkWindowOptions(ReachOptions):
    """A window and what stays beside it."""

    sinks: CountFromZero = 1
    """Keys from the front that every query sees; 0: the window alone."""


@MASKS.register("sink_window")
class SinkWindow(PositionMask):
    """A query sees a window of neighbours and, from wherever it stands, the first `sinks` keys.

    keep(i, j) = -left <= j - i <= right or j < sinks. The first keys take up the attention that a head has no other
    use for. Longer texts than those trained on are not what it is for here: the window is.
    """

    may_empty_rows = False
    source = "Xiao et al. 2024 (StreamingLLM, arXiv:2309.17453)"
    Options = SinkWindowOptions
    example = SinkWindowOptions(radius=1, sinks=1)

    def __init__(self, options: SinkWindowOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        self.may_empty_rows = site == "cross" and least_value(options.sinks) == 0

    @classmethod
    def is_causal(cls, options: SinkWindowOptions) -> bool:
        # A second sink lies ahead of the first query.
        return options.reach()[1] == 0 and options.sinks in (0, 1)

    def mask_mod(self, options: SinkWindowOptions, ctx: AttentionContext) -> MaskMod:
        def keep(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
            return _within(options.reach(), q_idx, kv_idx) | (kv_idx < int(options.sinks))

        return keep

    def density(self, options: SinkWindowOptions, q_len: int, kv_len: int) -> float | None:
        """The window's pairs, and for each sink the queries that lie too far after it or, in the encoder, before it."""
        legal, n = count_legal_pairs(self.site, q_len, kv_len), q_len
        if legal is None:
            return None
        left, right = (n if reach is None else reach for reach in options.reach())
        both = self.site == "encoder_self"
        kept = n + count_pairs_per_side(n, left) + (count_pairs_per_side(n, right) if both else 0)
        for sink in range(min(int(options.sinks), n)):
            kept += max(0, n - 1 - sink - left) + (max(0, sink - right) if both else 0)
        return kept / legal
