"""Sparse and drawn patterns against nested loops and counts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import HEADS, placement, plan, request
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_patterns import densities, kept, pattern, strategy_of
from pydantic import ValidationError
from torch import Tensor

from maskbench.masks.clock import Clock
from maskbench.masks.strategies.attention.sparse import FixedFactorisedOptions

SELF = st.sampled_from(["encoder_self", "decoder_self"])
FEW = settings(max_examples=30)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 5), st.none() | st.integers(0, 6))
def test_strided_keeps_the_near_keys_and_every_nth_beyond(q_len, kv_len, stride, local):
    keep = kept("strided", q_len, kv_len, stride=stride, local=local)[0]
    near = stride if local is None else local
    for i in range(q_len):
        seen = {*range(i - near, i + near + 1), *range(i, kv_len, stride), *range(i, -1, -stride)}
        assert keep[i].tolist() == [j in seen for j in range(kv_len)]


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 5), st.integers(1, 5))
def test_fixed_factorised_keeps_the_block_and_the_last_columns_of_each(q_len, kv_len, block, summary):
    summary = min(summary, block)
    keep = kept("fixed_factorised", q_len, kv_len, block=block, summary=summary)[0]
    columns = {j for start in range(0, 60, block) for j in range(start + block - summary, start + block)}
    for i in range(q_len):
        own = range(i - i % block, i - i % block + block)
        assert keep[i].tolist() == [j in own or j in columns for j in range(kv_len)]


def test_more_summary_positions_than_a_block_has_are_refused():
    with pytest.raises(ValidationError, match=r"summary must be at most block \(3\), got 4"):
        FixedFactorisedOptions.model_validate({"block": 3, "summary": 4})


@given(st.integers(1, 8), st.integers(1, 9), st.integers(1, 5))
def test_global_positions_see_all_and_are_seen_by_all_and_nobody_else_meets(q_len, kv_len, first):
    keep = kept("global_tokens", q_len, kv_len, first=first)[0]
    for i in range(q_len):
        for j in range(kv_len):
            assert bool(keep[i, j]) is (i in range(first) or j in range(first))


@settings(max_examples=30)
@given(SELF, st.integers(1, 14), st.integers(1, 6), st.integers(0, 6), st.integers(0, 3))
def test_densities_are_the_counted_ones(site, n, size, radius, few):
    for mask, options in [
        ("strided", {"stride": size, "local": radius}),
        ("strided", {"stride": size}),
        ("fixed_factorised", {"block": size, "summary": 1 + radius % size}),
        ("global_tokens", {"first": size}),
        ("bigbird", {"radius": radius, "first": few, "random": 3 - few}),
    ]:
        claimed, counted = densities(mask, n, site, **options)
        assert claimed == pytest.approx(counted, abs=1e-12), (mask, options)


@pytest.mark.parametrize("site", ["encoder_self", "decoder_self"])
@pytest.mark.parametrize("diagonal", [True, False])
def test_the_density_of_a_random_pattern_is_the_mean_over_many(site, diagonal):
    placed = plan(placement(site, "random_sparse", "static", density=0.3, diagonal=diagonal)).placed[0]
    legal = torch.ones(6, 6, dtype=torch.bool)
    legal = legal.tril() if site == "decoder_self" else legal
    found = pattern(placed, request(6, 6, batch=900))[:, 0][:, legal].double().mean(1)
    claimed = placed.strategy.density(placed.options, 6, 6)
    assert abs(found.mean().item() - claimed) < 4 * found.std().item() / 30


DRAWN: list[tuple[str, dict[str, Any]]] = [
    ("random_sparse", {"density": 0.4}),
    ("bigbird", {"radius": 1, "first": 1, "random": 2}),
]
every_drawn = pytest.mark.parametrize(("mask", "options"), DRAWN)


@every_drawn
@FEW
@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 9), st.integers(1, 9))
def test_a_drawn_pattern_does_not_depend_on_the_lengths(mask, options, q_len, kv_len, more_q, more_kv):
    small = kept(mask, q_len, kv_len, **options)
    large = kept(mask, q_len + more_q, kv_len + more_kv, **options)
    assert torch.equal(small, large[:, :q_len, :kv_len])


@every_drawn
def test_heads_share_a_drawn_pattern_unless_each_has_its_own(mask, options):
    shared = kept(mask, 14, 14, **options).expand(HEADS, 14, 14)
    own = kept(mask, 14, 14, **options, per_head=True)
    assert torch.equal(shared[0], shared[2])
    assert len({row.numpy().tobytes() for row in own}) == HEADS


@every_drawn
def test_layers_share_a_drawn_pattern_unless_each_has_its_own(mask, options):
    for per_layer in (False, True):
        first, second = (kept(mask, 14, 14, layer=n, **options, per_layer=per_layer) for n in (0, 1))
        assert torch.equal(first, second) is not per_layer


@every_drawn
def test_a_pattern_for_each_example_differs_between_examples_only(mask, options):
    keep, again = (
        plan(placement("cross", mask, "static", **options)).decide_attention("cross", 0, request(14, 14)).keep
        for _ in range(2)
    )
    assert not torch.equal(keep[0], keep[1])
    assert torch.equal(keep, again)


@every_drawn
def test_one_pattern_holds_for_the_run_and_another_for_another_seed(mask, options):
    arm, other = (plan(placement("encoder_self", mask, **options), seed=seed) for seed in (0, 1))
    early, late = (
        arm.decide_attention("encoder_self", 0, request(14, 14, clock=clock)).keep
        for clock in (Clock("train", 3, 100, epoch=0), Clock("train", 90, 100, epoch=4))
    )
    assert torch.equal(early, late)
    assert not torch.equal(other.decide_attention("encoder_self", 0, request(14, 14)).keep, early)


def test_a_random_pattern_has_the_asked_density_and_its_diagonal():
    keep = kept("random_sparse", 60, 70, density=0.3)[0]
    off_diagonal = keep[~torch.eye(60, 70, dtype=torch.bool)].double()
    assert off_diagonal.mean().item() == pytest.approx(0.3, abs=4 * (0.3 * 0.7 / off_diagonal.numel()) ** 0.5)
    assert bool(keep.diagonal().all())


def test_a_random_pattern_without_its_diagonal_may_leave_a_row_empty_anywhere():
    for site in ("encoder_self", "decoder_self", "cross"):
        for diagonal in (True, False):
            built = strategy_of(site, "random_sparse", density=0.2, diagonal=diagonal)
            assert built.may_empty_rows is (site == "cross" or not diagonal)


def drawn_part(n: int, radius: int, first: int, random: int) -> Tensor:
    """The pairs that bigbird keeps beyond its window and its global positions."""
    keep = kept("bigbird", n, n, radius=radius, first=first, random=random)[0]
    fixed = torch.tensor(
        [[abs(i - j) <= radius or i < first or j < first for j in range(n)] for i in range(n)]
    )
    assert bool((keep | ~fixed).all())
    return keep & ~fixed


@FEW
@given(st.integers(1, 15), st.integers(0, 2), st.integers(0, 2), st.integers(0, 4))
def test_every_position_of_bigbird_draws_exactly_so_many_earlier_ones(n, radius, first, random):
    drawn = drawn_part(n, radius, first, random)
    for i in range(n):
        hidden = [j for j in range(i) if j < i - radius and j >= first]
        assert drawn[i, :i].sum() == min(random, len(hidden))
    assert torch.equal(drawn, drawn.T)


def test_bigbird_draws_every_hidden_position_equally_often():
    arm = plan(placement("encoder_self", "bigbird", "static", radius=1, first=1, random=2))
    asked = request(10, 10, batch=1500)
    keep = arm.decide_attention("encoder_self", 0, asked).keep[:, 0].double().mean(0)
    for i in (6, 9):
        hidden = torch.arange(1, i - 1)
        share = 2 / len(hidden)
        spread = (share * (1 - share) / 1500) ** 0.5
        assert bool(((keep[i, hidden] - share).abs() < 4.5 * spread).all())


def test_bigbird_without_random_keys_is_window_or_global():
    fixed = kept("any", 12, 13, of=[{"mask": "window", "radius": 2}, {"mask": "global_tokens", "first": 1}])
    assert torch.equal(kept("bigbird", 12, 13, radius=2, first=1, random=0), fixed)
