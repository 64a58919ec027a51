"""Pairs that are longer than every training pair are counted."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskbench.data.corpus import Ragged, Split
from maskbench.data.untrained_positions import count_untrained_positions


def split(name: str, lengths: list[tuple[int, int]]) -> Split:
    rows = [Ragged.from_rows([[7] * pair[side] for pair in lengths]) for side in (0, 1)]
    return Split(name, rows[0], rows[1], [""] * len(lengths), [""] * len(lengths))


@pytest.mark.parametrize(
    ("train", "test", "expected"),
    [
        ([(3, 5)], [(5, 1), (1, 5)], {}),  # one table: a source may use the target's trained places
        ([(3, 5), (4, 2)], [(6, 1), (2, 2), (1, 9)], {"test": (2, 3)}),
        ([(2, 2)], [(3, 2)], {"test": (1, 1)}),
    ],
)
def test_by_hand(train, test, expected) -> None:
    assert count_untrained_positions(split("train", train), [split("test", test)]) == expected


PAIRS = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=6)


@settings(max_examples=40)
@given(PAIRS, PAIRS)
def test_a_pair_counts_if_some_position_of_it_is_in_no_training_pair(train, test) -> None:
    trained = {position for pair in train for side in pair for position in range(side)}
    longer = sum(any(p not in trained for side in pair for p in range(side)) for pair in test)
    found = count_untrained_positions(split("train", train), [split("test", test), split("none", train)])
    assert found == ({"test": (longer, len(test))} if longer else {})
