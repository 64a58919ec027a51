"""Attention in characters: what is drawn where, and what happens when it does not fit."""

from __future__ import annotations

import numpy as np
import pytest
from rich.cells import cell_len

from maskbench.cli.views.attention_drawing import ASCII, BLOCKS, attention_lines
from maskbench.pictures.cross_attention import SentenceAttention

LEFT = SentenceAttention(
    ("das", "Haus", "</s>"),
    ("the", "house"),
    np.array([[0.96, 0.04], [0.05, 0.95], [0.45, 0.55]]),
)
RIGHT = SentenceAttention(
    ("das", "Haus", "</s>"),
    ("the", "big", "house"),
    np.array([[0.7, 0.2, 0.1], [0.19, 0.41, 0.4], [0.049, 0.69, 0.261]]),
)


def test_two_pictures_by_hand() -> None:
    assert attention_lines([("near", LEFT), ("none", RIGHT)], 80, BLOCKS) == [
        "     near     none",
        "     a b      a b c",
        "das  ██··     ██▒▒░░",
        "Haus ░░██     ░░▓▓▓▓",
        "</s> ▓▓▓▓     ··▓▓▒▒",
        "",
        "a the   b house",
        "a the   b big   c house",
        "share of a word's attention, from: ░ 5%  ▒ 20%  ▓ 40%  █ 70%   · less",
    ]


def test_ascii_has_the_same_cells() -> None:
    blocks, ascii_lines = (attention_lines([("x", LEFT), ("y", LEFT)], 80, ink) for ink in (BLOCKS, ASCII))
    turned = str.maketrans(f"{BLOCKS.shades}{BLOCKS.hidden}", f"{ASCII.shades}{ASCII.hidden}")
    assert [line.translate(turned) for line in blocks] == ascii_lines
    assert all(line.isascii() for line in ascii_lines)
    assert blocks.count("a the   b house") == 1, "one legend where both sources are the same"


def long(n: int, word: str = "word") -> SentenceAttention:
    weights = np.zeros((4, n))
    weights[:, -1] = 1
    return SentenceAttention(
        ("one", "two", "three", "fourteen-letter-word"), tuple(f"{word}{i}" for i in range(n)), weights
    )


@pytest.mark.parametrize(
    ("n", "cell", "beside", "shown"),
    [
        (16, 2, True, 16),
        (17, 1, True, 17),
        (32, 1, True, 32),
        (33, 2, False, 33),
        (40, 1, False, 40),
        (60, 1, False, 52),
    ],
)
def test_what_does_not_fit_becomes_narrower_then_stacked_then_cut(
    n: int, cell: int, beside: bool, shown: int
) -> None:
    lines = attention_lines([("near", long(n)), ("none", long(n))], 80, BLOCKS)
    assert all(cell_len(line) <= 80 for line in lines)
    row = next(line for line in lines if line.startswith("two"))
    full = sum(line.startswith("two") for line in lines)
    assert full == (1 if beside else 2)
    assert row.count("·") + row.count("█") == shown * cell * (2 if beside else 1)
    assert ("█" in row) == (shown == n)
    note = f"(the first {shown} of {n} source tokens)"
    assert (note in lines) == (shown < n)
    legend = " ".join(lines)
    assert all(f" word{i} " in f"{legend} " for i in range(shown))


def test_an_entry_of_the_legend_is_never_broken() -> None:
    lines = attention_lines([("x", long(40, "a word with spaces "))], 80, BLOCKS)
    entries = [line for line in lines if "a word with spaces" in line]
    assert len(entries) > 5
    assert all(
        line.count("a word with spaces ") == line.count("   ") + (not line.startswith("   "))
        for line in entries
    )


def test_wide_and_harmful_words_keep_the_columns() -> None:
    odd = SentenceAttention(("家は大きい", "\x1b[2J", "a"), ("\x1b[31mx", "y"), LEFT.weights)
    lines = attention_lines([("t\x1b[0m", odd)], 80, BLOCKS)
    assert not any("\x1b" in line for line in lines)
    assert {cell_len(line.rstrip("█▓▒░·")) for line in lines[2:5]} == {11}
