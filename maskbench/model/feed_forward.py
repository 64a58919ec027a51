"""The feed-forward sublayer: two linear maps with a ReLU and dropout between them.

Its hidden states are the widest tensors of a layer, and as many operations in PyTorch it keeps three of them
for the backward pass: after the ReLU, the factors of dropout, and their product. Here it is one operation
that works in place and keeps the last alone. The results are equal bit by bit.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from maskbench.config.schema.experiment import ModelConfig
from maskbench.model.attention import Projection
from maskbench.model.dropout import Dropout, keep_noise, quantise


class FeedForward(nn.Module):
    """Two linear maps with a ReLU and dropout between them, applied to each position separately."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.inner = Projection(config.d_model, config.d_ff, bias=True)
        self.outer = Projection(config.d_ff, config.d_model, bias=True)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Float[Tensor, "batch len d_model"]) -> Float[Tensor, "batch len d_model"]:
        """Return the transformed states."""
        p = self.dropout.p if self.dropout.training else 0.0
        weights = (self.inner.weight, self.inner.bias, self.outer.weight, self.outer.bias)
        out: Tensor = _TwoMaps.apply(x, *weights, p)  # type: ignore[no-untyped-call]
        return out


class _TwoMaps(torch.autograd.Function):
    """The computation of `FeedForward`; backward works once."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        inner: Tensor,
        inner_bias: Tensor,
        outer: Tensor,
        outer_bias: Tensor,
        p: float,
    ) -> Tensor:
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        # Backward runs outside autocast, so the operands are cast here, as autocast would cast them.
        # [batch len d_model] -> [batch*len d_model]: every position is a row.
        rows, inner, outer = (tensor.to(dtype) for tensor in (x.reshape(-1, x.shape[-1]), inner, outer))
        hidden = torch.addmm(inner_bias.to(dtype), rows, inner.t()).relu_()
        kept, factor = quantise(p, dtype)
        is_dropped = kept < quantise(0.0, dtype)[0]
        if is_dropped:
            hidden.mul_(keep_noise(hidden, p))
        ctx.save_for_backward(rows, hidden, inner, outer)
        ctx.factor = factor if is_dropped else None
        ctx.shape, ctx.dtypes = x.shape, (x.dtype, inner_bias.dtype)
        return torch.addmm(outer_bias.to(dtype), hidden, outer.t()).view(x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, hidden, inner, outer = ctx.saved_tensors
        dtype_x, dtype_weights = ctx.dtypes
        needs_x, needs_inner, needs_inner_bias, needs_outer, needs_outer_bias, _ = ctx.needs_input_grad
        grad = grad.reshape(-1, grad.shape[-1])
        grads: list[Tensor | None] = [None] * 6
        if needs_outer:
            grads[3] = (grad.t() @ hidden).to(dtype_weights)
        if needs_outer_bias:
            grads[4] = grad.sum(0).to(dtype_weights)
        if needs_x or needs_inner or needs_inner_bias:
            # `hidden` is positive exactly where the ReLU lets the gradient pass and dropout keeps it.
            within = torch.ops.aten.threshold_backward(grad @ outer, hidden, 0)
            if ctx.factor is not None:
                within.mul_(ctx.factor)
            if needs_inner:
                grads[1] = (within.t() @ rows).to(dtype_weights)
            if needs_inner_bias:
                grads[2] = within.sum(0).to(dtype_weights)
            if needs_x:
                grads[0] = (within @ inner).to(dtype_x).view(ctx.shape)
        return tuple(grads)
