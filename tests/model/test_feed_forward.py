"""The feed-forward sublayer against the same operations, one by one, under autograd."""

from __future__ import annotations

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from maskbench.config.schema.experiment import ModelConfig
from maskbench.model.dropout import dropout
from maskbench.model.feed_forward import FeedForward

BATCH, LENGTH, D_MODEL, D_FF = 3, 5, 8, 28
NAMES = ("inner.weight", "inner.bias", "outer.weight", "outer.bias")


def sublayer(dtype: torch.dtype = torch.float32, p: float = 0.3, frozen: tuple[str, ...] = ()) -> FeedForward:
    built = FeedForward(ModelConfig(d_model=D_MODEL, n_heads=2, d_ff=D_FF, dropout=p)).to(dtype)
    generator = torch.Generator().manual_seed(4)
    for name, parameter in built.named_parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator) / 3)
        parameter.requires_grad_(name not in frozen)
    return built


def one_by_one(layer: FeedForward, x: Tensor) -> Tensor:
    hidden = F.linear(x, layer.inner.weight, layer.inner.bias).relu()
    hidden = dropout(hidden, layer.dropout.p) if layer.training else hidden
    return F.linear(hidden, layer.outer.weight, layer.outer.bias)


def output_and_gradients(layer: FeedForward, x: Tensor, *, plain: bool, half: bool) -> list[Tensor | None]:
    torch.manual_seed(9)
    layer.zero_grad()
    x = x.detach().clone().requires_grad_(x.requires_grad)
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        out = one_by_one(layer, x) if plain else layer(x)
    if out.requires_grad:
        weights = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)
        torch.autograd.backward(out, weights)
    return [out.detach(), x.grad, *(dict(layer.named_parameters())[name].grad for name in NAMES)]


@pytest.mark.parametrize(
    ("dtype", "half"), [(torch.float32, False), (torch.float64, False), (torch.float32, True)]
)
@pytest.mark.parametrize(
    ("training", "p"), [pair for pair in product([True, False], [0.3, 0.0]) if pair != (False, 0.0)]
)
def test_outputs_and_gradients_are_equal_bit_by_bit(
    dtype: torch.dtype, half: bool, training: bool, p: float
) -> None:
    layer = sublayer(dtype, p).train(training)
    x = torch.randn(BATCH, LENGTH, D_MODEL, dtype=dtype, requires_grad=True)
    found, wanted = (output_and_gradients(layer, x, plain=plain, half=half) for plain in (False, True))
    for one, other in zip(found, wanted, strict=True):
        assert one is not None and other is not None
        assert one.dtype == other.dtype and torch.equal(one, other)


@pytest.mark.parametrize("frozen", [NAMES[:1], NAMES[1:3], NAMES[:2], NAMES[2:], NAMES])
@pytest.mark.parametrize("needs_x", [True, False])
def test_frozen_weights_and_inputs_get_no_gradient_and_the_others_keep_theirs(
    frozen: tuple[str, ...], needs_x: bool
) -> None:
    layer = sublayer(frozen=frozen)
    x = torch.randn(BATCH, LENGTH, D_MODEL, requires_grad=needs_x)
    found, wanted = (output_and_gradients(layer, x, plain=plain, half=False) for plain in (False, True))
    for one, other in zip(found, wanted, strict=True):
        assert (one is None) == (other is None)
        assert one is None or other is None or torch.equal(one, other)


def test_the_gradient_is_that_of_finite_differences() -> None:
    layer = sublayer(torch.float64).eval()
    x = torch.randn(2, 3, D_MODEL, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))


def test_one_tensor_of_the_hidden_width_is_kept_for_the_backward_pass() -> None:
    layer, kept = sublayer(), []
    x = torch.randn(BATCH, LENGTH, D_MODEL, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(tuple(t.shape)) or t, lambda t: t):
        layer(x)
    assert kept.count((BATCH * LENGTH, D_FF)) == 1
    assert sorted(kept) == sorted(
        [(BATCH * LENGTH, D_MODEL), (BATCH * LENGTH, D_FF), (D_FF, D_MODEL), (D_MODEL, D_FF)]
    )
