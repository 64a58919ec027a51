"""Text that was cut into tokens before it was written to a file."""

from __future__ import annotations

import pytest

from maskbench.data.text.cut_marks import find_cut_marks, find_spaced_full_stops


@pytest.mark.parametrize(
    ("line", "tool", "example"),
    [
        ("HA@@ US BA@@ UM .", "subword-nmt", "HA@@"),
        ("▁das ▁Ha us", "SentencePiece", "▁das"),
        ("das Ha ##us", "WordPiece", "##us"),
        ("das Ha ￭us", "OpenNMT", "￭us"),
        ("das Haus￭ .", "OpenNMT", "Haus￭"),
        ("Ha us</w>", "byte pair", "us</w>"),
        ("ein x @-@ y", "Moses", "@-@"),
    ],
)
def test_marks_are_named_with_a_piece(line: str, tool: str, example: str):
    found = find_cut_marks(["plain text", line, "", line])
    assert found is not None and found.tool.startswith(tool) and found.example == example
    assert (found.lines, found.all_lines) == (2, 3)
    assert found.description.startswith("2 of 3 lines hold marks of ")


@pytest.mark.parametrize(
    "line",
    [
        "write to me@@example.org", "@@ -1,3 +1,4 @@", "## a heading", "##heading", "a # b ## c", "x@-@y",
        "an e-mail @ noon", "a < b </w",
    ],
)  # fmt: skip
def test_what_only_looks_like_marks_is_text(line: str):
    assert find_cut_marks([line] * 9) is None


def test_one_line_in_two_hundred_is_chance():
    assert find_cut_marks(["HA@@ US", *["a tree"] * 99]) is not None
    assert find_cut_marks(["HA@@ US", *["a tree"] * 199]) is None
    assert find_cut_marks([]) is None


@pytest.mark.parametrize(
    ("spaced", "plain", "other", "found"),
    [
        (10, 0, 0, True),
        (9, 0, 90, False),
        (5, 5, 0, True),
        (5, 6, 0, False),
        (0, 20, 0, False),
        (0, 0, 50, False),
    ],
)
def test_full_stops_with_a_blank_before_them_are_half_of_ten(
    spaced: int, plain: int, other: int, found: bool
):
    lines = ["Ein Hund . "] * spaced + ["Ein Hund."] * plain + ["Quoi ?"] * other
    expected = (spaced, spaced + plain) if found else None
    assert find_spaced_full_stops(lines) == expected
