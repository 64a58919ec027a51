"""Counts with their nouns, and text without what a terminal would obey."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskbench.text import count_of, is_invisible


@pytest.mark.parametrize(("n", "text"), [(0, "0 seeds"), (1, "1 seed"), (2, "2 seeds"), (11, "11 seeds")])
def test_only_one_thing_is_singular(n: int, text: str) -> None:
    assert count_of(n, "seed") == text


@given(st.integers(0, 10**6))
def test_the_last_word_of_the_noun_takes_the_plural(n: int) -> None:
    number, *words = count_of(n, "more split").split()
    assert (int(number), words) == (n, ["more", "split" if n == 1 else "splits"])


@pytest.mark.parametrize(
    "text",
    ["", " \t\u2028", "\u200b", "\u200c\u200d", "\ufeff", "\u2060 \u00ad", "\u200e\u202a\u202c\u2066", "\x01\x1b\x7f\x85",
     "\u3164\u115f", "\ufe0f", "\U000e0001", "\U000e0100", "\u034f", "\u2800", "\u061c", "\ufff9"],
)  # fmt: skip
def test_text_of_spaces_controls_and_format_characters_is_invisible(text: str) -> None:
    assert is_invisible(text) and not is_invisible(f"{text}a{text}")


@pytest.mark.parametrize(
    "text", ["a", ".", "\u0301", "\ufffd", "\u0600", "\u06dd", "漢", "😀", "\ufffc", "\ue000"]
)
def test_whatever_is_drawn_is_visible(text: str) -> None:
    assert not is_invisible(text) and not is_invisible(f"\u200e{text}\u200e")
