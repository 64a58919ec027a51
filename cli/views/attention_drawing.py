"""What two models attend to in one sentence, in characters: rows are predicted words, columns are source words.

Pure text: no colour, no line longer than asked for. Columns are headed by letters, which a legend explains, since words
do not fit over cells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from string import ascii_letters
from textwrap import wrap
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size

from maskbench.text import sanitize

from .mask_drawing import ASCII, BLOCKS, DrawingCharacters

if TYPE_CHECKING:
    from maskbench.pictures.cross_attention import SentenceAttention

__all__ = ["ASCII", "BLOCKS", "attention_lines"]

_FROM = (0.05, 0.2, 0.4, 0.7)
"""The least shares of a row's attention that each shade stands for."""
_LABEL = 12
"""Columns for a predicted word."""
_GAP = 3


def attention_lines(
    pictures: Sequence[tuple[str, SentenceAttention]], width: int, ink: DrawingCharacters
) -> list[str]:
    """Return the pictures under their titles, side by side where they fit, and a legend.

    Args:
        pictures: titles and what was attended to; all of the same words.
        width: columns there are.
    """
    words = [sanitize(word) for word in pictures[0][1].target_tokens]
    label = min(_LABEL, max(cell_len(word) for word in words))
    longest = max(len(attention.source_tokens) for _, attention in pictures)
    room = width - label - 1
    together = (room - _GAP * (len(pictures) - 1)) // len(pictures)
    beside = longest <= together
    each = together if beside else room
    cell = 2 if 2 * longest <= each else 1
    shown = min(longest, each // cell, len(ascii_letters))
    blocks = [list(_block(title, attention, cell, shown, ink)) for title, attention in pictures]
    margin = ["", "", *(set_cell_size(word, label) for word in words)]
    groups = [blocks] if beside else [[block] for block in blocks]
    lines: list[str] = []
    for group in groups:
        wide = max(cell_len(line) for block in group for line in block) + _GAP
        for name, *parts in zip_longest(margin, *group, fillvalue=""):
            cells = "".join(set_cell_size(part, wide) for part in parts)
            lines.append(f"{set_cell_size(name, label)} {cells}".rstrip())
        lines.append("")
    return [*lines, *_legend(pictures, shown, longest, width, ink)]


def _block(
    title: str, attention: SentenceAttention, cell: int, shown: int, ink: DrawingCharacters
) -> Iterator[str]:
    columns = min(shown, len(attention.source_tokens))
    room = max(cell * shown, _LABEL)
    yield set_cell_size(sanitize(title), min(room, cell_len(sanitize(title))))
    yield "".join(letter.ljust(cell) for letter in ascii_letters[:columns])
    for row in attention.weights.tolist():
        yield "".join(_shade(share, ink) * cell for share in row[:columns])


def _shade(share: float, ink: DrawingCharacters) -> str:
    level = sum(share >= least for least in _FROM)
    return ink.shades[level - 1] if level else ink.hidden


def _legend(
    pictures: Sequence[tuple[str, SentenceAttention]],
    shown: int,
    longest: int,
    width: int,
    ink: DrawingCharacters,
) -> Iterator[str]:
    sources = list(dict.fromkeys(attention.source_tokens for _, attention in pictures))
    for source in sources:
        keyed = zip(ascii_letters, source[:shown], strict=False)
        # Lines are broken between entries, never inside of one.
        text = "   ".join(f"{key}\0{sanitize(word).replace(' ', chr(0))}" for key, word in keyed)
        yield from (line.replace("\0", " ") for line in wrap(text, width, subsequent_indent="  "))
    if longest > shown:
        yield f"(the first {shown} of {longest} source tokens)"
    levels = [f"{shade} {share:.0%}" for shade, share in zip(ink.shades, _FROM, strict=True)]
    yield f"share of a word's attention, from: {'  '.join(levels)}   {ink.hidden} less"
