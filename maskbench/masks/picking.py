"""Choosing a share of the tokens of every sentence."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from maskbench.masks.draws import Draws, below

CountRule = Literal["rounded", "bernoulli"]
"""How many of n eligible tokens are picked at ratio r.

`rounded`: floor(r n) or one more, so that the mean is exactly r n (a plain floor hides nothing in short sentences, and
"at least one" a third of a three-word one). `bernoulli`: each token by itself.
"""


def pick(
    eligible: Bool[Tensor, "batch len"],
    ratio: float,
    count: CountRule,
    draws: Draws,
    positions: Int[Tensor, "len"],
) -> tuple[Bool[Tensor, "batch len"], tuple[Tensor, Tensor]]:
    """Return the picked tokens, and two further words for each position to decide what becomes of them.

    A pick depends on the example's draw, never on batch-mates or padding; with `bernoulli` not on the length either.
    """
    word, extra, more, _ = draws.words(positions, torch.zeros_like(positions))
    if count == "bernoulli":
        return eligible & below(word, ratio), (extra, more)
    n = eligible.sum(1, keepdim=True)
    wanted = ratio * n.double()
    one = torch.ones(1, dtype=torch.int64, device=positions.device)
    rounding = draws.words(one * 0, one)[0]
    quota = wanted.floor() + (rounding.double() < (wanted - wanted.floor()) * 2**32)
    # Ineligible tokens sort behind all others; equal words keep their order.
    rank = (
        word.expand(eligible.shape).masked_fill(~eligible, 2**32).argsort(dim=1, stable=True).argsort(dim=1)
    )
    return eligible & (rank < quota), (extra, more)
