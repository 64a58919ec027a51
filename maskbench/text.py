"""Text for a terminal, a page or a log: counts with their nouns, text without control characters, text that shows.

A corpus, an arm's title or an error message may hold escape sequences that clear the screen, set its title or reverse
the direction of the text after them. Rich strips only a few of them, and not the escape character; a page shows them
as boxes, and XML must not hold them.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_CONTROLS = (*range(0x00, 0x20), *range(0x7F, 0xA0))
_TURNS = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_NO_CHARACTERS = (0xFFFE, 0xFFFF)
_SEPARATORS = (0x2028, 0x2029)
_SURROGATES = range(0xD800, 0xE000)
_DROPPED: dict[int, str | None] = {
    **dict.fromkeys((*_CONTROLS, *_TURNS, *_SURROGATES, *_NO_CHARACTERS)),
    **dict.fromkeys((*map(ord, "\t\n\r"), *_SEPARATORS), " "),
}
_DROPPED_IN_LINES = {code: text for code, text in _DROPPED.items() if code != ord("\n")}


def sanitize(text: str, *, lines: bool = False) -> str:
    """Return `text` without control characters, direction marks and lone surrogates.

    Line breaks and tabs become spaces; with `lines`, line breaks stay.
    """
    return text.translate(_DROPPED_IN_LINES if lines else _DROPPED)


_ALSO_INVISIBLE: Final = frozenset(
    chr(code)
    for code in (
        0x034F,  # the combining grapheme joiner
        *(0x115F, 0x1160, 0x3164, 0xFFA0),  # fillers of Hangul
        *(0x17B4, 0x17B5),  # vowels of Khmer that are not drawn
        *(
            0x180B,
            0x180C,
            0x180D,
            0x180F,
            *range(0xFE00, 0xFE10),
            *range(0xE0100, 0xE01F0),
        ),  # variation selectors
        0x2800,  # the empty pattern of Braille
    )
)
"""Invisible characters whose general category (a letter, a mark, a symbol) does not say so."""

_VISIBLE_FORMATS: Final = frozenset(
    chr(code) for code in (*range(0x0600, 0x0606), 0x06DD, 0x070F, 0x0890, 0x0891, 0x08E2, 0x110BD, 0x110CD)
)
"""Format characters that are drawn: signs around numbers (Unicode's Prepended_Concatenation_Mark)."""


def is_invisible(text: str) -> bool:
    """Return whether nothing of `text` can be seen: it has only white space, control and format characters.

    Zero-width spaces and joiners, byte order marks, direction marks, soft hyphens, variation selectors and
    fillers are invisible; so is the empty text.
    """
    return all(map(_is_invisible_character, text))


def _is_invisible_character(character: str) -> bool:
    if character.isspace() or character in _ALSO_INVISIBLE:
        return True
    return unicodedata.category(character) in ("Cc", "Cf") and character not in _VISIBLE_FORMATS


def count_of(n: int, noun: str) -> str:
    """Return a count with its noun: `1 arm`, `2 arms`, `0 arms`."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
