"""Slices: values by hand, and what must hold of every way to cut a split up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskbench.config.schema.metrics import DISTANCES, LENGTHS, bin_name
from maskbench.data.corpus import Ragged, Split
from maskbench.data.vocabulary import EOS
from maskbench.metrics.slices import evidence_span, sentence_slices, token_slices

TAGS = ("end", "noun", "verb", "rare")


def split(
    src_lengths: list[int], tgt_lengths: list[int], deps: list[list[int]], tags: list[list[int]]
) -> Split:
    """A split by the number of words of its sentences; `deps` and `tags` are those of all tokens."""
    src, tgt = (Ragged.from_rows([[7] * n + [EOS] for n in side]) for side in (src_lengths, tgt_lengths))
    texts = [["x " * n for n in side] for side in (src_lengths, tgt_lengths)]
    marked = Ragged.from_rows(deps), Ragged.from_rows(tags)
    return Split("test", src, tgt, *texts, deps=marked[0], tags=marked[1])


def by_hand() -> Split:
    """Two pairs: five words to two, six words to three; an end mark hangs on everything."""
    deps = [
        # Of six source tokens: word 0 hangs on 1 and 4, word 1 on 3, the end mark on all.
        [0 * 6 + 1, 0 * 6 + 4, 1 * 6 + 3, *range(12, 18)],
        # Of seven: word 0 on 0 and 5, word 1 on nothing, word 2 on 2, 3 and 4.
        [0 * 7 + 0, 0 * 7 + 5, 2 * 7 + 2, 2 * 7 + 3, 2 * 7 + 4, *range(21, 28)],
    ]
    return split([5, 6], [2, 3], deps, [[1, 2, 0], [2, 1, 1, 0]])


def places(slices: object) -> dict[str, list[int]]:
    return {name: where.nonzero()[0].tolist() for name, where in slices}  # type: ignore[attr-defined]


def test_sentences_by_length_of_the_source_without_its_end_mark():
    assert places(sentence_slices(by_hand(), ["length", "tag"])) == {"length:1-5": [0], "length:6-10": [1]}


def test_tokens_by_everything():
    assert places(token_slices(by_hand(), ["tag", "length", "distance"], TAGS)) == {
        "length:1-5": [0, 1, 2],
        "length:6-10": [3, 4, 5, 6],
        "tag:end": [2, 6],
        "tag:noun": [0, 4, 5],
        "tag:verb": [1, 3],
        "distance:2": [5],
        "distance:3": [0],
        "distance:5": [3],
    }


def test_only_what_is_asked_for_is_told_apart():
    assert places(token_slices(by_hand(), ["distance"], TAGS)).keys() == {
        "distance:2",
        "distance:3",
        "distance:5",
    }
    assert places(token_slices(by_hand(), [], TAGS)) == {}


def test_what_the_corpus_does_not_know_has_no_slices():
    bare = Split("test", by_hand().src, by_hand().tgt, [], [])
    assert places(token_slices(bare, ["tag", "distance"], ())) == {}


def test_spans_are_between_the_first_and_the_last_source_token_and_end_marks_have_none():
    assert evidence_span(by_hand()).tolist() == [3, 0, 0, 5, 0, 2, 0]


@st.composite
def splits(draw: st.DrawFn) -> Split:
    lengths = draw(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 6)), min_size=1, max_size=6))
    deps, tags = [], []
    for s, t in lengths:
        rows = draw(st.lists(st.sets(st.integers(0, s), max_size=4), min_size=t, max_size=t))
        deps.append(
            [i * (s + 1) + j for i, row in enumerate([*rows, set(range(s + 1))]) for j in sorted(row)]
        )
        tags.append([*draw(st.lists(st.integers(1, 3), min_size=t, max_size=t)), 0])
    return split([s for s, _ in lengths], [t for _, t in lengths], deps, tags)


@given(splits())
def test_spans_are_those_of_a_look_at_every_token(data: Split):
    assert data.deps is not None
    expected = []
    for row in range(len(data)):
        n_src, n_tgt = len(data.src[row]), len(data.tgt[row])
        numbers = data.deps[row].tolist()
        for t in range(n_tgt):
            on = [number % n_src for number in numbers if number // n_src == t]
            expected.append(max(on) - min(on) if on and t < n_tgt - 1 else 0)
    assert evidence_span(data).tolist() == expected


@given(splits())
def test_tags_and_lengths_share_the_tokens_out(data: Split):
    for kind in ("tag", "length"):
        inside = [where for _, where in token_slices(data, [kind], TAGS)]
        assert all(where.any() for where in inside)
        assert np.sum(inside, axis=0).tolist() == [1] * len(data.tgt.values)
    assert np.sum([where for _, where in sentence_slices(data, ["length"])], axis=0).tolist() == [1] * len(
        data
    )


@given(splits())
def test_distances_share_out_the_tokens_that_hang_on_two_places(data: Split):
    inside = [where for _, where in token_slices(data, ["distance"], TAGS)]
    assert np.sum([np.zeros(len(data.tgt.values)), *inside], axis=0).tolist() == [
        int(span > 0) for span in evidence_span(data).tolist()
    ]


@pytest.mark.parametrize(("bins", "first"), [(LENGTHS, 1), (DISTANCES, 1)])
def test_bins_lie_side_by_side_and_leave_nothing_out(bins: tuple[tuple[int, float], ...], first: int):
    assert bins[0][0] == first and bins[-1][1] == float("inf")
    assert all(low <= high for low, high in bins)
    assert [low for low, _ in bins[1:]] == [high + 1 for _, high in bins[:-1]]


def test_bins_are_named_as_people_write_them():
    assert [bin_name(limits) for limits in LENGTHS] == ["1-5", "6-10", "11-20", "21+"]
    assert [bin_name(limits) for limits in DISTANCES][-3:] == ["10", "11-15", "16+"]
