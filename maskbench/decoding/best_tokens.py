"""Choose the best tokens of a step from the scores of a whole vocabulary."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

_BLOCK = 128
"""Scores per block. The maximum of a block is vectorised and `topk` is not, so `topk` reads only the blocks
with the greatest maxima."""


def stable_topk(scores: Float[Tensor, "rows n"], k: int) -> Int[Tensor, "rows k"]:
    """Return the columns of the `k` greatest scores of every row, greatest first; ties by column."""
    rows, n = scores.shape
    n_blocks = n // _BLOCK
    if n_blocks <= 2 * k:
        return _topk(scores, k)
    # The k greatest scores are in the k blocks with the greatest maxima, or behind the last whole block.
    blocks = scores[:, : n_blocks * _BLOCK].view(rows, n_blocks, _BLOCK)
    peaks, block = blocks.amax(-1).topk(k + 1)
    columns = block[:, :k, None] * _BLOCK + torch.arange(_BLOCK, device=scores.device)
    rest = torch.arange(n_blocks * _BLOCK, n, device=scores.device).expand(rows, -1)
    columns = torch.cat((columns.flatten(1), rest), dim=1)
    values, best = scores.gather(1, columns).topk(k + 1)
    columns = columns.gather(1, best[:, :k])
    # Of equal scores `topk` chooses any, and a block that was left out may have one in an earlier column.
    is_tied = (values[:, 1:] == values[:, :-1]).any(1) | (values[:, k - 1] <= peaks[:, k])
    if bool(is_tied.any()):
        columns[is_tied] = _topk(scores[is_tied], k)
    return columns


def _topk(scores: Float[Tensor, "rows n"], k: int) -> Int[Tensor, "rows k"]:
    """Return what `stable_topk` returns, from all scores at once."""
    values, columns = scores.topk(k)
    at_least = scores >= values[:, -1:]
    if int(at_least.sum()) > columns.numel():
        # `topk` chooses arbitrarily among scores equal to the last one kept; take the first columns instead.
        above = scores > values[:, -1:]
        room = k - above.sum(1, keepdim=True)
        equal = at_least & ~above
        wanted = above | (equal & (equal.cumsum(1) <= room))
        columns = wanted.nonzero()[:, 1].reshape(len(scores), k)
    columns = columns.sort(dim=1).values
    order = scores.gather(1, columns).argsort(dim=1, descending=True, stable=True)
    return columns.gather(1, order)
