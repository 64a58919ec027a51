"""The half of a sentence's units that is picked first, by position or by frequency."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from maskbench.masks.strategies.inputs.token_selection import rank_among
from maskbench.masks.strategies.inputs.token_units import Units

PositionPreference = Literal["uniform", "prefix", "suffix", "middle", "ends", "rare", "frequent"]
"""`uniform` prefers none; the others prefer a half of the units: by place, or by how often the corpus has them."""


def priority_mask(
    where: PositionPreference,
    units: Units,
    ids: Int[Tensor, "batch len"],
    counts: Int[Tensor, "vocab"] | None,
) -> Bool[Tensor, "batch len"]:
    """Return, on the first token of every unit, whether it is in the half that is picked first.

    With u the number of a unit among n, from 0, and p = (u + 1/2) / n: `prefix` is p <= 1/2, `suffix` p >= 1/2,
    `middle` |p - 1/2| <= 1/4 and `ends` |p - 1/2| >= 1/4. `rare` and `frequent` are the half of the units whose rarest
    token is rarest or most frequent; of equals the earlier counts as in.

    Args:
        counts: how often the corpus has each entry; only `rare` and `frequent` need them.
    """
    n = units.starts.sum(1, keepdim=True)
    # 4 n (p - 1/2), a whole number.
    off = 4 * units.unit_indices() + 2 - 2 * n
    if where == "prefix":
        return off <= 0
    if where == "suffix":
        return off >= 0
    if where == "middle":
        return off.abs() <= n
    if where == "ends":
        return off.abs() >= n
    assert counts is not None  # checked when the strategy was built
    least = _min_count_in_unit(units, counts[ids])
    return 2 * rank_among(least if where == "rare" else -least, units.starts) <= n - 1


def _min_count_in_unit(units: Units, counts: Int[Tensor, "batch len"]) -> Int[Tensor, "batch len"]:
    """Return for every token the smallest count in its unit."""
    counts = counts.masked_fill(~units.eligible, 2**62)
    least = torch.full_like(counts, 2**62).scatter_reduce(1, units.unit_indices(), counts, "amin")
    return least.gather(1, units.unit_indices())
