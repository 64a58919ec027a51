"""Styles of the splits of `toydeen`: how complex their sentences are, and which novelty they have.

Some combinations never occur in training, so that the split `novel` tests whether a model generalises to new
combinations of known words. They are held out by rule under every seed; each of their parts is common in
training in other combinations.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from maskbench.data.corpora.toydeen import lexicon
from maskbench.data.corpora.toydeen.lexicon import Noun, WordPair

Novelty: TypeAlias = Literal["object", "pair", "relative", "deeper"]
"""What training never has: "object", a direct object that is only a subject in training; "pair", an adjective
with a noun it never occurs with in training; "relative", a relative clause on a direct object; "deeper", a
relative clause on the subject of another relative clause."""

SUBJECT_ONLY_NOUNS: Final = frozenset({"baker", "bird", "sister", "goat", "girl", "lamb"})
"""The nouns that occur in training only as subjects: two of each gender."""


class SplitStyle(NamedTuple):
    """Probabilities, each in [0, 1], and the novelty of a sentence."""

    clauses: float = 0.4
    """Probability that a sentence has a second clause."""
    adjectives: float = 0.3
    """Probability that a noun has an adjective."""
    prepositional: float = 0.2
    """Probability that a prepositional phrase follows a noun phrase."""
    relative: float = 0.2
    """Probability that a relative clause follows a noun phrase that may have one."""
    two_clause_factor: float = 0.5
    """Factor on `prepositional` and `relative` in a sentence of two clauses."""
    novelty: Novelty | None = None


PLAIN_STYLE: Final = SplitStyle()
"""The style of training, validation and test."""

LONG_SPLITS: Final[dict[str, tuple[range, SplitStyle]]] = {
    "long-1": (range(17, 21), SplitStyle(0.8, 0.5, 0.4, 0.4, 0.8)),
    "long-2": (range(21, 25), SplitStyle(0.95, 0.7, 0.45, 0.5, 0.9)),
    "long-3": (range(25, 33), SplitStyle(1.0, 0.85, 0.45, 0.55, 1.0)),
}
"""The splits of long sentences: the range of English words, and a style that often reaches it."""

NOVELTY_STYLES: Final[dict[Novelty, SplitStyle]] = {
    "object": PLAIN_STYLE._replace(novelty="object"),
    "pair": PLAIN_STYLE._replace(novelty="pair", adjectives=0.4),
    "relative": SplitStyle(0.1, 0.2, 0.1, 0.8, novelty="relative"),
    "deeper": PLAIN_STYLE._replace(novelty="deeper", clauses=0.0, adjectives=0.1, relative=0.9),
}
"""A style for every kind of novelty."""

NOVELTY_MIN_LENGTHS: Final[dict[Novelty, int]] = {"object": 8, "pair": 8, "relative": 10, "deeper": 16}
"""The smallest `max_length` at which sentences with a novelty are frequent."""

_NOUNS: Final = (*lexicon.ANIMATE, *lexicon.INANIMATE)

HELD_OUT_PAIRS: Final[frozenset[tuple[str, str]]] = frozenset(
    (adjective.english, noun.english)
    for a, adjective in enumerate(lexicon.ADJECTIVES)
    for n, noun in enumerate(_NOUNS)
    if (a + n) % 10 == 0
)
"""Pairs of an adjective and a noun that never occur in training: two adjectives for every noun with one
sense."""


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
    """Return the adjectives a noun may have in a style."""
    return (_UNUSUAL if style.novelty == "pair" else _USUAL).get(noun.english, lexicon.ADJECTIVES)


_KINDS: Final = {True: lexicon.ANIMATE, False: lexicon.INANIMATE}
_OTHER_THAN_SUBJECTS: Final = {
    animate: tuple(noun for noun in kind if noun.english not in SUBJECT_ONLY_NOUNS)
    for animate, kind in _KINDS.items()
}
_SUBJECTS_AS_OBJECTS: Final = tuple(noun for noun in _NOUNS if noun.english in SUBJECT_ONLY_NOUNS)


def allowed_nouns(style: SplitStyle, role: str, *, animate: bool) -> tuple[Noun, ...]:
    """Return the nouns that a noun phrase may have in a style and a role."""
    if role == "subject":
        return _KINDS[animate]
    if style.novelty == "object" and role == "object":
        return _SUBJECTS_AS_OBJECTS
    return _OTHER_THAN_SUBJECTS[animate]
