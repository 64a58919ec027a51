"""Finds text that was cut into tokens or subwords before it was written to a file.

BLEU and chrF of such text are computed on its pieces and cannot be compared with published scores (Post 2018,
"A call for clarity in reporting BLEU scores").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from maskbench.text import count_of

LEAST_SHARE: Final = 0.01
"""Least share of lines with marks of one kind; other text can hold such characters by chance."""
LEAST_SPACED: Final = 10
"""Least number of lines that end in a full stop, for `find_spaced_full_stops`."""

_MARKS: Final = {
    "subword-nmt (@@)": re.compile(r"\S*\w\S*@@(?=\s|$)"),
    "SentencePiece (\N{LOWER ONE EIGHTH BLOCK})": re.compile("(?:^|(?<=\\s))\N{LOWER ONE EIGHTH BLOCK}\\S*"),
    "WordPiece (##)": re.compile(r"(?<=\s)##\w\S*"),
    "OpenNMT (\N{HALFWIDTH BLACK SQUARE})": re.compile(
        "\N{HALFWIDTH BLACK SQUARE}\\S+|\\S+\N{HALFWIDTH BLACK SQUARE}"
    ),
    "byte pair encoding (</w>)": re.compile(r"\S+</w>(?=\s|$)"),
    "Moses (@-@)": re.compile(r"(?<=\s)@[-/–]@(?=\s)"),
}
"""By tool: a piece of text with its marks."""


class CutMarks(NamedTuple):
    """The marks of a tool that cut a text into pieces."""

    tool: str
    example: str
    """A piece with its mark."""
    lines: int
    """Number of lines with such marks."""
    all_lines: int
    """Number of lines that are not empty."""

    @property
    def description(self) -> str:
        """A clause: `8 of 9 lines hold marks of subword-nmt (@@), such as "HA@@"`."""
        return (
            f"{self.lines} of {count_of(self.all_lines, 'line')} {'holds' if self.all_lines == 1 else 'hold'} marks"
            f' of {self.tool}, such as "{self.example}"'
        )


def find_cut_marks(lines: Sequence[str]) -> CutMarks | None:
    """Return the most frequent marks of a subword or other tokeniser in a text, or None if there are none."""
    full = [line for line in lines if line.strip()]
    found = []
    for tool, pattern in _MARKS.items():
        pieces = [match[0] for match in map(pattern.search, full) if match]
        if pieces and len(pieces) >= LEAST_SHARE * len(full):
            found.append(CutMarks(tool, pieces[0], len(pieces), len(full)))
    return max(found, key=lambda marks: marks.lines, default=None)


def find_spaced_full_stops(lines: Sequence[str]) -> tuple[int, int] | None:
    """Return how many lines have a blank before their full stop, and how many end in one.

    None if fewer than half have the blank, or fewer than `LEAST_SPACED` lines end in a full stop: sacreBLEU warns
    of such lines too. Question and exclamation marks do not count, since French has a blank before them.
    """
    stops = [line.rstrip() for line in lines if line.rstrip().endswith((".", "\N{IDEOGRAPHIC FULL STOP}"))]
    spaced = sum(len(line) > 1 and line[-2].isspace() for line in stops)
    return (spaced, len(stops)) if len(stops) >= LEAST_SPACED and 2 * spaced >= len(stops) else None
