"""Text for a terminal, a page or a log: counts with their nouns, and text without control characters.

A corpus, an arm's title or an error message may hold escape sequences that clear the screen, set its title or reverse
the direction of the text after them. Rich strips only a few of them, and not the escape character; a page shows them
as boxes, and XML must not hold them.
"""

from __future__ import annotations

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


def count_of(n: int, noun: str) -> str:
    """Return a count with its noun: `1 arm`, `2 arms`, `0 arms`."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
