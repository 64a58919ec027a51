"""Attention against a reference that never meets a hidden pair."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from maskbench.masks.context import AttentionDecision
from maskbench.model.attention import attend, legal_pairs
from maskbench.model.dropout import Dropout

BATCH, HEADS, HEAD_DIM = 2, 3, 5
OFF = nn.Identity()


def tensors(q_len: int, kv_len: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(10 * q_len + kv_len)
    lengths = (q_len, kv_len, kv_len)
    return tuple(  # type: ignore[return-value]
        torch.randn(BATCH, HEADS, n, HEAD_DIM, generator=generator, dtype=dtype).requires_grad_()
        for n in lengths
    )


def looped(query: Tensor, key: Tensor, value: Tensor, keep: Tensor, bias: Tensor | None = None) -> Tensor:
    """Every query by itself, over a list that holds the kept keys alone."""
    out = torch.zeros_like(query)
    for b in range(query.shape[0]):
        for h in range(query.shape[1]):
            for i in range(query.shape[2]):
                seen = [j for j in range(key.shape[2]) if keep[b, h, i, j]]
                added = [0.0 if bias is None else float(bias[b, h, i, j]) for j in seen]
                powers = [
                    math.exp(float(query[b, h, i] @ key[b, h, j]) / math.sqrt(query.shape[3]) + a)
                    for j, a in zip(seen, added, strict=True)
                ]
                for j, power in zip(seen, powers, strict=True):
                    out[b, h, i] += power / sum(powers) * value[b, h, j]
    return out


@st.composite
def patterns(draw: st.DrawFn) -> Tensor:
    q_len, kv_len = draw(st.integers(1, 6)), draw(st.sampled_from([1, 2, 3, 7, 15, 16, 17]))
    n = BATCH * HEADS * q_len * kv_len
    cells = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    keep = torch.tensor(cells).reshape(BATCH, HEADS, q_len, kv_len)
    emptied = draw(st.sets(st.integers(0, q_len - 1), max_size=2))
    keep[:, :, list(emptied)] = False
    return keep


@given(patterns())
def test_attention_is_the_softmax_over_the_kept_keys_alone(keep):
    query, key, value = tensors(*keep.shape[2:])
    bias = torch.randn(keep.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for added in (None, bias):
        context = attend(query, key, value, AttentionDecision(keep, added), OFF)
        expected = looped(query.detach(), key.detach(), value.detach(), keep, added)
        torch.testing.assert_close(context.detach(), expected, rtol=1e-12, atol=1e-12)


@given(patterns(), st.sampled_from([torch.float64, torch.float32, torch.bfloat16]))
def test_a_query_with_no_kept_key_returns_zeros_and_every_gradient_is_finite(keep, dtype):
    query, key, value = tensors(*keep.shape[2:], dtype=dtype)
    context = attend(query, key, value, AttentionDecision(keep), OFF)
    context.square().sum().backward()
    empty = ~keep.any(-1)
    assert bool((context[empty] == 0).all()) and bool((query.grad[empty] == 0).all())
    assert all(bool(t.grad.isfinite().all()) for t in (query, key, value))


@given(patterns())
def test_hiding_a_key_is_the_same_as_deleting_it(keep):
    query, key, value = tensors(*keep.shape[2:])
    seen = keep[:1, :1, :1, :].expand_as(keep)
    rest = seen[0, 0, 0]
    hidden = attend(query, key, value, AttentionDecision(seen), OFF)
    if not rest.any():
        assert bool((hidden == 0).all())
        return
    everything = torch.ones(1, 1, 1, int(rest.sum()), dtype=torch.bool)
    deleted = attend(query, key[:, :, rest], value[:, :, rest], AttentionDecision(everything), OFF)
    torch.testing.assert_close(hidden, deleted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kv_len", [7, 19])
def test_what_a_hidden_key_holds_changes_not_one_bit(kv_len):
    query, key, value = (t.detach() for t in tensors(4, kv_len))
    keep = torch.arange(kv_len) < 3
    decision = AttentionDecision(keep[None, None, None])
    before = attend(query, key, value, decision, OFF)
    garbage = torch.where(keep[:, None], 0.0, 1e4)
    assert torch.equal(attend(query, key + garbage, value - garbage, decision, OFF), before)


def test_flipping_the_polarity_changes_the_result():
    query, key, value = tensors(4, 7)
    keep = torch.rand(BATCH, HEADS, 4, 7, generator=torch.Generator().manual_seed(3)) < 0.5
    straight, flipped = (attend(query, key, value, AttentionDecision(k), OFF) for k in (keep, ~keep))
    assert not torch.allclose(straight, flipped)


def test_a_mask_that_keeps_everything_changes_not_one_bit():
    query, key, value = tensors(4, 7)
    narrow = torch.ones(1, 1, 1, 7, dtype=torch.bool)
    wide = torch.ones(BATCH, HEADS, 4, 7, dtype=torch.bool)
    first, second = (attend(query, key, value, AttentionDecision(k), OFF) for k in (narrow, wide))
    assert torch.equal(first, second)


def test_a_normaliser_sees_hidden_pairs_at_minus_infinity_and_no_empty_row():
    query, key, value = tensors(4, 7)
    keep = torch.ones(1, 1, 4, 7, dtype=torch.bool).tril()
    keep[:, :, 2] = False
    seen = {}

    def normaliser(scores: Tensor, opened: Tensor) -> Tensor:
        seen["hidden"], seen["opened"] = scores == -torch.inf, opened
        return opened.double().expand_as(scores)

    context = attend(query, key, value, AttentionDecision(keep, normaliser=normaliser), OFF)
    assert torch.equal(seen["hidden"], ~seen["opened"].expand_as(seen["hidden"]))
    assert bool(seen["opened"].any(-1).all())
    torch.testing.assert_close(context[:, :, 3], value[:, :, :4].sum(2))
    assert bool((context[:, :, 2] == 0).all())


def test_head_gates_multiply_whole_heads():
    query, key, value = tensors(4, 7)
    keep = torch.ones(1, 1, 1, 7, dtype=torch.bool)
    gate = torch.tensor([[1.0, 0.0, 0.25]], dtype=torch.float64)
    plain = attend(query, key, value, AttentionDecision(keep), OFF)
    gated = attend(query, key, value, AttentionDecision(keep, head_gate=gate), OFF)
    torch.testing.assert_close(gated, torch.stack([plain[:, 0], plain[:, 1] * 0, plain[:, 2] / 4], 1))


def test_dropout_falls_on_weights_and_the_mean_stays():
    query, key, value = (t.detach() for t in tensors(4, 7))
    value = torch.ones_like(value)
    keep = torch.ones(1, 1, 1, 7, dtype=torch.bool)
    torch.manual_seed(0)
    decision, dropped = AttentionDecision(keep), Dropout(0.5)
    sums = torch.stack([attend(query, key, value, decision, dropped)[0, 0, 0, 0] for _ in range(2000)])
    assert len(sums.unique()) > 20
    assert abs(float(sums.mean()) - 1.0) < 5 * float(sums.std()) / math.sqrt(2000)


def test_bfloat16_stays_near_float64():
    rounded = tensors(6, 19, torch.bfloat16)
    keep = torch.rand(BATCH, 1, 6, 19, generator=torch.Generator().manual_seed(3)) < 0.6
    with torch.no_grad():
        near = attend(*rounded, AttentionDecision(keep), OFF).double()
        full = attend(*(t.double() for t in rounded), AttentionDecision(keep), OFF)
    assert float((near - full).abs().max()) < 2e-2


def test_the_softmax_is_computed_in_float32_under_low_precision():
    query, key, value = tensors(4, 7, torch.bfloat16)
    seen = []

    def normaliser(scores: Tensor, opened: Tensor) -> Tensor:
        seen.append(scores.dtype)
        return scores.softmax(-1)

    keep = torch.ones(1, 1, 4, 7, dtype=torch.bool)
    context = attend(query, key, value, AttentionDecision(keep, normaliser=normaliser), OFF)
    assert seen == [torch.float32] and context.dtype == torch.bfloat16


def test_legality_is_what_a_double_loop_says():
    q_idx, kv_idx, src_lengths = torch.tensor([3, 4, 5]), torch.arange(7), torch.tensor([2, 6])
    own = legal_pairs("decoder_self", q_idx, kv_idx, None)
    assert own.shape == (1, 1, 3, 7)
    assert own[0, 0].tolist() == [[j <= i for j in range(7)] for i in (3, 4, 5)]
    for site in ("encoder_self", "cross"):
        legal = legal_pairs(site, q_idx, kv_idx, src_lengths)
        assert legal.shape == (2, 1, 1, 7)
        assert legal[:, 0, 0].tolist() == [[j < n for j in range(7)] for n in (2, 6)]


def test_legality_refuses_sites_without_attention_and_missing_lengths():
    index = torch.arange(3)
    with pytest.raises(ValueError, match="no attention site"):
        legal_pairs("memory", index, index, torch.tensor([3]))
    with pytest.raises(ValueError, match="needs the source lengths"):
        legal_pairs("cross", index, index, None)
