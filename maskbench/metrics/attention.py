"""What attention weights say by themselves: how evenly they are spread, and how much of them lies on certain keys.

A row, one query of one head and layer, is read as shares: absolute weights divided by their sum. For a softmax that
changes nothing; it makes rows comparable that need not sum to one (factors on the weights, attention without a
softmax, masks applied after it). A row without any weight attends to nothing and is left out.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def shares(weights: Float[Tensor, "*rows kv"]) -> Float[Tensor, "*rows kv"]:
    """Return the weights of every row as shares of the row, float64; all zero where the row has no weight."""
    sizes = weights.double().abs()
    sums = sizes.sum(-1, keepdim=True)
    return sizes / sums.masked_fill(sums == 0, 1.0)


def entropy(weights: Float[Tensor, "*rows kv"], keep: Bool[Tensor, "*rows kv"]) -> Float[Tensor, "*rows"]:
    """Return the entropy of every row as a share of the largest possible: -sum_j a_j ln a_j / ln k.

    0 where all attention is on one key, 1 where it is spread evenly; NaN where the row has no choice (k < 2) or
    attends to nothing. k is the number of keys the row may attend to. A mask that is applied in a way that leaks
    leaves weight on keys it hides; those count as well, since attention can be spread over them.

    Args:
        weights: of any sign and sum.
        keep: True on keys that may be attended to.
    """
    parts = shares(weights)
    choices = (keep | (weights != 0)).sum(-1)
    spread: Tensor = torch.special.entr(parts).sum(-1) / choices.clamp(min=2).double().log()
    # Rounding alone can lift even attention above 1.
    return spread.clamp(max=1.0).masked_fill((choices < 2) | (parts.sum(-1) == 0), torch.nan)


def mass(weights: Float[Tensor, "*rows kv"], on: Bool[Tensor, "*rows kv"]) -> Float[Tensor, "*rows"]:
    """Return the share of every row's attention that lies on certain keys, 0 to 1; NaN where it attends to nothing.

    Args:
        weights: of any sign and sum.
        on: True on those keys.
    """
    parts = shares(weights)
    return (parts * on).sum(-1).clamp(max=1.0).masked_fill(parts.sum(-1) == 0, torch.nan)
