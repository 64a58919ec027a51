"""Biases, gates and normalisers: alibi, transform, topk."""

from __future__ import annotations

import math

import pytest
import torch
from helpers import HEADS, TABLE, causal, placement, plan, request, sizes
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from maskbench.masks.clock import Clock
from maskbench.masks.plan import MaskPlan


def bias(
    arm: MaskPlan, q_len: int = 5, kv_len: int = 7, layer: int = 0, clock: Clock | None = None
) -> Tensor:
    site = arm.placed[0].site
    asked = request(q_len, kv_len, clock=clock or Clock("train", 0, 100))
    found = arm.attention(site, layer, asked).bias
    assert found is not None
    return found


def test_alibi_subtracts_each_heads_slope_times_the_distance():
    found = bias(plan(placement("encoder_self", "alibi", scale=2.0)), 5, 7)
    for h in range(HEADS):
        slope = 2 * 2 ** (-8 * (h + 1) / HEADS)
        expected = [[-slope * abs(i - j) for j in range(7)] for i in range(5)]
        torch.testing.assert_close(
            found[0, h], torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=0
        )


def learned(mapping: str = "linear", side: str = "left", base: str = "causal") -> MaskPlan:
    return plan(placement("decoder_self", "transform", map=mapping, side=side, base=base))


@pytest.mark.parametrize("mapping", ["linear", "convolution"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_transform_starts_as_the_identity_on_scores_and_on_its_base(mapping, side):
    arm = learned(mapping, side)
    strategy, options = arm.placed[0].strategy, arm.placed[0].options
    assert bool((bias(arm) == 0).all())
    assert torch.equal(strategy.transformed(options, 0), causal(TABLE, TABLE)[0, 0].float())


@pytest.mark.parametrize(
    ("side", "expected"),
    [("left", [[2, 1, 1], [1, 1, 0], [2, 1, 1]]), ("right", [[1, 0, 1], [1, 1, 1], [2, 1, 2]])],
)
def test_the_worked_example_maps_a_causal_mask_as_on_paper(side, expected):
    # T = [[1,0,1],[0,1,0],[1,0,1]]: T @ tril(1) and tril(1) @ T worked out by hand; both open pairs above the diagonal.
    small = sizes(encoder_layers=1, decoder_layers=1)
    arm = plan(placement("decoder_self", "transform", side=side), of=small)
    strategy = arm.placed[0].strategy
    with torch.no_grad():
        strategy.map[0, :3, :3] = torch.tensor([[1.0, 0, 1], [0, 1, 0], [1, 0, 1]])
    assert strategy.transformed(arm.placed[0].options, 0)[:3, :3].tolist() == expected


def test_a_transform_is_the_published_formula_times_its_strength():
    arm = plan(placement("decoder_self", "transform", strength={"step": [[0, 0.5], [0.5, 2.0]]}))
    strategy = arm.placed[0].strategy
    with torch.no_grad():
        strategy.amount.copy_(torch.arange(1.0, 1 + 2 * HEADS).reshape(2, HEADS))
    for clock, strength in ((Clock("train", 49, 100), 0.5), (Clock("train", 50, 100), 2.0)):
        found = bias(arm, 4, 4, layer=1, clock=clock)
        for h in range(HEADS):
            for i in range(4):
                for j in range(4):
                    softplus = math.log1p(math.exp(-1.0 if j <= i else 0.0))
                    assert found[0, h, i, j].item() == pytest.approx(
                        -strength * (HEADS + h + 1) * softplus, rel=1e-5
                    )


def test_a_gate_never_exceeds_one_and_a_negative_amount_can_come_back():
    arm = learned()
    strategy = arm.placed[0].strategy
    with torch.no_grad():
        strategy.amount.fill_(-0.3)
    found = bias(arm)
    assert bool((found == 0).all())
    found.sum().backward()
    assert bool((strategy.amount.grad[0] < 0).all())


def test_a_transform_learns_its_amount_first_and_its_map_next():
    arm = learned()
    strategy = arm.placed[0].strategy
    bias(arm).sum().backward()
    assert bool((strategy.amount.grad[0] != 0).all())
    assert bool((strategy.map.grad == 0).all())
    with torch.no_grad():
        strategy.amount.fill_(0.1)
    bias(arm).sum().backward()
    assert bool((strategy.map.grad[0, :5] != 0).any())


def test_layers_learn_maps_of_their_own():
    arm = learned()
    with torch.no_grad():
        arm.placed[0].strategy.amount[1] = 1.0
    assert bool((bias(arm, layer=0) == 0).all())
    assert bool((bias(arm, layer=1) < 0).all())


@given(st.integers(1, 7), st.integers(1, 5), st.integers(0, 3))
def test_topk_shares_the_attention_among_the_best_allowed_keys(kv_len, k, seed):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(2, HEADS, 3, kv_len, generator=generator, dtype=torch.float64)
    keep = torch.rand(2, 1, 3, kv_len, generator=generator) < 0.7
    keep[..., 0] = True
    hidden = scores.masked_fill(~keep, -torch.inf)
    arm = plan(placement("cross", "topk", k=k))
    normaliser = arm.attention("cross", 0, request(3, kv_len)).normaliser
    assert normaliser is not None
    weights = normaliser(hidden, keep)
    for row, weight in zip(
        hidden.reshape(-1, kv_len).tolist(), weights.reshape(-1, kv_len).tolist(), strict=True
    ):
        best = sorted((s for s in row if s > -math.inf), reverse=True)[:k]
        total = sum(math.exp(s) for s in best)
        assert weight == pytest.approx([math.exp(s) / total if s in best else 0.0 for s in row])


def test_topk_gives_a_tie_to_the_earlier_key():
    normaliser = (
        plan(placement("cross", "topk", k=2)).attention("cross", 0, request(1, 5, batch=1)).normaliser
    )
    assert normaliser is not None
    weights = normaliser(torch.zeros(1, HEADS, 1, 5), torch.ones(1, 1, 1, 5, dtype=torch.bool))
    assert weights[0, 0, 0].tolist() == [0.5, 0.5, 0, 0, 0]


def test_topk_on_one_head_leaves_the_softmax_to_the_others():
    arm = MaskPlan(
        [placement("cross", "topk", k=1).model_copy(update={"heads": (1,)})],
        seed=0,
        streams="a",
        sizes=sizes(),
    )
    normaliser = arm.attention("cross", 0, request(2, 5)).normaliser
    assert normaliser is not None
    scores = torch.arange(5.0).expand(2, HEADS, 2, 5)
    weights = normaliser(scores, torch.ones(1, 1, 2, 5, dtype=torch.bool))
    assert (weights > 0).sum(-1)[0, :, 0].tolist() == [5, 1, 5]
