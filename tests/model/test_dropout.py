"""Our own dropout bits."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskbench.model.dropout import Dropout, dropout, quantise, random_int16

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


@given(st.floats(0.0, 0.9), st.sampled_from(DTYPES))
def test_keep_probability_times_factor_is_one_in_every_dtype(p, dtype):
    kept, factor = quantise(p, dtype)
    assert abs(kept / 65_536 * factor - 1.0) < 1e-4
    assert torch.tensor(factor, dtype=dtype).item() == factor
    assert abs(kept / 65_536 - (1.0 - p)) < 2e-5 + (0.004 if dtype.itemsize == 2 else 0.0)


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5])
def test_probabilities_outside_the_range_are_refused(p):
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        dropout(torch.ones(3), p)


@pytest.mark.parametrize("lane", range(4))
def test_all_sixteen_bits_of_every_lane_are_fair(lane):
    torch.manual_seed(lane)
    draws = random_int16(torch.empty(20_000, 4))[:, lane].int() & 0xFFFF
    for bit in range(16):
        ones = int(((draws >> bit) & 1).sum())
        assert abs(ones - 10_000) < 5 * math.sqrt(5_000), bit


def test_the_threshold_keeps_exactly_the_quantised_share_of_all_draws(monkeypatch):
    every = torch.arange(-32_768, 32_768, dtype=torch.int32).to(torch.int16)
    monkeypatch.setattr("maskbench.model.dropout.random_int16", lambda like, generator=None: every)
    for p in (0.1, 0.25, 0.5, 0.9):
        kept, factor = quantise(p, torch.float32)
        out = dropout(torch.ones(65_536), p)
        assert int((out != 0).sum()) == kept
        assert set(out.tolist()) == {0.0, factor}


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_mean_of_a_large_tensor_stays(dtype):
    torch.manual_seed(1)
    out = dropout(torch.ones(300, 1001, dtype=dtype), 0.1).double()
    assert abs(float(out.mean()) - 1.0) < 5 * float(out.std()) / math.sqrt(out.numel())


def test_the_gradient_is_what_was_kept():
    torch.manual_seed(2)
    x = torch.randn(5, 7, dtype=torch.float64).requires_grad_()
    out = dropout(x, 0.3)
    out.sum().backward()
    torch.testing.assert_close(x.grad, out.detach() / x.detach())


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_large_tensor_has_the_bits_of_a_small_one_and_keeps_less_for_backward(dtype, monkeypatch):
    x, direction = torch.randn(2, 13, 17, dtype=dtype)
    found = []
    for large in (1 << 30, 1):
        monkeypatch.setattr("maskbench.model.dropout._LARGE", large)
        kept, leaf = 0, x.clone().requires_grad_()

        def note(tensor):
            nonlocal kept
            kept += tensor.nbytes
            return tensor

        torch.manual_seed(5)
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            out = dropout(leaf, 0.3)
        (grad,) = torch.autograd.grad(out, leaf, direction)
        found.append((out.detach(), grad, kept / x.numel()))
    (out, grad, kept), (lean_out, lean_grad, lean_kept) = found
    assert torch.equal(lean_out, out) and torch.equal(lean_grad, grad)
    assert lean_kept == 1 < kept


def test_torchs_default_generator_decides():
    x = torch.ones(5, 7, 11)
    torch.manual_seed(3)
    first, second = dropout(x, 0.5), dropout(x, 0.5)
    torch.manual_seed(3)
    assert torch.equal(dropout(x, 0.5), first) and not torch.equal(first, second)


def test_nothing_is_dropped_in_evaluation_or_at_zero():
    x = torch.randn(5, 7)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x
    assert repr(Dropout(0.5)) == "Dropout(p=0.5)"
