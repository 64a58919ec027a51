"""What splits have in common, as plain data and in sentences."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskbench.statistics.split_overlap import Overlap, SplitOrigin, SplitOverlaps

SPLITS = {
    "train": SplitOrigin(50),
    "valid": SplitOrigin(8, parts=("one-valid", "two-valid")),
    "one-valid": SplitOrigin(3),
    "two-valid": SplitOrigin(5),
    "test": SplitOrigin(10),
    "noise-drop-10": SplitOrigin(10, origin="test"),
    "noise-swap-10": SplitOrigin(10, origin="test"),
}

overlaps = st.builds(
    Overlap, st.sampled_from(list(SPLITS)), st.sampled_from(list(SPLITS)), *[st.integers(0, 9)] * 5
)


@given(counts=st.lists(overlaps, max_size=4))
@settings(max_examples=30, deadline=None)
def test_plain_data_comes_back_as_it_was(counts: list[Overlap]) -> None:
    whole = SplitOverlaps(SPLITS, tuple(counts))
    assert SplitOverlaps.from_json(json.loads(json.dumps(whole.to_json()))) == whole


@pytest.mark.parametrize(
    "damaged",
    [
        {},
        {"splits": {}, "overlaps": [{"split": "test", "other": "train"}]},
        {"splits": {"test": {"pairs": -1}}, "overlaps": []},
        {"splits": {"test": {"pairs": True}}, "overlaps": []},
        {"splits": {"test": {}}, "overlaps": []},
        {"splits": {"a": {"pairs": 1}}, "overlaps": [{"split": "a", "other": "a", "sources": "1"}]},
        {"splits": [], "overlaps": []},
        {"splits": {}, "overlaps": [3]},
    ],
)
def test_damaged_data_is_an_error(damaged: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        SplitOverlaps.from_json(damaged)


def test_a_copy_and_a_part_are_their_origins_by_construction() -> None:
    whole = SplitOverlaps(SPLITS)
    assert (whole.clean("noise-drop-10"), whole.clean("test"), whole.clean("nowhere")) == (
        "test",
        "test",
        "nowhere",
    )
    related = {(a, b) for a in SPLITS for b in SPLITS if whole.is_by_construction(a, b)}
    one_way = [
        ("test", "noise-drop-10"),
        ("test", "noise-swap-10"),
        ("noise-drop-10", "noise-swap-10"),
        ("valid", "one-valid"),
        ("valid", "two-valid"),
    ]
    assert related == {*one_way, *((b, a) for a, b in one_way)}


LONG = "as the model reads them, which does not know the words in which they differ"


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (Overlap("test", "train", 4, 4, 4), "4 of 10 pairs of test are also in train, word for word"),
        (
            Overlap("test", "train", 4, 6, 3),
            "3 of 10 pairs of test are also in train, word for word; 1 more source with another target; 3 more targets"
            " with another source",
        ),
        (
            Overlap("test", "train", 2, 0, 0),
            "2 of 10 sources of test are also in train, word for word, with another target",
        ),
        (Overlap("test", "train", 0, 2, 0), "2 of 10 targets of test are also in train, with another source"),
        (
            Overlap("test", "train", 3, 3, 3, 1, 1),
            f"3 of 10 pairs of test are also in train: 2 word for word, 1 {LONG}",
        ),
        (Overlap("test", "train", 2, 2, 2, 2, 2), f"2 of 10 pairs of test are also in train {LONG}"),
        (Overlap("test", "valid", 4, 4, 4), "4 of 10 pairs of test are also in valid, word for word"),
        # Not said: what only the model reads alike, or targets alone, of two splits that are not train.
        (Overlap("test", "valid", 2, 2, 2, 2, 2), None),
        (Overlap("test", "valid", 0, 2, 0), None),
        # Not said: copies, parts, and the earlier split against the later one.
        (Overlap("noise-drop-10", "train", 4, 4, 4), None),
        (Overlap("one-valid", "train", 4, 4, 4), None),
        (Overlap("train", "test", 4, 4, 4), None),
    ],
)
def test_a_sentence_says_how_many_of_which_split(one: Overlap, said: str | None) -> None:
    assert list(SplitOverlaps(SPLITS, (one,)).sentences()) == ([] if said is None else [said])


def test_targets_that_are_answers_are_not_said() -> None:
    answers = Overlap("train", "train", targets=26)
    assert list(SplitOverlaps(SPLITS, (answers, Overlap("test", "train", 0, 10, 0))).sentences()) == []


def test_targets_of_a_copy_alone_are_not_shown() -> None:
    counts = (
        Overlap("train", "train", 1, 1, 1),
        Overlap("noise-drop-10", "train", 0, 3, 0),
        Overlap("noise-swap-10", "train", 1, 3, 0),
        Overlap("test", "train", 0, 3, 0),
    )
    assert list(SplitOverlaps(SPLITS, counts).shown()) == [counts[2], counts[3]]
