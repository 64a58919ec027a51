"""What a word is, for noise, for masks of whole words, and for the notes on a text.

A word is what stands between blanks. Blanks are white space, the zero width space, the Tibetan tsheg and the
Ethiopic wordspace. Some scripts are written without blanks between words (`_ALONE`). In a text of such a script
every base character is a word of its own, together with all its combining marks: a grapheme cluster of Unicode
Standard Annex 29 (https://unicode.org/reports/tr29/), and the spacing vowels that the annex leaves out. Other
characters between two blanks stay one word, as a Latin name in a Chinese sentence does. If such a text has blanks
between words all the same, because somebody divided it into words, these blanks count and the characters are not
divided.

`choose_rule` reads off a text which of the two holds.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Final

_BLANKS: Final = "\u200b\u0f0b\u1361"
"""Characters between words that are not white space: zero width space, Tibetan tsheg, Ethiopic wordspace."""
_ALONE: Final = re.compile(
    "["
    "\u0e01-\u0e30\u0e32\u0e40-\u0e46\u0e4f-\u0e5b"  # Thai
    "\u0e81-\u0eb0\u0eb2\u0ebd-\u0ec6\u0ed0-\u0edf"  # Lao
    "\u1000-\u109f\ua9e0-\ua9fe\uaa60-\uaa7f"  # Myanmar
    "\u1780-\u17b3\u17d4-\u17f9"  # Khmer
    "\u1950-\u19df\u1a20-\u1a54\u1a80-\u1aad\uaa80-\uaadf"  # Tai Le, New Tai Lue, Tai Tham, Tai Viet
    "\u1b05-\u1b33\u1b45-\u1b7f\ua984-\ua9b2\ua9c1-\ua9df"  # Balinese, Javanese
    "\u2e80-\u2fdf\u3001-\u303f\u3041-\u30ff\u3105-\u312f\u3190-\u31ff\u3220-\u3247\u3280-\u9fff"  # Han, kana
    "\ua000-\ua4cf"  # Yi
    "\uf900-\ufaff\uff66-\uff9f\U0001aff0-\U0001b16f\U00020000-\U000323af"  # Han, kana
    "]"
)
"""One character of a script that is written without blanks between words, or of its punctuation."""
_STACKERS: Final = "\u1039\u17d2\u1a60\u1b44\ua9c0"
"""Marks that put the next consonant below the one before."""
_JOINERS: Final = "\u200c\u200d\u0e33\u0eb3\uff9e\uff9f"
"""Characters that extend the one before, although their category is not that of a mark."""
_BLANK_RUN: Final = re.compile(f"[\\s{_BLANKS}]+")

_GAP_SHARE: Final = 1 / 8
"""Text of such scripts has blanks between words if they stand at this share of the places between its characters;
divided into words it has about 1/2 (Chinese) to 1/4 (Thai), else less than 1/20."""
_MOST_LINES: Final = 20_000


class CharacterKind(Enum):
    """What a character does where words begin and end."""

    BLANK = "stands between words"
    MARK = "belongs to the character before"
    ALONE = "is a word of its own in text without blanks"
    PLAIN = "belongs to one word with its neighbours"


@cache
def character_kind(character: str) -> CharacterKind:
    """Return the kind of one code point."""
    if character.isspace() or character in _BLANKS:
        return CharacterKind.BLANK
    if character in _JOINERS or unicodedata.category(character).startswith("M"):
        return CharacterKind.MARK
    return CharacterKind.ALONE if _ALONE.match(character) else CharacterKind.PLAIN


def stacks_next(character: str) -> bool:
    """Return whether a character takes the next one into its own unit."""
    return character in _STACKERS


@dataclass(frozen=True, slots=True)
class DividedLine:
    """A line as words and what stands between them; together they are the line, character by character."""

    words: list[str]
    blanks: list[str]
    """`blanks[i]` stands before word i, the last one behind all words; "" where words touch."""


@dataclass(frozen=True, slots=True)
class WordRule:
    """How the lines of one side of a corpus are divided into words."""

    divides: bool = False
    """Whether a character of a script without blanks is a word of its own."""

    def split(self, line: str) -> list[str]:
        """Return the words of a line."""
        return self.divide(line).words

    def divide(self, line: str) -> DividedLine:
        """Return the words of a line and what stands between them."""
        words: list[str] = []
        blanks: list[str] = []
        end = 0
        for found in _BLANK_RUN.finditer(line):
            self._add(line[end : found.start()], words, blanks)
            if len(blanks) > len(words):
                blanks[-1] += found[0]
            else:
                blanks.append(found[0])
            end = found.end()
        self._add(line[end:], words, blanks)
        if len(blanks) == len(words):
            blanks.append("")
        return DividedLine(words, blanks)

    def _add(self, piece: str, words: list[str], blanks: list[str]) -> None:
        """Add the words of a piece without blanks, each with the blank before it."""
        if not piece:
            return
        for word in _divide_piece(piece) if self.divides else (piece,):
            if len(blanks) == len(words):
                blanks.append("")
            words.append(word)

    def fuses(self, word: str, following: str) -> bool:
        """Return whether two words that touch are divided otherwise than between them."""
        return self.split(word + following) != [word, following]


BETWEEN_BLANKS: Final = WordRule()
"""Words are what stands between blanks, in every script."""


def _divide_piece(piece: str) -> list[str]:
    """Divide a piece without blanks at both sides of every character that is a word of its own."""
    if not _ALONE.search(piece):
        return [piece]
    words: list[str] = []
    alone = held = False
    for character in piece:
        kind = character_kind(character)
        if words and (kind is CharacterKind.MARK or held or (kind is CharacterKind.PLAIN and not alone)):
            words[-1] += character
        else:
            words.append(character)
        if kind is not CharacterKind.MARK:
            alone = kind is CharacterKind.ALONE
        held = stacks_next(character)
    return words


def choose_rule(lines: Sequence[str]) -> WordRule:
    """Return the rule for a text, read off its lines (evenly spaced ones, if there are more than 20,000).

    Lines count if most of their words would be single characters of scripts without blanks. Characters are divided
    if blanks stand at less than an eighth of the places between two such characters.
    """
    by_character = WordRule(divides=True)
    places = gaps = 0
    for line in _sample(lines):
        if not _ALONE.search(line):
            continue
        found = by_character.divide(line)
        alone = [bool(_ALONE.match(word)) for word in found.words]
        if 2 * sum(alone) <= len(alone):
            continue
        for i in range(1, len(alone)):
            if alone[i - 1] and alone[i]:
                places += 1
                gaps += bool(found.blanks[i])
    return WordRule(divides=gaps < _GAP_SHARE * places)


def lacks_white_space(lines: Sequence[str], rule: WordRule) -> bool:
    """Return whether white space stands at less than half of the places between two words of a text."""
    places = spaces = 0
    for line in _sample(lines):
        places += max(0, len(rule.split(line)) - 1)
        spaces += max(0, len(line.split()) - 1)
    return 2 * spaces < places


def _sample(lines: Sequence[str]) -> Sequence[str]:
    return lines[:: 1 + len(lines) // _MOST_LINES]
