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
from maskbench.masks.context import AttentionContext
from maskbench.masks.plan import MaskPlan
from maskbench.masks.strategies.scores.position_biases import Alibi, AlibiOptions


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


def alibi_slopes(n_heads: int, **options: object) -> list[float]:
    """What `alibi` subtracts per position of distance, for each head."""
    strategy, asked = Alibi(AlibiOptions(), sizes(), "encoder_self"), request(2, 3)
    context = AttentionContext(asked, "encoder_self", 0, n_heads, None)
    found = strategy.bias(AlibiOptions.model_validate(options), context)
    return (-found[0, :, 0, 1]).tolist()


PUBLISHED_SLOPES = {
    1: [0.00390625],
    4: [0.25, 0.0625, 0.015625, 0.00390625],
    6: [0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125],
    8: [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125, 0.00390625],
    12: [
        *(0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125, 0.00390625),
        *(0.7071067811865476, 0.35355339059327384, 0.17677669529663692, 0.08838834764831849),
    ],
}
"""What the authors' `get_slopes(n)` returns, by n."""


@pytest.mark.parametrize("n_heads", PUBLISHED_SLOPES)
def test_alibi_has_the_slopes_of_its_authors_code(n_heads: int) -> None:
    assert alibi_slopes(n_heads, slopes="code") == pytest.approx(PUBLISHED_SLOPES[n_heads], rel=1e-6)


def test_alibi_has_the_slopes_of_the_papers_formula_unless_told_otherwise() -> None:
    formula = {
        6: [0.3968502629920499, 0.15749013123685915, 0.0625, *(0.3968502629920499**n for n in (4, 5, 6))],
        12: [0.6299605249474366**n for n in range(1, 13)],
    }
    for n_heads, slopes in formula.items():
        assert alibi_slopes(n_heads) == pytest.approx(slopes, rel=1e-5)
        assert alibi_slopes(n_heads, slopes="formula") == alibi_slopes(n_heads)
        assert sorted(alibi_slopes(n_heads)) != sorted(PUBLISHED_SLOPES[n_heads])


def test_the_default_slopes_are_not_written_out_so_that_old_runs_keep_their_identity() -> None:
    assert AlibiOptions(slopes="formula").model_dump(mode="json") == {"scale": 1.0}
    assert AlibiOptions(slopes="code").model_dump(mode="json") == {"scale": 1.0, "slopes": "code"}


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
