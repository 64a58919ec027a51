"""Biases and normalisers: alibi, topk."""

from __future__ import annotations

import math

import pytest
import torch
from helpers import HEADS, placement, plan, request, sizes
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
    found = arm.decide_attention(site, layer, asked).bias
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


@given(st.integers(1, 7), st.integers(1, 5), st.integers(0, 3))
def test_topk_shares_the_attention_among_the_best_allowed_keys(kv_len, k, seed):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(2, HEADS, 3, kv_len, generator=generator, dtype=torch.float64)
    keep = torch.rand(2, 1, 3, kv_len, generator=generator) < 0.7
    keep[..., 0] = True
    hidden = scores.masked_fill(~keep, -torch.inf)
    arm = plan(placement("cross", "topk", k=k))
    normaliser = arm.decide_attention("cross", 0, request(3, kv_len)).normaliser
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
        plan(placement("cross", "topk", k=2)).decide_attention("cross", 0, request(1, 5, batch=1)).normaliser
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
    normaliser = arm.decide_attention("cross", 0, request(2, 5)).normaliser
    assert normaliser is not None
    scores = torch.arange(5.0).expand(2, HEADS, 2, 5)
    weights = normaliser(scores, torch.ones(1, 1, 2, 5, dtype=torch.bool))
    assert (weights > 0).sum(-1)[0, :, 0].tolist() == [5, 1, 5]
