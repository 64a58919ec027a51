"""Picking a share of the tokens, or of other units, of every sentence."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskbench.masks.random_draws import Draws, below

CountRule = Literal["rounded", "bernoulli", "floor", "ceil", "at_least_one"]
"""How many of n eligible units are picked at ratio r.

`rounded`: floor(r n) or one more, drawn so that the mean is exactly r n. `bernoulli`: each unit by itself. `floor` and
`ceil`: r n rounded that way; a floor hides nothing in short sentences. `at_least_one`: the nearest whole number, halves
up, but never 0 unless the ratio is: a third of a three-word sentence at any small ratio.
"""

_TOLERANCE = 1e-9
"""Rounding error that a product such as 0.07 * 100 may have; less than any intended difference."""
_ROUNDING_DRAW = 1


def broadcast_ratio(ratio: float | Float[Tensor, "batch"]) -> float | Float[Tensor, "batch 1"]:
    """Return a ratio, or one ratio for each example, in a shape that broadcasts against `[batch, len]`."""
    return ratio[:, None] if isinstance(ratio, Tensor) else ratio


def bernoulli(words: Tensor, probability: float | Tensor) -> Tensor:
    """Return True with the given probability, which broadcasts against `words`: exact to 2**-32."""
    if isinstance(probability, Tensor):
        return words < (probability.double() * 2**32).round()
    return below(words, probability)


def num_to_mask(
    n: Int[Tensor, "batch 1"], ratio: float | Float[Tensor, "batch"], count: CountRule, draws: Draws
) -> Int[Tensor, "batch 1"]:
    """Return how many of `n` units are picked, for every rule but `bernoulli`."""
    wanted = broadcast_ratio(ratio) * n.double()
    if count == "floor":
        return (wanted + _TOLERANCE).floor().long()
    if count == "ceil":
        return (wanted - _TOLERANCE).ceil().long()
    if count == "at_least_one":
        return torch.maximum((wanted + 0.5 + _TOLERANCE).floor(), (wanted > 0).double()).long()
    zero = torch.zeros(1, dtype=torch.int64, device=n.device)
    rounding = draws.words(zero, zero + _ROUNDING_DRAW)[0]
    return (wanted.floor() + (rounding.double() < (wanted - wanted.floor()) * 2**32)).long()


def rank_among(
    order: Int[Tensor, "#batch len"], among: Bool[Tensor, "batch len"]
) -> Int[Tensor, "batch len"]:
    """Return the rank, from 0, of every entry where `among` is True, smallest `order` first; ties keep their order.

    `order` is below 2**62. Entries outside `among` come last, so padding changes no rank.
    """
    order = order.expand(among.shape).masked_fill(~among, 2**62)
    return order.argsort(dim=1, stable=True).argsort(dim=1)


def pick_units(
    eligible: Bool[Tensor, "batch len"],
    ratio: float | Float[Tensor, "batch"],
    count: CountRule,
    draws: Draws,
    positions: Int[Tensor, "len"],
    priority_mask: Bool[Tensor, "batch len"] | None = None,
) -> tuple[Bool[Tensor, "batch len"], tuple[Tensor, Tensor]]:
    """Return the picked entries, and two more random words for each position that decide how it is replaced.

    A pick depends on the example's draw, not on the rest of the batch or padding; with `bernoulli` not on the length.

    Args:
        ratio: the share that is picked, in [0, 1], for all or for each example.
        priority_mask: True on units that are picked before all others; not with `bernoulli`.
    """
    word, extra, more, _ = draws.words(positions, torch.zeros_like(positions))
    if count == "bernoulli":
        return eligible & bernoulli(word, broadcast_ratio(ratio)), (extra, more)
    wanted = num_to_mask(eligible.sum(1, keepdim=True), ratio, count, draws)
    order = word if priority_mask is None else word + 2**32 * (~priority_mask).long()
    return eligible & (rank_among(order, eligible) < wanted), (extra, more)
