"""Counts with their nouns, and text without what a terminal would obey."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskbench.text import count_of


@pytest.mark.parametrize(("n", "text"), [(0, "0 seeds"), (1, "1 seed"), (2, "2 seeds"), (11, "11 seeds")])
def test_only_one_thing_is_singular(n: int, text: str) -> None:
    assert count_of(n, "seed") == text


@given(st.integers(0, 10**6))
def test_the_last_word_of_the_noun_takes_the_plural(n: int) -> None:
    number, *words = count_of(n, "more split").split()
    assert (int(number), words) == (n, ["more", "split" if n == 1 else "splits"])
