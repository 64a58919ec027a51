"""Invented words for corpora that need words of several kinds, told apart by their endings."""

from __future__ import annotations

from typing import Final

_SYLLABLES: Final = ("ba", "de", "fi", "go", "ku", "la", "me", "ni", "po", "ru", "sa", "ti")

MOST: Final = len(_SYLLABLES) ** 2
"""How many words there are of one ending."""


def pseudowords(count: int, ending: str = "") -> list[str]:
    """Return `count` different words of two syllables and `ending`, the same ones first for every count.

    Args:
        count: in [0, `MOST`].
        ending: words with endings that are no syllables, such as "n", differ from those with another ending.
    """
    n = len(_SYLLABLES)
    return [_SYLLABLES[i % n] + _SYLLABLES[(i % n + i // n + 1) % n] + ending for i in range(count)]
