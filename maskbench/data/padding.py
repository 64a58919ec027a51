"""Which columns of a padded batch hold tokens."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int
from torch import Tensor


def real_tokens(lengths: Int[Tensor, "batch"], width: int) -> Bool[Tensor, "batch width"]:
    """Return a mask of a padded batch: True on tokens, False on padding.

    Args:
        lengths: number of tokens in each row of the batch.
        width: number of columns of the batch.
    """
    return are_real(torch.arange(width, device=lengths.device), lengths)


def are_real(positions: Int[Tensor, "len"], lengths: Int[Tensor, "batch"]) -> Bool[Tensor, "batch len"]:
    """Return True where a row of the batch has a token at the position, False where it has padding.

    For columns that are not the positions 0, 1, ..., for instance in cached decoding.
    """
    return positions < lengths[:, None]
