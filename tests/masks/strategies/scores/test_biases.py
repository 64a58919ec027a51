"""Score biases over distances: T5's buckets, bells at fixed offsets, bells at predicted places; ALiBi's sign."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from helpers import HEAD_DIM, HEADS, placement, plan, request
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from maskbench.config.schema.experiment import ModelConfig
from maskbench.masks.clock import Clock
from maskbench.masks.context import AttentionRequest
from maskbench.masks.plan import MaskPlan
from maskbench.masks.strategies.scores.position_biases import T5Bias, T5BiasOptions, distance_bucket

ONE_SIDED = [0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7, 7, 7]
"""Buckets of the distances 0 to 17 with 8 buckets up to 16: an edge where (d / 4)^4 reaches 4, 16 and 64."""
HALF = [0, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3]
"""Likewise with the 4 buckets of one side: an edge where (d / 2)^2 reaches 8."""


def bias_of(arm: MaskPlan, asked: AttentionRequest, layer: int = 0) -> Tensor:
    found = arm.decide_attention(arm.placed[0].site, layer, asked).bias
    assert found is not None
    return found


def fill(arm: MaskPlan) -> None:
    """Give every learned number of the arm's first strategy a value of its own."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in arm.placed[0].strategy.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))


def test_alibi_never_rewards_a_key_for_being_ahead():
    for site in ("encoder_self", "decoder_self"):
        found = bias_of(plan(placement(site, "alibi")), request(6, 6))[0, 0]
        assert torch.equal(found, found.T)
        assert bool((found.diff(dim=1).triu() < 0).any()) and found.max() == 0


@pytest.mark.parametrize(("buckets", "expected"), [(8, ONE_SIDED), (4, HALF)])
def test_distances_fall_into_the_buckets_worked_out_by_hand(buckets, expected):
    assert [distance_bucket(d, buckets, 16) for d in range(18)] == expected


@given(st.integers(2, 40), st.integers(1, 200), st.integers(0, 400))
def test_buckets_follow_the_published_logarithm_wherever_rounding_cannot_move_it(buckets, more, distance):
    exact = buckets // 2
    limit = exact + more
    found = distance_bucket(distance, buckets, limit)
    if distance < exact:
        assert found == distance
        return
    steps = (buckets - exact) * math.log(distance / exact) / math.log(limit / exact)
    if abs(steps - round(steps)) > 1e-9:
        assert found == min(exact + math.floor(steps), buckets - 1)
    else:
        assert found == min(exact + round(steps), buckets - 1)


@pytest.mark.parametrize(("site", "layer"), [("encoder_self", 1), ("decoder_self", 0)])
def test_t5_bias_looks_every_pair_up_in_the_table_of_its_layer(site, layer):
    arm = plan(placement(site, "t5_bias"))
    fill(arm)
    table = arm.placed[0].strategy.table[layer]
    found = bias_of(arm, request(18, 18), layer)
    for h in range(HEADS):
        for i in range(18):
            for j in range(18):
                if site == "encoder_self":
                    index = HALF[i - j] if j <= i else 4 + HALF[j - i]
                else:
                    index = ONE_SIDED[i - j] if j <= i else 0
                assert found[0, h, i, j] == table[index, h]


def test_a_later_query_alone_gets_its_row_of_the_t5_bias():
    arm = plan(placement("decoder_self", "t5_bias"))
    fill(arm)
    whole = bias_of(arm, request(9, 9))
    last = replace(request(1, 9), q_idx=torch.tensor([8]))
    assert torch.equal(bias_of(arm, last), whole[:, :, 8:])


def test_t5_bias_starts_at_zero_and_learns_every_bucket_in_use():
    arm = plan(placement("encoder_self", "t5_bias"))
    found = bias_of(arm, request(18, 18))
    assert bool((found == 0).all())
    found.sum().backward()
    used = arm.placed[0].strategy.table.grad[0] != 0
    # No key that is ahead has distance 0.
    assert used.all(-1).tolist() == [True, True, True, True, False, True, True, True]


def test_t5_bias_refuses_what_has_no_bucket():
    with pytest.raises(ValueError, match="max_distance must exceed buckets // 2 = 20"):
        T5BiasOptions(buckets=40, max_distance=16)
    at = placement("encoder_self", "t5_bias", buckets=7)
    with pytest.raises(
        ValueError, match="buckets must be even at encoder_self, one half for each side; got 7"
    ):
        T5Bias.check("encoder_self", T5BiasOptions(buckets=7), at, ModelConfig())
    T5Bias.check("decoder_self", T5BiasOptions(buckets=7), at, ModelConfig())


def test_gaussian_heads_take_the_offsets_in_turn():
    arm = plan(placement("encoder_self", "gaussian", offsets=[-2, 1], sigma=1.5))
    found = bias_of(arm, request(4, 6))
    for h, offset in enumerate([-2, 1, -2]):
        for i in range(4):
            for j in range(6):
                expected = -((j - i - offset) ** 2) / (2 * 1.5**2)
                assert found[0, h, i, j].item() == pytest.approx(expected, abs=1e-12)


def test_the_width_of_a_gaussian_follows_its_schedule():
    arm = plan(placement("encoder_self", "gaussian", sigma={"linear": [1.0, 3.0]}))
    middle = bias_of(arm, request(3, 5, clock=Clock("train", 50, 100)))
    assert middle[0, 1, 0, 4].item() == pytest.approx(-(4**2) / (2 * 2.0**2))


@pytest.mark.parametrize("options", [{"sigma": 0.05}, {"offsets": []}, {"offsets": [0.5]}])
def test_a_gaussian_refuses_a_width_or_offsets_that_mean_nothing(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        plan(placement("encoder_self", "gaussian", **options))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize("site", ["encoder_self", "decoder_self"])
def test_localness_is_a_bell_where_the_query_predicts_it(site):
    arm = plan(placement(site, "localness", strength=0.5))
    fill(arm)
    strategy, layer, lengths = arm.placed[0].strategy, 1, [7, 4]
    strategy.amount.data.abs_()
    asked = replace(request(7, 7), src_lengths=torch.tensor(lengths))
    found = bias_of(arm, asked, layer)
    learned = {k: v[layer].tolist() for k, v in strategy.named_parameters()}
    query = asked.query.tolist()
    for b in range(2):
        for h in range(HEADS):
            for i in range(7):
                last = lengths[b] - 1 if site == "encoder_self" else i
                dots = [
                    sum(query[b][h][i][d] * learned[name][h][d] for d in range(HEAD_DIM))
                    for name in ("centre", "window")
                ]
                centre = last * sigmoid(dots[0] + learned["centre_bias"][h])
                sigma = (1 + last * sigmoid(dots[1] + learned["window_bias"][h])) / 2
                for j in range(7):
                    expected = -0.5 * learned["amount"][h] * (j - centre) ** 2 / (2 * sigma**2)
                    assert found[b, h, i, j].item() == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_localness_acts_as_nothing_below_zero_and_can_come_back():
    arm = plan(placement("decoder_self", "localness"))
    fill(arm)
    strategy = arm.placed[0].strategy
    strategy.amount.data.fill_(-0.7)
    found = bias_of(arm, request(5, 5))
    assert bool((found == 0).all())
    found.sum().backward()
    assert bool((strategy.amount.grad[0] < 0).all())
