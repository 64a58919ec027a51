"""The derivation trees of `toydeen`, from which sentences, translations and annotations follow.

A leaf has English and German words that translate each other; one side may be empty. A phrase lists the same
parts once in English and once in German order, so the tree also defines the alignment, with reordering, split
verbs and words without a counterpart. A leaf lists the other leaves on which its German words depend.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Final, Literal, NamedTuple, TypeAlias

from maskbench.data.generation.annotations import Links

TAGS: Final[dict[str, str]] = {
    "end": "The end mark.",
    "determiner": "An article or what stands in its place: gender, case and number, decided close by.",
    "adjective": "An adjective, whose ending also hangs on the kind of determiner before it.",
    "noun": "A noun with one sense.",
    "homograph": "A noun with two senses, and each determiner and adjective that the other sense would change:"
    " decided by the cue at an end of the sentence.",
    "pronoun": "A personal pronoun: its gender is that of a German noun in the clause before.",
    "relative": "A relative pronoun: gender and number from the noun before it, case from its own clause.",
    "verb": "A finite verb of a main clause that stands second, right behind its subject.",
    "auxiliary": "Likewise, a modal verb or a form of haben or sein.",
    "inverted": "A finite verb, modal and auxiliary ones included, in front of its subject because something opens the"
    " sentence.",
    "attracted": "A finite verb, wherever it stands, whose English subject has a noun of the other number between its"
    " head and the verb.",
    "verb_final": "A verb at the end of its clause: infinitives and participles, and the finite verb of a subordinate"
    " or relative clause.",
    "particle": "The particle of a separable verb, far from it at the end of a main clause.",
    "adverb": "An adverb, or one of the two cues.",
    "preposition": "A preposition.",
    "conjunction": "One of dass and weil.",
    "comma": "A comma.",
}
"""The name and meaning of every tag, in the order of `Corpus.tags`. Of homograph, attracted, inverted and
verb_final, a word has the first that fits; the other tags are mutually exclusive."""

TAG_NUMBERS: Final = {tag: number for number, tag in enumerate(TAGS)}
"""The index of every tag in `Corpus.tags`."""


class Leaf(NamedTuple):
    """English and German words that translate each other."""

    english: tuple[str, ...]
    german: tuple[str, ...]
    tag: str
    """The tag of the German words; commas have their own tag."""
    depends_on: list[Leaf]
    """Other leaves on whose English words the German words also depend. Two leaves may depend on each
    other."""


class Phrase(NamedTuple):
    """The same leaves in the order of each language."""

    english: tuple[Leaf, ...]
    german: tuple[Leaf, ...]


Node: TypeAlias = Leaf | Phrase


class DerivedSentence(NamedTuple):
    """A sentence and its translation, words separated by single spaces, and their derivation tree."""

    source: str
    reference: str
    tree: Phrase

    @property
    def lengths(self) -> tuple[int, int]:
        """The number of English and of German words."""
        return self.source.count(" ") + 1, self.reference.count(" ") + 1


class AnnotatedSentence(NamedTuple):
    """A sentence and its translation with the annotations of the words."""

    source: str
    reference: str
    links: Links
    """Which words translate each other, numbered as in `annotate.Links`."""
    deps: Links
    """Which English words every German word depends on, including those it translates; numbered alike."""
    tags: list[int]
    """The index in `TAGS` of every German word's tag."""


def leaf(english: str, german: str, tag: str = "", *depends_on: Leaf) -> Leaf:
    """Return a leaf from texts with words separated by spaces."""
    return Leaf(split_words(english), split_words(german), tag, list(depends_on))


@cache
def split_words(text: str) -> tuple[str, ...]:
    """Return the words of a leaf's text; the grammar has a few thousand such texts."""
    return tuple(text.split())


def in_orders(english: Iterable[Node], german: Iterable[Node]) -> Phrase:
    """Return a phrase of the same parts in English and in German order."""
    return Phrase(_leaves(english, 0), _leaves(german, 1))


def same_order(*parts: Node) -> Phrase:
    """Return a phrase whose parts have this order in both languages."""
    return in_orders(parts, parts)


def _leaves(parts: Iterable[Node], side: Literal[0, 1]) -> tuple[Leaf, ...]:
    """Return the leaves of the parts in the order of English (0) or German (1)."""
    leaves: list[Leaf] = []
    for part in parts:
        if isinstance(part, Leaf):
            leaves.append(part)
        else:
            leaves += part[side]
    return tuple(leaves)


def spell(tree: Phrase) -> DerivedSentence:
    """Return the sentence of a tree; adjacent German commas become one, a final comma is dropped."""
    english = [word for part in tree.english for word in part.english]
    german = [word for word, _ in _german(tree)]
    return DerivedSentence(" ".join(english), " ".join(german), tree)


def annotate(drawn: DerivedSentence) -> AnnotatedSentence:
    """Return the sentence with the annotations that follow from its tree."""
    # Leaves are compared by identity, since one tree may contain equal leaves.
    places: dict[int, range] = {}
    width = 0
    for part in drawn.tree.english:
        places[id(part)] = range(width, width + len(part.english))
        width += len(part.english)
    width += 1
    links: Links = []
    deps: Links = []
    tags = []
    for t, (word, owner) in enumerate(_german(drawn.tree)):
        own, first = places[id(owner)], t * width
        links += [first + s for s in own]
        # A comma has no inflection: it depends only on the word it translates.
        if owner.depends_on and not (own and word == ","):
            wider = {*own, *(s for other in owner.depends_on for s in places[id(other)])}
            deps += [first + s for s in sorted(wider)]
        else:
            deps += [first + s for s in own]
        tags.append(TAG_NUMBERS["comma" if word == "," else owner.tag])
    return AnnotatedSentence(drawn.source, drawn.reference, links, deps, tags)


def _german(tree: Phrase) -> list[tuple[str, Leaf]]:
    """Return the German words, each with its leaf."""
    words: list[tuple[str, Leaf]] = []
    for part in tree.german:
        for word in part.german:
            if word == "," and words and words[-1][0] == ",":
                words.pop()
            words.append((word, part))
    if words[-1][0] == ",":
        words.pop()
    return words
