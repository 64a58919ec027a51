"""Patterns of neighbours against nested loops."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import causal, placement, plan, request
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_patterns import check, densities, kept, pattern, step_of, strategy_of
from pydantic import ValidationError

from maskbench.errors import ConfigError
from maskbench.masks.strategies.attention.windows import SinkWindowOptions, WindowOptions
from maskbench.registry import MASKS

SELF = st.sampled_from(["encoder_self", "decoder_self"])
PATTERNS: list[tuple[str, dict[str, Any], bool]] = [
    ("none", {}, False),
    ("causal", {}, True),
    ("prefix_lm", {"prefix": 1}, True),
    ("prefix_lm", {"prefix": 4}, False),
    ("window", {"radius": 2}, False),
    ("window", {"radius": 0}, True),
    ("window", {"left": 3, "right": 0}, True),
    ("window", {"left": 2}, False),
    ("sink_window", {"left": 2, "right": 0}, True),
    ("sink_window", {"left": 2, "right": 0, "sinks": 2}, False),
    ("sink_window", {"radius": 1}, False),
    ("block_local", {"size": 3}, False),
    ("block_local", {"size": 1}, True),
    ("block_local", {"size": 1, "overlap": 1}, False),
    ("strided", {"stride": 3}, False),
    ("fixed_factorised", {"block": 3}, False),
    ("global_tokens", {"first": 2}, False),
    ("bigbird", {}, False),
    ("random_sparse", {"density": 0.4}, False),
]
"""Strategies over positions alone, with whether no query sees a key after its own."""


def sites_of(mask: str) -> list[str]:
    return sorted(MASKS.lookup(mask).sites)


@given(st.integers(1, 8), st.integers(1, 9))
def test_none_keeps_every_pair(q_len, kv_len):
    assert kept("none", q_len, kv_len).tolist() == [[[True] * kv_len] * q_len]


def test_an_arm_of_none_decides_what_legality_alone_decides():
    legal = causal(7, 7)
    decision = plan(placement("decoder_self", "none")).decide_attention(
        "decoder_self", 0, request(7, 7, legal=legal)
    )
    assert torch.equal(decision.keep, legal)


@given(st.integers(1, 8), st.integers(1, 9))
def test_causal_goes_by_true_positions(q_len, kv_len):
    assert kept("causal", q_len, kv_len)[0].tolist() == [
        [j <= i for j in range(kv_len)] for i in range(q_len)
    ]


@given(st.integers(1, 8), st.integers(1, 9), st.integers(1, 11))
def test_prefix_lm_opens_the_prefix_and_the_past(q_len, kv_len, prefix):
    keep = kept("prefix_lm", q_len, kv_len, prefix=prefix)[0]
    for i in range(q_len):
        seen = set(range(prefix)) | set(range(i + 1))
        assert keep[i].tolist() == [j in seen for j in range(kv_len)]


def test_a_prefix_of_target_words_is_refused():
    with pytest.raises(ConfigError, match="prefix_lm does not act at decoder_self"):
        plan(placement("decoder_self", "prefix_lm", prefix=2))


@given(st.integers(1, 8), st.integers(1, 9), st.integers(0, 5), st.integers(0, 5), st.integers(1, 3))
def test_window_keeps_exactly_the_pairs_of_a_double_loop(q_len, kv_len, left, right, dilation):
    keep = kept("window", q_len, kv_len, left=left, right=right, dilation=dilation)[0]
    expected = [
        [-left <= j - i <= right and (j - i) % dilation == 0 for j in range(kv_len)] for i in range(q_len)
    ]
    assert keep.tolist() == expected


@given(st.integers(0, 4), st.integers(0, 4))
def test_an_inner_row_of_a_window_holds_left_plus_right_plus_one_keys(left, right):
    keep = kept("window", 11, 11, left=left, right=right)[0]
    assert keep[5].sum() == left + right + 1


def test_a_one_sided_window_leaves_the_other_side_open():
    keep = kept("window", 5, 5, left=1)[0]
    assert keep.tolist() == [[j >= i - 1 for j in range(5)] for i in range(5)]


@given(st.integers(2, 9), st.integers(0, 7))
def test_a_wider_window_keeps_everything_a_narrower_one_did(n, radius):
    narrow, wide = kept("window", n, n, radius=radius), kept("window", n, n, radius=radius + 1)
    assert bool((narrow <= wide).all())


@pytest.mark.parametrize("options", [{}, {"radius": 1, "left": 2}, {"radius": -1}, {"radius": 1, "size": 3}])
def test_a_window_without_a_clear_size_is_refused(options):
    for model in (WindowOptions, SinkWindowOptions):
        with pytest.raises(ValidationError):
            model.model_validate(options)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 3), st.integers(0, 3), st.integers(1, 4))
def test_a_sink_window_is_a_window_and_the_first_keys(q_len, kv_len, left, right, sinks):
    keep = kept("sink_window", q_len, kv_len, left=left, right=right, sinks=sinks)[0]
    for i in range(q_len):
        seen = {*range(i - left, i + right + 1), *range(sinks)}
        assert keep[i].tolist() == [j in seen for j in range(kv_len)]


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 5), st.integers(0, 2))
def test_block_local_sees_its_own_segment_and_the_overlap(q_len, kv_len, size, overlap):
    keep = kept("block_local", q_len, kv_len, size=size, overlap=overlap)[0]
    for i in range(q_len):
        segment = [p for p in range(100) if p // size == i // size]
        seen = range(segment[0] - overlap, segment[-1] + overlap + 1)
        assert keep[i].tolist() == [j in seen for j in range(kv_len)]


def test_a_segment_as_long_as_the_sentence_hides_nothing():
    assert bool(kept("block_local", 6, 6, size=6).all())
    assert not bool(kept("block_local", 7, 7, size=6).all())


@settings(max_examples=30)
@given(SELF, st.integers(1, 13), st.integers(0, 14), st.integers(0, 14), st.integers(1, 4))
def test_the_density_of_a_window_is_the_counted_one(site, n, left, right, dilation):
    for options in ({"left": left, "right": right}, {"left": left}, {"right": right}, {"radius": right}):
        claimed, counted = densities("window", n, site, **options, dilation=dilation)
        assert claimed == pytest.approx(counted, abs=1e-12)


@settings(max_examples=30)
@given(SELF, st.integers(1, 13), st.integers(0, 5), st.integers(0, 5), st.integers(1, 6))
def test_the_densities_of_the_other_neighbourhoods_are_the_counted_ones(site, n, left, right, count):
    for mask, options in [
        ("none", {}),
        ("causal", {}),
        ("sink_window", {"left": left, "right": right, "sinks": count}),
        ("sink_window", {"left": left, "sinks": count}),
        ("block_local", {"size": count, "overlap": left}),
        *([("prefix_lm", {"prefix": count})] if site == "encoder_self" else []),
    ]:
        claimed, counted = densities(mask, n, site, **options)
        assert claimed == pytest.approx(counted, abs=1e-12), (mask, options)


def test_no_density_is_claimed_where_there_is_no_formula():
    for mask, options, _ in PATTERNS:
        if mask != "none":
            current = MASKS.lookup(mask).Options.model_validate(options)
            assert strategy_of("cross", mask, **options).density(current, 5, 7) is None


@pytest.mark.parametrize(("mask", "options", "looks_back"), PATTERNS)
def test_is_causal_says_whether_a_query_sees_a_later_key(mask, options, looks_back):
    cls = MASKS.lookup(mask)
    keep = kept(mask, 17, 17, **options)
    ahead = torch.ones(17, 17, dtype=torch.bool).triu(1)
    assert cls.is_causal(cls.Options.model_validate(options)) is looks_back
    assert bool((keep & ahead).any()) is not looks_back


@pytest.mark.parametrize(("mask", "options", "looks_back"), PATTERNS)
def test_a_single_query_of_cached_decoding_gets_its_row(mask, options, looks_back):
    for site in sites_of(mask):
        placed, asked = plan(placement(site, mask, **options)).placed[0], request(9, 9)
        whole = pattern(placed, asked)
        for i in (0, 3, 8):
            keys = 9 if site == "cross" else i + 1
            assert torch.equal(pattern(placed, step_of(asked, i, keys)), whole[:, :, i : i + 1, :keys])


@pytest.mark.parametrize(("mask", "options", "looks_back"), PATTERNS)
def test_only_a_pattern_that_says_so_leaves_a_query_nothing(mask, options, looks_back):
    for site in sites_of(mask):
        legal = causal(9, 9)[0] if site == "decoder_self" else torch.ones(1, 9, 9, dtype=torch.bool)
        # At `cross` the source may be much shorter than the target.
        seen = [(kept(mask, 9, n, site=site, **options) & legal[..., :n]).any(-1).all() for n in (2, 9)]
        empty = not (bool(seen[1]) if site != "cross" else bool(seen[0]))
        assert strategy_of(site, mask, **options).may_empty_rows or not empty
        if mask in ("window", "block_local"):
            assert strategy_of(site, mask, **options).may_empty_rows is (site == "cross")


@pytest.mark.parametrize(("mask", "options", "looks_back"), PATTERNS)
def test_no_pattern_opens_an_illegal_pair(mask, options, looks_back):
    if "decoder_self" not in sites_of(mask):
        return
    legal = causal(12, 12)
    arm = plan(placement("decoder_self", mask, **options))
    keep = arm.decide_attention("decoder_self", 0, request(12, 12, legal=legal)).keep
    assert not bool((keep & ~legal).any())
    lets_the_past_be = mask in ("none", "causal")
    assert bool((keep == legal).all()) is lets_the_past_be


@pytest.mark.parametrize(("mask", "options", "looks_back"), PATTERNS)
def test_the_strategy_finds_nothing_to_refuse(mask, options, looks_back):
    for site in sites_of(mask):
        check(site, mask, **options)
