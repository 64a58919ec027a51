"""Masks around the place a target position points at, against nested loops."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from helpers import HEAD_DIM, HEADS, placement, plan, request, sizes
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from maskbench.masks.context import AttentionDecision, Sizes
from maskbench.masks.plan import MaskPlan
from maskbench.masks.strategies.scores.diagonal_biases import LocalP

D_MODEL = HEADS * HEAD_DIM


def with_ratio(ratio: float) -> Sizes:
    return replace(sizes(), facts=replace(sizes().facts, length_ratio=ratio))


def decide(
    arm: MaskPlan, lengths: list[int], q_len: int, start: int = 0, layer: int = 0
) -> AttentionDecision:
    """The answer for sources of these lengths and the target positions from `start` on."""
    asked = request(q_len, max(lengths), batch=len(lengths))
    asked = replace(asked, src_lengths=torch.tensor(lengths), q_idx=torch.arange(start, start + q_len))
    return arm.decide_attention("cross", layer, asked)


@given(
    st.lists(st.integers(1, 9), min_size=2, max_size=3),
    st.integers(1, 6),
    st.integers(0, 5),
    st.integers(0, 4),
    st.sampled_from([0.5, 0.8, 1.0, 1.25, 3.0]),
)
def test_diagonal_keeps_exactly_the_pairs_of_a_double_loop(lengths, q_len, start, width, ratio):
    arm = plan(placement("cross", "diagonal", width=width), of=with_ratio(ratio))
    keep = decide(arm, lengths, q_len, start).keep
    for b, length in enumerate(lengths):
        for i in range(q_len):
            centre = min((start + i) / ratio, length - 1)
            # Halfway between two tokens the later one counts as the nearest.
            nearest = min(range(length), key=lambda s: (abs(s - centre), -s))
            expected = [abs(s - centre) <= width or s == nearest for s in range(length)]
            assert keep[b, 0, i, :length].tolist() == expected and any(expected)


def test_a_place_beyond_the_source_is_its_last_token():
    keep = decide(plan(placement("cross", "diagonal", width=1), of=with_ratio(1.0)), [3, 8], 6).keep
    assert keep[0, 0, 5, :3].tolist() == [False, True, True]
    assert keep[1, 0, 5].tolist() == [False] * 4 + [True] * 3 + [False]


@pytest.mark.parametrize("ratio", [0.5, 0.8, 1.0, 1.3, 4.0])
@pytest.mark.parametrize("width", [0, 1, 3, 20])
def test_the_density_of_a_diagonal_is_the_share_it_keeps(width, ratio):
    arm = plan(placement("cross", "diagonal", width=width), of=with_ratio(ratio))
    strategy = arm.placed[0].strategy
    for q_len, length in [(1, 1), (5, 7), (9, 4)]:
        keep = decide(arm, [length], q_len).keep.double()
        found = strategy.density(arm.placed[0].options, q_len, length)
        assert found == pytest.approx(keep.mean().item())


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([0.8, 1.5]), st.sampled_from([0.5, 2.0]))
def test_soft_diagonal_is_a_gaussian_around_the_diagonal(length, q_len, ratio, sigma):
    arm = plan(placement("cross", "soft_diagonal", sigma=sigma), of=with_ratio(ratio))
    bias = decide(arm, [length, 9], q_len).bias
    assert bias is not None and decide(arm, [length, 9], q_len).keep.all()
    for i in range(q_len):
        for s in range(length):
            away = s - min(i / ratio, length - 1)
            assert bias[0, 0, i, s].item() == pytest.approx(-(away**2) / (2 * sigma**2), abs=1e-12)


def filled(arm: MaskPlan) -> LocalP:
    """The arm's strategy with every parameter random and the amounts of both signs."""
    strategy = arm.placed[0].strategy.double()
    assert isinstance(strategy, LocalP)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in strategy.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        strategy.amount.copy_(torch.tensor([[0.5, -0.5, 2.0], [1.0, 0.0, 3.0]]))
    return strategy


@pytest.mark.parametrize("layer", [0, 1])
def test_local_p_is_a_gaussian_around_the_predicted_place(layer):
    arm = plan(placement("cross", "local_p", half_width=3.0))
    strategy, lengths = filled(arm), [7, 4]
    asked = replace(request(5, 7), src_lengths=torch.tensor(lengths))
    found = arm.decide_attention("cross", layer, asked).bias
    assert found is not None
    w, v = strategy.state[layer].tolist(), strategy.place[layer].tolist()
    amounts = [[0.5, 0.0, 2.0], [1.0, 0.0, 3.0]][layer]
    for b, length in enumerate(lengths):
        for i in range(5):
            x = asked.x[b, i].tolist()
            state = [math.tanh(sum(w[d][e] * x[e] for e in range(D_MODEL))) for d in range(D_MODEL)]
            for h in range(HEADS):
                share = 1 / (1 + math.exp(-sum(a * s for a, s in zip(v[h], state, strict=True))))
                for s in range(length):
                    expected = -amounts[h] * (s - length * share) ** 2 / (2 * 1.5**2)
                    assert found[b, h, i, s].item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_local_p_starts_without_any_bias_and_an_amount_below_zero_can_come_back():
    arm = plan(placement("cross", "local_p"))
    fresh = arm.decide_attention("cross", 1, request(5, 7)).bias
    assert fresh is not None and bool((fresh == 0).all())
    strategy = filled(arm)
    bias = arm.decide_attention("cross", 0, request(5, 7)).bias
    assert bias is not None and bool((bias[:, 1] == 0).all())
    bias.sum().backward()
    assert strategy.amount.grad is not None and bool((strategy.amount.grad[0] != 0).all())


def test_a_predicted_place_depends_on_its_own_state_only():
    strategy = filled(plan(placement("cross", "local_p")))
    x: Tensor = request(5, 7).x
    lengths = torch.tensor([7, 4])
    whole = strategy.places(x, lengths, 0)
    assert torch.allclose(strategy.places(x[:, 3:4], lengths, 0), whole[:, :, 3:4], rtol=1e-12)
    assert bool((whole > 0).all()) and bool((whole < lengths[:, None, None, None]).all())
