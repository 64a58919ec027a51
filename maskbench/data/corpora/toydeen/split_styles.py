"""How the sentences of a split of `toydeen` differ from those of another: how much there is in them, and what is new.

Some combinations never occur in training, so that the split `novel` can ask whether a model composes what it knows.
They are held out by rule and for every seed; each of their parts is common in training in other company.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from maskbench.data.corpora.toydeen import lexicon
from maskbench.data.corpora.toydeen.lexicon import Noun, WordPair

Novelty: TypeAlias = Literal["object", "pair", "relative", "deeper"]
"""What of a sentence training does not have: a noun as direct object that is only ever a subject there, an adjective
with a noun that it never goes with there, a relative clause on a direct object, or one on the subject of another
relative clause."""

SUBJECT_ONLY_NOUNS: Final = frozenset({"baker", "bird", "sister", "goat", "girl", "lamb"})
"""The nouns that training has only as subjects: two of each gender."""


class SplitStyle(NamedTuple):
    """Chances, each in [0, 1], and what is new."""

    clauses: float = 0.4
    """That a sentence has a second clause."""
    adjectives: float = 0.3
    """That a noun has an adjective."""
    prepositional: float = 0.2
    """That a noun phrase has a prepositional phrase behind it."""
    relative: float = 0.2
    """That a noun phrase has a relative clause behind it, where it may have one."""
    two_clause_factor: float = 0.5
    """What the last two are multiplied by in a sentence of two clauses."""
    novelty: Novelty | None = None


PLAIN_STYLE: Final = SplitStyle()
"""The sentences of training, validation and test."""

LONG_SPLITS: Final[dict[str, tuple[range, SplitStyle]]] = {
    "long-1": (range(17, 21), SplitStyle(0.8, 0.5, 0.4, 0.4, 0.8)),
    "long-2": (range(21, 25), SplitStyle(0.95, 0.7, 0.45, 0.5, 0.9)),
    "long-3": (range(25, 33), SplitStyle(1.0, 0.85, 0.45, 0.55, 1.0)),
}
"""The splits of long sentences: how many English words, and a style that often has as many."""

NOVELTY_STYLES: Final[dict[Novelty, SplitStyle]] = {
    "object": PLAIN_STYLE._replace(novelty="object"),
    "pair": PLAIN_STYLE._replace(novelty="pair", adjectives=0.4),
    "relative": SplitStyle(0.1, 0.2, 0.1, 0.8, novelty="relative"),
    "deeper": PLAIN_STYLE._replace(novelty="deeper", clauses=0.0, adjectives=0.1, relative=0.9),
}
"""A style for every kind of novelty."""

NOVELTY_MIN_LENGTHS: Final[dict[Novelty, int]] = {"object": 8, "pair": 8, "relative": 10, "deeper": 16}
"""From which `max_length` on there are many sentences with a novelty."""

_NOUNS: Final = (*lexicon.ANIMATE, *lexicon.INANIMATE)

HELD_OUT_PAIRS: Final[frozenset[tuple[str, str]]] = frozenset(
    (adjective.english, noun.english)
    for a, adjective in enumerate(lexicon.ADJECTIVES)
    for n, noun in enumerate(_NOUNS)
    if (a + n) % 10 == 0
)
"""Adjectives and nouns that never meet in training: two adjectives for every noun with one sense."""


def _adjectives(*, held_out: bool) -> dict[str, tuple[WordPair, ...]]:
    return {
        noun.english: tuple(
            word
            for word in lexicon.ADJECTIVES
            if ((word.english, noun.english) in HELD_OUT_PAIRS) is held_out
        )
        for noun in _NOUNS
    }


_USUAL: Final = _adjectives(held_out=False)
_UNUSUAL: Final = _adjectives(held_out=True)


def allowed_adjectives(style: SplitStyle, noun: Noun) -> tuple[WordPair, ...]:
    """Return the adjectives a noun may have."""
    return (_UNUSUAL if style.novelty == "pair" else _USUAL).get(noun.english, lexicon.ADJECTIVES)


_KINDS: Final = {True: lexicon.ANIMATE, False: lexicon.INANIMATE}
_OTHER_THAN_SUBJECTS: Final = {
    animate: tuple(noun for noun in kind if noun.english not in SUBJECT_ONLY_NOUNS)
    for animate, kind in _KINDS.items()
}
_SUBJECTS_AS_OBJECTS: Final = tuple(noun for noun in _NOUNS if noun.english in SUBJECT_ONLY_NOUNS)


def allowed_nouns(style: SplitStyle, role: str, *, animate: bool) -> tuple[Noun, ...]:
    """Return the nouns that a noun phrase in some role may have."""
    if role == "subject":
        return _KINDS[animate]
    if style.novelty == "object" and role == "object":
        return _SUBJECTS_AS_OBJECTS
    return _OTHER_THAN_SUBJECTS[animate]
