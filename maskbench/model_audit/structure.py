"""Declared structures: which target tokens a prediction may read, over all layers of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

MayRead = Callable[[int], Bool[Tensor, "len len"]]
"""For a length, True where the prediction at a row's position may read the token at a column's."""


def windowed(width: int, layers: int = 1, *, causal: bool = True) -> MayRead:
    """Return the structure of `layers` layers that each read their own position and `width - 1` before it.

    Args:
        width: at least 1, own position included.
        causal: whether only earlier positions are read; otherwise as many later ones as well.
    """
    reach = layers * (width - 1)

    def may_read(n: int) -> Tensor:
        back = torch.arange(n)[:, None] - torch.arange(n)
        return (back >= (0 if causal else -reach)) & (back <= reach)

    return may_read


def with_prefix(prefix: int) -> MayRead:
    """Return the structure of a prefix of `prefix` tokens that all positions read, and causal reading after it."""

    def may_read(n: int) -> Tensor:
        at = torch.arange(n)
        return (at <= at[:, None]) | (at < prefix)

    return may_read


def in_documents(starts: Sequence[int]) -> MayRead:
    """Return the structure of documents packed into one row, each read causally by itself.

    Args:
        starts: the first position of every document, ascending; the first is 0.
    """

    def may_read(n: int) -> Tensor:
        at = torch.arange(n)
        document = torch.bucketize(at, torch.tensor(list(starts)), right=True)
        return (at <= at[:, None]) & (document == document[:, None])

    return may_read
