"""Attention block by block: computes only the pairs of the blocks, and keeps no weights for the backward pass.

Softmax(Q K^T) V of a block needs only the block's keys, and every query is in exactly one block. So the result is
exact; memory grows with the pairs of one block instead of all. The backward pass computes the weights of a block
again from the saved logarithm of each row's sum (Rabe and Staats 2021, arXiv:2112.05682; Dao et al. 2022,
FlashAttention, arXiv:2205.14135), and the dropout bits again from their seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from maskbench.masks.blocks import Block, index_length
from maskbench.model.dropout import draw_seed, keep_noise

_MAX_SCORES = 1 << 20
"""Largest number of scores that are computed at once: 4 MiB in float32, about what a processor's cache holds."""


@dataclass(frozen=True, slots=True)
class BlockDropout:
    """Dropout of attention weights whose bits can be drawn again."""

    p: float
    """Probability, in [0, 1)."""
    seed: int
    """Seed of the first block's bits; the next ones follow."""

    def noise(self, like: Float[Tensor, "..."], number: int) -> Float[Tensor, "..."]:
        """Return the factors of the weights of block `number`: 0, or the inverse of the keep probability."""
        generator = torch.Generator(like.device).manual_seed((self.seed + number) % (1 << 63))
        return keep_noise(like, self.p, generator)


def blocked_attention(
    query: Float[Tensor, "batch heads q d"],
    key: Float[Tensor, "batch heads kv d"],
    value: Float[Tensor, "batch heads kv d"],
    blocks: Sequence[Block],
    dropout: float = 0.0,
) -> Float[Tensor, "batch heads q d"]:
    """Return each query's output: the weighted mean of the values of its kept keys, zeros where it has none.

    Args:
        blocks: every query is in exactly one; biases get no gradient.
        dropout: probability of the weights' dropout, in [0, 1); its seed is drawn from torch's default generator.
    """
    noise = BlockDropout(dropout, draw_seed()) if dropout else None
    output: Tensor = _BlockedAttention.apply(query, key, value, blocks, noise)  # type: ignore[no-untyped-call]
    return output


