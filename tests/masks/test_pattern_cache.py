"""Patterns kept by length are the patterns computed afresh; those that cannot be kept are refused."""

from __future__ import annotations

import pytest
import torch
from helpers import placement, plan, request
from hypothesis import given
from hypothesis import strategies as st

from maskbench.masks.clock import Clock
from maskbench.masks.pattern_cache import PatternCache


@given(
    st.lists(st.tuples(st.integers(1, 19), st.integers(1, 19)), min_size=2, max_size=5),
    st.integers(0, 4),
    st.integers(0, 4),
)
def test_a_kept_pattern_is_the_pattern_computed_for_these_lengths(lengths, left, right):
    arm = plan(placement("cross", "window", left=left, right=right, dilation=2))
    for q_len, kv_len in lengths:
        expected = [
            [[-left <= j - i <= right and (j - i) % 2 == 0 for j in range(kv_len)] for i in range(q_len)]
        ]
        assert arm.decide_attention("cross", 0, request(q_len, kv_len)).keep.tolist() == [expected]


def test_one_pattern_serves_every_shorter_length_and_hits_are_counted():
    arm = plan(placement("encoder_self", "window", radius=2))
    for n in (16, 9, 12, 16, 3):
        arm.decide_attention("encoder_self", 0, request(n, n))
    bank = arm.placed[0].pattern_cache
    assert bank is not None
    # 16, 9 and 12 share the pattern of 16; 3 has that of 4.
    assert (bank.hits, bank.misses) == (3, 2)


def test_a_schedule_gets_a_pattern_for_each_of_its_values():
    arm = plan(placement("encoder_self", "window", radius={"step": [[0, 1], [0.5, 3]]}))
    for step, radius in [(0, 1), (60, 3), (10, 1)]:
        keep = arm.decide_attention("encoder_self", 0, request(8, 8, clock=Clock("train", step, 100))).keep
        assert keep[0, 0].sum(1)[4] == 2 * radius + 1


def test_draws_of_another_epoch_are_another_pattern():
    arm = plan(placement("encoder_self", "random_sparse", {"per": "epoch"}, density=0.5))
    first, second = (
        arm.decide_attention("encoder_self", 0, request(9, 9, clock=Clock("train", 0, 10, epoch=e))).keep
        for e in (0, 1)
    )
    assert not torch.equal(first, second)


def test_layers_that_draw_on_their_own_have_patterns_of_their_own():
    arm = plan(placement("encoder_self", "random_sparse", {"per": "run"}, density=0.5, per_layer=True))
    first, second, again = (arm.decide_attention("encoder_self", n, request(9, 9)).keep for n in (0, 1, 0))
    assert not torch.equal(first, second) and torch.equal(first, again)


@pytest.mark.parametrize(
    "where",
    [
        placement("encoder_self", "random_sparse", "dynamic", density=0.5),
        placement("encoder_self", "alibi"),
        placement("encoder_self", "topk", k=2),
    ],
    ids=["an example's own", "no mask", "reads scores"],
)
def test_what_a_corner_cannot_stand_for_is_never_kept(where):
    assert plan(where).placed[0].pattern_cache is None
    with pytest.raises(ValueError, match="closed under slicing"):
        PatternCache(sliceable=False)


def test_a_bank_does_not_grow_without_end():
    bank, index = PatternCache(sliceable=True), torch.arange(3)
    for value in range(200):
        bank.get(value, index, index, lambda q, kv: torch.ones(1, 1, len(q), len(kv), dtype=torch.bool))
    assert bank.misses == 200
    bank.get(0, index, index, lambda q, kv: torch.ones(1, 1, len(q), len(kv), dtype=torch.bool))
    assert bank.misses == 201
