"""Structural patterns against nested loops."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import causal, placement, plan, request
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from maskbench.masks.structure import WindowOptions


def kept(
    mask: str, q_len: int, kv_len: int, site: str = "cross", refresh: Any = None, **options: Any
) -> Tensor:
    """The pattern over fully legal pairs, [heads or 1, q, kv]."""
    decision = plan(placement(site, mask, refresh, **options)).attention(site, 0, request(q_len, kv_len))
    return decision.keep[0]


@given(st.integers(1, 8), st.integers(1, 9), st.integers(0, 5), st.integers(0, 5), st.integers(1, 3))
def test_window_keeps_exactly_the_pairs_of_a_double_loop(q_len, kv_len, left, right, dilation):
    keep = kept("window", q_len, kv_len, left=left, right=right, dilation=dilation)[0]
    expected = [
        [-left <= j - i <= right and (j - i) % dilation == 0 for j in range(kv_len)] for i in range(q_len)
    ]
    assert keep.tolist() == expected


def test_an_inner_row_of_a_window_holds_left_plus_right_plus_one_keys():
    keep = kept("window", 11, 11, left=2, right=3)[0]
    assert keep[5].sum() == 6


def test_a_one_sided_window_leaves_the_other_side_open():
    keep = kept("window", 5, 5, left=1)[0]
    assert keep.tolist() == [[j >= i - 1 for j in range(5)] for i in range(5)]


@given(st.integers(2, 9), st.integers(0, 7))
def test_a_wider_window_keeps_everything_a_narrower_one_did(n, radius):
    narrow, wide = kept("window", n, n, radius=radius), kept("window", n, n, radius=radius + 1)
    assert bool((narrow <= wide).all())


@given(st.integers(2, 12), st.integers(0, 13))
def test_the_analytic_density_of_a_window_is_the_counted_one(n, radius):
    arm = plan(placement("encoder_self", "window", radius=radius))
    strategy, options = arm.placed[0].strategy, arm.placed[0].options
    counted = kept("window", n, n, site="encoder_self", radius=radius).double().mean().item()
    assert strategy.density(options, n, n) == pytest.approx(counted)


@pytest.mark.parametrize("options", [{}, {"radius": 1, "left": 2}, {"radius": -1}, {"radius": 1, "size": 3}])
def test_a_window_without_a_clear_size_is_refused(options):
    with pytest.raises(ValidationError):
        WindowOptions.model_validate(options)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 5), st.integers(0, 2))
def test_block_local_sees_its_own_segment_and_the_overlap(q_len, kv_len, size, overlap):
    keep = kept("block_local", q_len, kv_len, size=size, overlap=overlap)[0]
    for i in range(q_len):
        segment = [p for p in range(100) if p // size == i // size]
        seen = range(segment[0] - overlap, segment[-1] + overlap + 1)
        assert keep[i].tolist() == [j in seen for j in range(kv_len)]


@settings(max_examples=30)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 6), st.integers(1, 6))
def test_a_random_pattern_does_not_depend_on_the_lengths(q_len, kv_len, more_q, more_kv):
    small = kept("random_sparse", q_len, kv_len, density=0.4)
    large = kept("random_sparse", q_len + more_q, kv_len + more_kv, density=0.4)
    assert torch.equal(small, large[:, :q_len, :kv_len])


def test_a_random_pattern_has_the_asked_density_and_its_diagonal():
    keep = kept("random_sparse", 60, 70, density=0.3)[0]
    off_diagonal = keep[~torch.eye(60, 70, dtype=torch.bool)].double()
    assert off_diagonal.mean().item() == pytest.approx(0.3, abs=4 * (0.3 * 0.7 / off_diagonal.numel()) ** 0.5)
    assert bool(keep.diagonal().all())


def test_heads_share_a_random_pattern_unless_each_has_its_own():
    shared = kept("random_sparse", 9, 9, density=0.5).expand(3, 9, 9)
    own = kept("random_sparse", 9, 9, density=0.5, per_head=True)
    assert torch.equal(shared[0], shared[2])
    assert not torch.equal(own[0], own[1])
    assert not torch.equal(own[1], own[2])


def test_layers_share_a_random_pattern_unless_each_has_its_own():
    for per_layer in (False, True):
        arm = plan(placement("encoder_self", "random_sparse", density=0.5, per_layer=per_layer))
        first, second = (arm.attention("encoder_self", n, request(9, 9)).keep for n in (0, 1))
        assert torch.equal(first, second) is not per_layer


def test_a_pattern_for_each_example_differs_between_examples_only():
    keep = (
        plan(placement("cross", "random_sparse", "static", density=0.5))
        .attention("cross", 0, request(9, 9))
        .keep
    )
    again = (
        plan(placement("cross", "random_sparse", "static", density=0.5))
        .attention("cross", 0, request(9, 9))
        .keep
    )
    assert not torch.equal(keep[0], keep[1])
    assert torch.equal(keep, again)


@pytest.mark.parametrize(
    "mask", [("window", {"radius": 2}), ("block_local", {"size": 3}), ("random_sparse", {"density": 0.5})]
)
def test_no_pattern_opens_an_illegal_pair(mask):
    name, options = mask
    legal = causal(7, 7)
    keep = (
        plan(placement("decoder_self", name, **options))
        .attention("decoder_self", 0, request(7, 7, legal=legal))
        .keep
    )
    assert not bool((keep & ~legal).any())
    assert bool((keep != legal).any())