class _BlockedAttention(torch.autograd.Function):
    """Forward and backward pass of `blocked_attention`."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        blocks: Sequence[Block],
        noise: BlockDropout | None,
    ) -> Tensor:
        output = torch.empty_like(query)
        log_sums = query.new_empty(*query.shape[:3], 1, dtype=_at_least_float32(query.dtype))
        for number, (part, block) in enumerate(_parts(query, blocks)):
            here = _of_part(block, part)
            scores = _scores(query[part], key[part], here)
            largest = _row_maximum(scores)
            weights = _exponential(scores.sub_(largest), here)
            sums = weights.sum(-1, keepdim=True)
            sums.masked_fill_(sums == 0, 1.0)
            if noise is not None:
                weights = weights.mul_(noise.noise(weights, number))
            context = weights.to(value.dtype) @ value[part][:, :, block.keys]
            output[part][:, :, block.rows] = (context / sums).to(output.dtype)
            log_sums[part][:, :, block.rows] = largest + sums.log()
        ctx.save_for_backward(query, key, value, output, log_sums)
        ctx.blocks, ctx.noise = blocks, noise
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, output, log_sums = ctx.saved_tensors
        (grad,) = grads
        d_query = torch.empty_like(query)
        d_key, d_value = torch.zeros_like(key), torch.zeros_like(value)
        # The derivative of a softmax subtracts, in every row, the sum of weight times the weight's gradient, which
        # is the product of the output and its gradient.
        row_sums = (grad * output).sum(-1, keepdim=True, dtype=log_sums.dtype)
        for number, (part, block) in enumerate(_parts(query, ctx.blocks)):
            rows, keys = block.rows, block.keys
            q, g = query[part][:, :, rows], grad[part][:, :, rows]
            k, v = key[part][:, :, keys], value[part][:, :, keys]
            here = _of_part(block, part)
            scores = _scores(query[part], key[part], here)
            weights = _exponential(scores.sub_(log_sums[part][:, :, rows]), here)
            d_weights = (g @ v.transpose(-1, -2)).to(weights.dtype)
            used = weights
            if ctx.noise is not None:
                factors = ctx.noise.noise(weights, number)
                d_weights.mul_(factors)
                used = factors.mul_(weights)
            _add(d_value[part], keys, used.to(g.dtype).transpose(-1, -2) @ g)
            d_scores = d_weights.sub_(row_sums[part][:, :, rows]).mul_(weights).to(q.dtype)
            d_query[part][:, :, rows] = d_scores @ k
            _add(d_key[part], keys, d_scores.transpose(-1, -2) @ q)
        scale = query.shape[-1] ** -0.5
        return d_query.mul_(scale), d_key.mul_(scale), d_value, None, None


def _row_maximum(scores: Float[Tensor, "batch heads rows keys"]) -> Float[Tensor, "batch heads rows 1"]:
    """Return the largest score of every row; 0 for a row without kept keys, as -inf minus -inf would be NaN."""
    if not scores.shape[-1]:
        return scores.new_zeros((*scores.shape[:-1], 1))
    largest = scores.amax(-1, keepdim=True)
    return largest.masked_fill_(largest == -math.inf, 0.0)


def _at_least_float32(dtype: torch.dtype) -> torch.dtype:
    return dtype if dtype.itemsize >= 4 else torch.float32


def _parts(query: Tensor, blocks: Sequence[Block]) -> Iterator[tuple[slice, Block]]:
    """Yield every block once for each part of the batch, so that no product exceeds `_MAX_SCORES` where it can."""
    batch, heads = query.shape[:2]
    for block in blocks:
        size = max(1, _MAX_SCORES // max(1, heads * block.n_pairs))
        for start in range(0, batch, size):
            yield slice(start, min(batch, start + size)), block


def _of_part(block: Block, part: slice) -> Block:
    """Return the block of a part of the batch."""

    def rows_of(plane: Tensor | None) -> Tensor | None:
        return plane if plane is None or plane.shape[0] == 1 else plane[part]

    return Block(block.rows, block.keys, rows_of(block.keep), rows_of(block.bias))


def _scores(query: Tensor, key: Tensor, block: Block) -> Float[Tensor, "batch heads rows keys"]:
    """Return a block's scaled scores with biases, -inf at hidden pairs, in at least float32."""
    scores = query[:, :, block.rows] @ key[:, :, block.keys].transpose(-1, -2)
    scores = scores.to(_at_least_float32(scores.dtype)).mul_(query.shape[-1] ** -0.5)
    if block.bias is not None:
        scores += block.bias
    if block.keep is not None:
        # A sum is seven times as fast as `masked_fill_` where the pattern is shared by the examples and heads.
        scores += torch.zeros_like(block.keep, dtype=scores.dtype).masked_fill_(~block.keep, -math.inf)
    return scores


def _exponential(scores: Tensor, block: Block) -> Float[Tensor, "batch heads rows keys"]:
    """Return exp of the scores, exactly 0 at hidden pairs; changes `scores`."""
    # `exp_` takes twice as long for infinities, and ten times as long for results near the smallest normal number; a
    # weight as small as this adds nothing to a sum.
    weights: Tensor = scores.clamp_min_(0.9 * math.log(torch.finfo(scores.dtype).tiny)).exp_()
    return weights if block.keep is None else weights.mul_(block.keep.to(weights.dtype))


def _add(total: Tensor, keys: slice | Tensor, part: Tensor) -> None:
    """Add `part` to the rows `keys` of `total` [batch heads kv d]."""
    if isinstance(keys, slice):
        total[:, :, keys] += part
    elif index_length(keys):
        total.index_add_(2, keys, part)
