"""Where words begin and end in a line of tokens, read off the spelling of each token.

A mask sees ids and, at the decoder, only those up to its own. So whether a token begins a word is decided by its
spelling and by that of the tokens before it. A token is never divided: one that holds several words is one word.
A token of BPE that ends inside a character counts as most characters with these first bytes do.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from maskbench.data.vocabulary import N_SPECIAL, Vocabulary
from maskbench.data.words import CharacterKind, WordRule, character_kind, stacks_next


class Edge(IntEnum):
    """The rows of the matrix that `word_edges` returns."""

    LEADS = 0
    """The token begins a word, by its own first character."""
    CONTINUES = 1
    """It begins inside a character: with a combining mark, or with a later byte."""
    BARE = 2
    """It has nothing else; whether its character is a word of its own, an earlier token says."""
    ENDS = 3
    """Its last character is a word of its own, so the next token begins a word unless it continues a character."""
    HOLDS = 4
    """The next token never begins a word: this one is blank, and a blank belongs to the word behind it; or this one
    stacks the next character below its own."""


_LENGTHS: Final = {0b110: 2, 0b1110: 3, 0b11110: 4}
"""Bytes of a character in UTF-8 by the leading bits of its first byte."""


def word_edges(vocabulary: Vocabulary, rule: WordRule) -> npt.NDArray[np.bool_]:
    """Return `[5, vocab]`: the rows of `Edge` for every id; special tokens lead."""
    edges = np.zeros((len(Edge), len(vocabulary)), dtype=np.bool_)
    edges[Edge.LEADS, :N_SPECIAL] = True
    for index in range(N_SPECIAL, len(vocabulary)):
        edges[:, index] = _edges_of(_kinds(vocabulary.spelling(index), rule), rule)
    return edges


def _edges_of(kinds: list[tuple[CharacterKind, bool]], rule: WordRule) -> list[bool]:
    """Return the column of a token, whose characters are given as kinds and whether each stacks the next one."""
    if not kinds:
        return [False] * len(Edge)
    first = kinds[0][0]
    bases = [kind for kind, _ in kinds if kind is not CharacterKind.MARK]
    blank = bases == [kind for kind, _ in kinds] and set(bases) == {CharacterKind.BLANK}
    return [
        first in (CharacterKind.BLANK, CharacterKind.ALONE),
        first is CharacterKind.MARK,
        not bases,
        bool(bases) and bases[-1] is CharacterKind.ALONE,
        blank or (rule.divides and kinds[-1][1]),
    ]


def _kinds(spelling: bytes, rule: WordRule) -> list[tuple[CharacterKind, bool]]:
    """Return the kind of every character, and whether it stacks the next; cut characters have a kind too."""
    found: list[tuple[CharacterKind, bool]] = []
    place = 0
    while place < len(spelling):
        size = _size(spelling[place])
        part = spelling[place : place + size]
        place += size
        if len(part) == size and size:
            character = part.decode("utf-8", "replace")
            found.append((character_kind(character), stacks_next(character)))
        elif size:
            found.append((_kind_of_beginning(part, size), False))
        else:
            # A later byte of a character that an earlier token began.
            found.append((CharacterKind.MARK, False))
            place += 1
    if rule.divides:
        return found
    plain = {CharacterKind.ALONE: CharacterKind.PLAIN}
    return [(plain.get(kind, kind), stacks) for kind, stacks in found]


def _size(byte: int) -> int:
    """Return the number of bytes of the character that a byte begins, 0 for a later byte."""
    if byte < 0x80:
        return 1
    return next((size for bits, size in _LENGTHS.items() if byte >> (7 - size) == bits), 0)


def _kind_of_beginning(part: bytes, size: int) -> CharacterKind:
    """Return the kind that most characters with these first bytes have, of a sample of at most 64."""
    missing = size - len(part)
    tails = (bytes([0x80 + step]) + b"\x90" * (missing - 1) for step in range(64))
    kinds = []
    for tail in tails:
        try:
            kinds.append(character_kind((part + tail).decode("utf-8")))
        except UnicodeDecodeError:
            continue
    alone = kinds.count(CharacterKind.ALONE)
    return CharacterKind.ALONE if 2 * alone > len(kinds) else CharacterKind.PLAIN
