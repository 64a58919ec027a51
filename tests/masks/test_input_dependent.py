"""Masks that read the words: forget gates, selection by one head, dropping what hardly counts."""

from __future__ import annotations

import math

import pytest
import torch
from helpers import HEAD_DIM, HEADS, placement, plan, request
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from maskbench.config.schema.experiment import ModelConfig
from maskbench.masks.plan import MaskPlan
from maskbench.masks.strategies.scores.content_biases import Selective, SelectiveOptions

N = 6


def bias_of(arm: MaskPlan, layer: int = 0) -> Tensor:
    found = arm.decide_attention(arm.placed[0].site, layer, request(N, N)).bias
    assert found is not None
    return found


def forgetful(site: str, amount: float, **options: object) -> MaskPlan:
    """An arm whose gates have random weights, in every head `amount` strong."""
    arm = plan(placement(site, "forgetting_gate", **options))
    generator = torch.Generator().manual_seed(4)
    strategy = arm.placed[0].strategy
    with torch.no_grad():
        for name in ("weight", "bias"):
            parameter = getattr(strategy, name)
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
        strategy.amount.fill_(amount)
    return arm


@pytest.mark.parametrize("site", ["encoder_self", "decoder_self"])
def test_forget_gates_add_up_from_the_query_to_the_key_without_the_keys_own(site):
    arm, layer = forgetful(site, 0.7, strength=1.5), 1
    found, strategy, x = bias_of(arm, layer), arm.placed[0].strategy, request(N, N).x.tolist()
    for b in range(2):
        for h in range(HEADS):
            weight, shift = strategy.weight[layer, h].tolist(), strategy.bias[layer, h].item()
            dots = [sum(w * v for w, v in zip(weight, x[b][i], strict=True)) + shift for i in range(N)]
            log_f = [-math.log1p(math.exp(-dot)) for dot in dots]
            for i in range(N):
                for j in range(N):
                    between = range(j + 1, i + 1) if j <= i else range(i, j)
                    expected = 1.5 * 0.7 * sum(log_f[step] for step in between)
                    assert found[b, h, i, j].item() == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_forget_gates_start_as_nothing_and_a_negative_amount_can_come_back():
    assert bool((bias_of(plan(placement("encoder_self", "forgetting_gate"))) == 0).all())
    arm = forgetful("encoder_self", -0.2)
    found = bias_of(arm)
    assert bool((found == 0).all())
    found.sum().backward()
    assert bool((arm.placed[0].strategy.amount.grad[0] < 0).all())


@pytest.mark.parametrize("mask", ["forgetting_gate", "selective"])
def test_what_needs_earlier_positions_refuses_to_be_cached_in_the_decoder(mask):
    assert not plan(placement("decoder_self", mask)).cacheable
    if mask == "forgetting_gate":
        assert plan(placement("encoder_self", mask)).cacheable


@pytest.mark.parametrize("head", [0, 2])
def test_selection_turns_a_key_down_for_all_queries_after_the_selecting_one(head):
    arm = plan(placement("decoder_self", "selective", head=head, strength=2.0))
    found, asked = bias_of(arm), request(N, N)
    query, key = asked.query[:, head].tolist(), asked.key[:, head].tolist()
    some = 0
    for b in range(2):
        for i in range(N):
            for j in range(i + 1):
                total = 0.0
                for k in range(i):
                    if 0 < j < k:
                        dot = sum(p * q for p, q in zip(query[b][k], key[b][j], strict=True))
                        total += max(0.0, dot / math.sqrt(HEAD_DIM))
                assert found[b, 0, i, j].item() == pytest.approx(-2 * total, abs=1e-9)
                some += total > 0
    assert some >= 5


def test_selection_by_a_head_that_is_not_there_is_refused():
    at = placement("decoder_self", "selective", head=4)
    with pytest.raises(ValueError, match="there is no head 4: the model has 0 to 3"):
        Selective.check("decoder_self", SelectiveOptions(head=4), at, ModelConfig(n_heads=4))


def thresholded(scores: Tensor, keep: Tensor, share: float) -> Tensor:
    arm = plan(placement("cross", "threshold", share=share))
    asked = request(scores.shape[2], scores.shape[3], batch=scores.shape[0])
    normaliser = arm.decide_attention("cross", 0, asked).normaliser
    assert normaliser is not None
    return normaliser(scores.masked_fill(~keep, -torch.inf), keep)


@given(st.integers(1, 8), st.sampled_from([0.0, 0.3, 1.0, 2.5, 100.0]), st.integers(0, 4))
def test_a_threshold_drops_what_falls_short_of_its_share_and_keeps_the_best(kv_len, share, seed):
    generator = torch.Generator().manual_seed(seed)
    scores = 2 * torch.randn(2, HEADS, 3, kv_len, generator=generator, dtype=torch.float64)
    keep = torch.rand(2, 1, 3, kv_len, generator=generator) < 0.7
    keep[..., 0] = True
    weights = thresholded(scores, keep, share)
    for b in range(2):
        for h in range(HEADS):
            for i in range(3):
                seen = {j: math.exp(scores[b, h, i, j]) for j in range(kv_len) if keep[b, 0, i, j]}
                least = share * sum(seen.values()) / len(seen)
                left = {j: e for j, e in seen.items() if e >= least or e == max(seen.values())}
                expected = [left.get(j, 0.0) / sum(left.values()) for j in range(kv_len)]
                assert weights[b, h, i].tolist() == pytest.approx(expected)


def test_a_threshold_beyond_reach_keeps_all_keys_that_tie_for_the_best():
    scores = torch.tensor([1.0, 3.0, 3.0, 0.0]).expand(1, HEADS, 1, 4)
    weights = thresholded(scores, torch.ones(1, 1, 1, 4, dtype=torch.bool), 50.0)
    assert weights[0, 0, 0].tolist() == [0.0, 0.5, 0.5, 0.0]


def test_a_threshold_knows_how_many_stay_only_where_it_drops_nothing():
    visible = torch.tensor([1, 5])
    for share, expected in ((0.0, [1, 5]), (0.5, None)):
        placed = plan(placement("cross", "threshold", share=share)).placed[0]
        kept = placed.strategy.kept(placed.options, visible)
        assert (None if kept is None else kept.tolist()) == expected
