"""The base class of patterns over positions, and counts of pairs for their densities."""

from __future__ import annotations

from maskbench.masks.base import ATTENTION_SITES, AttentionMask, StrategyOptions
from maskbench.masks.context import Sizes


class PositionMask(AttentionMask):
    """A pattern that depends on positions and options only, and keeps the pair of every position with itself.

    So no row of a self-attention is empty. At `cross` the row of a target position beyond the end of the source may be.
    """

    sites = ATTENTION_SITES
    sliceable = True
    may_empty_rows = True

    def __init__(self, options: StrategyOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        self.may_empty_rows = type(self).may_empty_rows and site == "cross"


def count_legal_pairs(site: str, q_len: int, kv_len: int) -> int | None:
    """Return how many pairs of a whole self-attention are legal; None at `cross` and where queries and keys differ."""
    if q_len != kv_len:
        return None
    return {"encoder_self": q_len**2, "decoder_self": q_len * (q_len + 1) // 2}.get(site)


def count_pairs_per_side(n: int, reach: int | None, every: int = 1) -> int:
    """Return how many pairs (i, j) of n positions have i - j in {every, 2 every, ...} and at most `reach`.

    With K = floor(min(reach, n - 1) / every) such distances: n K - every K (K + 1) / 2.
    """
    count = (n - 1 if reach is None else min(reach, n - 1)) // every
    return n * count - every * count * (count + 1) // 2
