"""Choosing a share of the tokens, or other units, of every sentence."""

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

_SLACK = 1e-9
"""What a product such as 0.07 * 100 may be off: less than any difference that is meant."""
_ROUNDING_DRAW = 1


def per_row(ratio: float | Float[Tensor, "batch"]) -> float | Float[Tensor, "batch 1"]:
    """Return a ratio, or one ratio for each example, ready to meet `[batch, len]`."""
    return ratio[:, None] if isinstance(ratio, Tensor) else ratio


def chance(words: Tensor, probability: float | Tensor) -> Tensor:
    """Return True with the given probability, which broadcasts against `words`: exact to 2**-32."""
    if isinstance(probability, Tensor):
        return words < (probability.double() * 2**32).round()
    return below(words, probability)


def quota(
    n: Int[Tensor, "batch 1"], ratio: float | Float[Tensor, "batch"], count: CountRule, draws: Draws
) -> Int[Tensor, "batch 1"]:
    """Return how many of `n` units are picked, for every rule but `bernoulli`."""
    wanted = per_row(ratio) * n.double()
    if count == "floor":
        return (wanted + _SLACK).floor().long()
    if count == "ceil":
        return (wanted - _SLACK).ceil().long()
    if count == "at_least_one":
        return torch.maximum((wanted + 0.5 + _SLACK).floor(), (wanted > 0).double()).long()
    zero = torch.zeros(1, dtype=torch.int64, device=n.device)
    rounding = draws.words(zero, zero + _ROUNDING_DRAW)[0]
    return (wanted.floor() + (rounding.double() < (wanted - wanted.floor()) * 2**32)).long()


def ranks(order: Int[Tensor, "#batch len"], among: Bool[Tensor, "batch len"]) -> Int[Tensor, "batch len"]:
    """Return the place of every entry of `among`, smallest `order` first, from 0; equals keep their order.

    `order` is below 2**62. What is not among them comes behind all others, so padding moves no rank.
    """
    order = order.expand(among.shape).masked_fill(~among, 2**62)
    return order.argsort(dim=1, stable=True).argsort(dim=1)


def pick(
    eligible: Bool[Tensor, "batch len"],
    ratio: float | Float[Tensor, "batch"],
    count: CountRule,
    draws: Draws,
    positions: Int[Tensor, "len"],
    favoured: Bool[Tensor, "batch len"] | None = None,
) -> tuple[Bool[Tensor, "batch len"], tuple[Tensor, Tensor]]:
    """Return the picked entries, and two further words for each position to decide what becomes of them.

    A pick depends on the example's draw, never on batch-mates or padding; with `bernoulli` not on the length either.

    Args:
        ratio: the share that is picked, in [0, 1], for all or for each example.
        favoured: these are picked first, the others only when the quota exceeds them; not with `bernoulli`.
    """
    word, extra, more, _ = draws.words(positions, torch.zeros_like(positions))
    if count == "bernoulli":
        return eligible & chance(word, per_row(ratio)), (extra, more)
    wanted = quota(eligible.sum(1, keepdim=True), ratio, count, draws)
    order = word if favoured is None else word + 2**32 * (~favoured).long()
    return eligible & (ranks(order, eligible) < wanted), (extra, more)
