"""What stands in place of the softmax: entmax, none at all, sigmoids, the softmax over queries."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from helpers import HEADS, placement, plan, request
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from torch import Tensor

from maskbench.masks.context import AttentionDecision, Normalise
from maskbench.masks.plan import MaskPlan
from maskbench.masks.softmax import softmax
from maskbench.masks.strategies.normalisers.entmax import entmax
from maskbench.model.attention import attend

ALPHAS = [1.0001, 1.05, 1.3, 1.5, 1.75, 2.0]
NORMALISERS: list[tuple[str, str, dict[str, Any]]] = [
    ("cross", "entmax", {"alpha": 1.5}),
    ("cross", "entmax", {"alpha": 2.0}),
    ("encoder_self", "adaptive_entmax", {}),
    ("cross", "threshold", {"share": 1.0}),
    ("cross", "linear_attention", {}),
    ("cross", "sigmoid_attention", {}),
    ("encoder_self", "inverted", {}),
    ("encoder_self", "inverted", {"renormalise": False}),
]
every_normaliser = pytest.mark.parametrize(("site", "mask", "options"), NORMALISERS)


def normaliser_of(arm: MaskPlan, q_len: int, kv_len: int, lengths: list[int] | None = None) -> Normalise:
    asked = request(q_len, kv_len)
    if lengths is not None:
        asked = replace(asked, src_lengths=torch.tensor(lengths))
    found = arm.decide_attention(arm.placed[0].site, 0, asked).normaliser
    assert found is not None
    return found


def drawn(*shape: int, seed: int = 0, scale: float = 1.5) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def by_root_finding(row: list[float], alpha: float) -> list[float]:
    """Entmax of one row: the threshold at which the powers sum to one, found from outside."""
    u = alpha - 1

    def powers(t: float) -> list[float]:
        return [max(0.0, 1 + u * (s - t)) ** (1 / u) for s in row]

    t = brentq(
        lambda t: sum(powers(t)) - 1, max(row) - 1e-9, max(row) + math.log(len(row)) + 1e-9, xtol=1e-14
    )
    return powers(t)


@given(
    st.lists(st.floats(-20, 20), min_size=1, max_size=12),
    st.sampled_from(ALPHAS),
    st.integers(0, 3),
)
def test_entmax_is_the_root_that_an_independent_solver_finds(row, alpha, hidden):
    scores = torch.tensor([*row, *[-math.inf] * hidden], dtype=torch.float64)
    weights = entmax(scores, number(alpha))
    assert weights[: len(row)].tolist() == pytest.approx(by_root_finding(row, alpha), abs=1e-9)
    assert weights[len(row) :].tolist() == [0.0] * hidden
    assert weights.sum().item() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("alpha", [1.2, 1.8, 2.0])
@pytest.mark.parametrize("scale", [0.01, 0.1, 0.5])
def test_entmax_is_exact_among_many_close_scores_too(alpha, scale):
    scores = drawn(5, 90, seed=1, scale=scale)
    scores[:, :45] *= 0.02
    weights = entmax(scores, number(alpha))
    for row, found in zip(scores.tolist(), weights.tolist(), strict=True):
        assert found == pytest.approx(by_root_finding(row, alpha), abs=1e-10)


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=9))
def test_at_two_entmax_is_the_projection_onto_the_simplex(row):
    # Sorting: the support is the longest prefix whose members stay above the mean that is left of them minus one.
    ordered, support = sorted(row, reverse=True), 0
    for k in range(1, len(row) + 1):
        if 1 + k * ordered[k - 1] > sum(ordered[:k]):
            support = k
    t = (sum(ordered[:support]) - 1) / support
    expected = [max(0.0, s - t) for s in row]
    assert entmax(torch.tensor(row, dtype=torch.float64), number(2.0)).tolist() == pytest.approx(
        expected, abs=1e-10
    )


def test_two_scores_give_the_entmax_worked_out_by_hand():
    # alpha 1.5: p = ((x + h) ^ 2, (x - h) ^ 2) with h = a quarter of the gap and 2 (x^2 + h^2) = 1. Gap 1: h = 1/4.
    x = math.sqrt(1 / 2 - 1 / 16)
    found = entmax(torch.tensor([0.5, 1.5], dtype=torch.float64), number(1.5))
    assert found.tolist() == pytest.approx([(x - 0.25) ** 2, (x + 0.25) ** 2])
    assert entmax(torch.tensor([0.0, 1.0], dtype=torch.float64), number(2.0)).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kv_len", [5, 21])
def test_at_one_entmax_is_the_softmax_bit_for_bit(dtype, kv_len):
    scores = drawn(3, kv_len).to(dtype)
    scores[0, 2:] = -math.inf
    assert torch.equal(entmax(scores, torch.ones(1, dtype=dtype)), softmax(scores))


@pytest.mark.parametrize("alpha", [1.5, 2.0])
def test_entmax_in_float32_is_that_of_float64_up_to_rounding(alpha):
    scores = drawn(7, 40, scale=3.0)
    found = entmax(scores.float(), torch.tensor(alpha))
    torch.testing.assert_close(found.double(), entmax(scores, number(alpha)), rtol=0, atol=2e-6)


@pytest.mark.parametrize("alpha", [1.0, *ALPHAS])
def test_the_gradient_in_the_scores_is_that_of_finite_differences(alpha):
    scores = drawn(4, 6, seed=2, scale=1.0).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: entmax(s, number(alpha)), scores, atol=1e-6, eps=1e-7)


@pytest.mark.parametrize("alpha", [1.001, 1.2, 1.5, 1.9])
def test_the_gradient_in_alpha_is_that_of_finite_differences(alpha):
    scores = drawn(2, 3, 4, 6, seed=3, scale=1.0)
    each = torch.tensor([alpha, alpha + 0.03, alpha + 0.06], dtype=torch.float64)[
        :, None, None
    ].requires_grad_()
    assert torch.autograd.gradcheck(lambda a: entmax(scores, a), each, atol=1e-6, eps=1e-7)


@pytest.mark.parametrize("scale", [0.3, 1.0, 8.0])
def test_alpha_has_a_gradient_at_the_softmax_itself(scale):
    scores, ahead = drawn(5, 7, seed=4, scale=scale), drawn(5, 7, seed=5)
    scores[2, 4:] = -math.inf
    alpha = number(1.0).requires_grad_()
    (entmax(scores, alpha) * ahead).sum().backward()
    # The side below 1 does not exist: (4 f(h) - f(2h) - 3 f(0)) / 2h is the slope there up to h squared.
    h = 2e-4
    f = [(entmax(scores, number(1 + k * h)) * ahead).sum().item() for k in range(3)]
    assert alpha.grad is not None and abs(alpha.grad.item()) > 1e-3
    assert alpha.grad.item() == pytest.approx((4 * f[1] - f[2] - 3 * f[0]) / (2 * h), rel=1e-4, abs=1e-6)


def test_heads_that_learn_their_alpha_start_as_the_softmax_and_go_their_own_ways():
    arm = plan(placement("encoder_self", "adaptive_entmax"))
    scores, keep = drawn(2, HEADS, 4, 6).float(), torch.ones(1, 1, 4, 6, dtype=torch.bool)
    normalise, amount = normaliser_of(arm, 4, 6), arm.placed[0].strategy.amount
    assert torch.equal(normalise(scores, keep), softmax(scores))
    with torch.no_grad():
        amount[0] = torch.tensor([-0.4, 0.5, 7.0])
    weights = normalise(scores, keep)
    for h, alpha in enumerate([1.0, 1.5, 2.0]):
        torch.testing.assert_close(
            weights[:, h], entmax(scores[:, h], torch.tensor(alpha)), rtol=0, atol=1e-6
        )
    (weights * drawn(2, HEADS, 4, 6).float()).sum().backward()
    assert amount.grad is not None and bool((amount.grad[0, :2] != 0).all())


def test_layers_learn_an_alpha_of_their_own():
    arm, scores = plan(placement("encoder_self", "adaptive_entmax")), drawn(2, HEADS, 4, 6)
    with torch.no_grad():
        arm.placed[0].strategy.amount[1] = 1.0
    for layer, alpha in enumerate([1.0, 2.0]):
        normalise = arm.decide_attention("encoder_self", layer, request(4, 6)).normaliser
        assert normalise is not None
        expected = entmax(scores, torch.tensor(alpha))
        torch.testing.assert_close(normalise(scores, torch.ones(1, 1, 4, 6, dtype=torch.bool)), expected)


def test_entmax_drops_more_the_greater_alpha_is():
    scores, keep = drawn(2, HEADS, 3, 30, scale=2.0), torch.ones(1, 1, 3, 30, dtype=torch.bool)
    dropped = []
    for alpha in (1.0, 1.3, 1.6, 2.0):
        normalise = normaliser_of(plan(placement("cross", "entmax", alpha=alpha)), 3, 30)
        dropped.append(int((normalise(scores, keep) == 0).sum()))
    assert dropped[0] == 0 and dropped == sorted(set(dropped))


@every_normaliser
def test_hidden_keys_get_exactly_no_weight_and_padding_changes_nothing(site, mask, options):
    q, kv, more = 6, 6, 3
    arm = plan(placement(site, mask, **options))
    if mask == "adaptive_entmax":
        arm.placed[0].strategy.amount.data.fill_(0.6)
    scores = drawn(2, HEADS, q, kv, seed=6)
    keep = (drawn(2, 1, q, kv, seed=7) > -1.2) | torch.eye(q, kv, dtype=torch.bool)
    hidden = scores.masked_fill(~keep, -math.inf)
    weights = normaliser_of(arm, q, kv, [6, 6])(hidden, keep)
    assert bool((weights[~keep.expand_as(weights)] == 0).all()) and not bool(keep.all())
    # As in a batch with a longer sentence: more columns, and in the encoder more rows, which see the real keys.
    rows = more if site == "encoder_self" else 0
    wide, wide_keep = (
        drawn(2, HEADS, q + rows, kv + more, seed=8),
        torch.ones(2, 1, q + rows, kv + more).bool(),
    )
    wide[..., :q, :kv], wide_keep[..., :q, :kv] = scores, keep
    wide_keep[..., kv:] = False
    wide = wide.masked_fill(~wide_keep, -math.inf)
    padded = normaliser_of(arm, q + rows, kv + more, [6, 6])(wide, wide_keep)
    assert bool((padded[..., kv:] == 0).all())
    torch.testing.assert_close(padded[..., :q, :kv], weights, rtol=1e-12, atol=1e-12)


@every_normaliser
def test_empty_full_and_padded_rows_leave_every_gradient_finite(site, mask, options):
    arm, n = plan(placement(site, mask, **options)), 6
    keep = (drawn(2, 1, n, n, seed=9) > 0).index_fill(2, torch.tensor([1]), False)
    keep[:, :, 2] = True
    keep[1, ..., 4:] = False
    inputs = [drawn(2, HEADS, n, 4, seed=s).requires_grad_() for s in (10, 11, 12)]
    normalise = normaliser_of(arm, n, n, [6, 4])
    out = attend(*inputs, AttentionDecision(keep, normaliser=normalise), lambda w: w)
    assert bool((out[:, :, 1] == 0).all()) and bool(out.isfinite().all())
    (out * drawn(2, HEADS, n, 4, seed=13)).sum().backward()
    for x in [*inputs, *arm.parameters()]:
        assert x.grad is not None and bool(x.grad.isfinite().all()) and bool((x.grad != 0).any())


def test_linear_attention_is_linear_in_scores_and_values_and_hides_by_zeros():
    arm = plan(placement("decoder_self", "linear_attention", scale=0.5))
    scores, keep = drawn(2, HEADS, 4, 4), torch.ones(4, 4, dtype=torch.bool).tril()[None, None]
    weights = normaliser_of(arm, 4, 4)(scores.masked_fill(~keep, -math.inf), keep)
    for i in range(4):
        for j in range(4):
            expected = 0.5 * scores[..., i, j] if j <= i else torch.zeros(2, HEADS, dtype=torch.float64)
            assert torch.equal(weights[..., i, j], expected)
    assert bool((weights < 0).any())


def test_sigmoid_attention_opens_every_key_by_its_own_score():
    arm = plan(placement("cross", "sigmoid_attention", shift=0.25))
    scores, keep = drawn(2, HEADS, 3, 5), drawn(2, 1, 3, 5, seed=1) > -0.5
    weights = normaliser_of(arm, 3, 5)(scores.masked_fill(~keep, -math.inf), keep)
    for b in range(2):
        for h in range(HEADS):
            for i in range(3):
                n = int(keep[b, 0, i].sum())
                for j in range(5):
                    odds = math.exp(scores[b, h, i, j].item() + 0.25) / max(n, 1)
                    expected = odds / (1 + odds) if keep[b, 0, i, j] else 0.0
                    assert weights[b, h, i, j].item() == pytest.approx(expected)


@pytest.mark.parametrize("renormalise", [True, False])
def test_inverted_attention_shares_every_key_out_among_the_real_queries_that_see_it(renormalise):
    arm, n, lengths = plan(placement("encoder_self", "inverted", renormalise=renormalise)), 6, [6, 4]
    scores, keep = drawn(2, HEADS, n, n), drawn(2, 1, n, n, seed=1) > -0.7
    keep = keep | torch.eye(n, dtype=torch.bool)
    keep[1, ..., 4:] = False
    keep[1, :, 4:, 0] = True
    weights = normaliser_of(arm, n, n, lengths)(scores.masked_fill(~keep, -math.inf), keep)
    for b, length in enumerate(lengths):
        for h in range(HEADS):
            share = [[0.0] * n for _ in range(length)]
            for j in range(length):
                seers = [i for i in range(length) if keep[b, 0, i, j]]
                total = sum(math.exp(scores[b, h, i, j]) for i in seers)
                for i in seers:
                    share[i][j] = math.exp(scores[b, h, i, j]) / total
            for i in range(length):
                whole = sum(share[i]) if renormalise else 1.0
                assert weights[b, h, i].tolist() == pytest.approx([w / whole for w in share[i]])
    if not renormalise:
        torch.testing.assert_close(weights[0].sum(-2), torch.ones(HEADS, n, dtype=torch.float64))
        assert bool((weights[1, :, 4:] == 0).all())


def test_inverted_attention_says_whether_its_rows_sum_to_one():
    for renormalise in (True, False):
        placed = plan(placement("encoder_self", "inverted", renormalise=renormalise)).placed[0]
        assert placed.strategy.rows_sum_to_one == renormalise


@pytest.mark.parametrize(
    ("site", "lengths", "expected"),
    [("encoder_self", (5, 5), 3 / 5), ("cross", (4, 6), 3 / 6), ("decoder_self", (5, 5), 12 / 15)],
)
def test_the_three_best_keys_have_a_density_in_closed_form(site, lengths, expected):
    # In the causal decoder rows of 1, 2, 3, 4, 5 keys keep 1, 2, 3, 3, 3 of them.
    placed = plan(placement(site, "topk", k=3)).placed[0]
    assert placed.strategy.density(placed.options, *lengths) == pytest.approx(expected)


def test_what_depends_on_scores_claims_no_density():
    for mask in ("entmax", "threshold"):
        placed = plan(placement("cross", mask)).placed[0]
        assert placed.strategy.density(placed.options, 4, 6) is None
