"""The derivation trees of `toydeen`, and how a sentence, its translation and all that is known of both are read off.

A leaf has words of both languages that translate each other; one side may be empty. A phrase lists the same parts in
English order and again in German order, so the tree itself says which words correspond: reordering, split verbs and
words that only one side has are all places in these two lists. What else the German words of a leaf hang on, the leaf
says by naming other leaves.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from maskbench.data.generation.annotations import Links
from maskbench.data.toydeen_tags import NUMBERS


class Leaf(NamedTuple):
    """Words that translate each other."""

    english: tuple[str, ...]
    german: tuple[str, ...]
    tag: str
    """Of the German words, but for commas, which have a tag of their own."""
    on: list[Leaf]
    """Whose English words the German ones hang on besides their own. Two leaves may hang on each other."""


class Phrase(NamedTuple):
    """The same parts, as each language orders them."""

    english: tuple[Node, ...]
    german: tuple[Node, ...]


Node: TypeAlias = Leaf | Phrase


class Drawn(NamedTuple):
    """A sentence and its translation, words separated by single spaces, and where they come from."""

    source: str
    reference: str
    tree: Node

    @property
    def lengths(self) -> tuple[int, int]:
        """The number of English and of German words."""
        return self.source.count(" ") + 1, self.reference.count(" ") + 1


class Sentence(NamedTuple):
    """A sentence and its translation with what is known of the words."""

    source: str
    reference: str
    links: Links
    """Which words translate each other, numbered as in `annotate.Links`."""
    deps: Links
    """Likewise, which English words every German word hangs on, those it translates among them."""
    tags: list[int]
    """The place in `TAGS` of every German word's tag."""


def leaf(english: str, german: str, tag: str = "", *on: Leaf) -> Leaf:
    """Return a leaf of words separated by spaces."""
    return Leaf(tuple(english.split()), tuple(german.split()), tag, list(on))


def same_order(*parts: Node) -> Phrase:
    """Return a phrase of parts that both languages have in this order."""
    return Phrase(parts, parts)


def spell(tree: Node) -> Drawn:
    """Return what a tree says; of two commas in a row one is written, and none at the end."""
    english = [word for part in _leaves(tree, 0) for word in part.english]
    german = [word for word, _ in _german(tree)]
    return Drawn(" ".join(english), " ".join(german), tree)


def read(drawn: Drawn) -> Sentence:
    """Return the sentence with what its tree knows of the words."""
    # Leaves are told apart by identity: equal ones may stand in one tree.
    places: dict[int, range] = {}
    width = 0
    for part in _leaves(drawn.tree, 0):
        places[id(part)] = range(width, width + len(part.english))
        width += len(part.english)
    width += 1
    links: Links = []
    deps: Links = []
    tags = []
    for t, (word, owner) in enumerate(_german(drawn.tree)):
        own, first = places[id(owner)], t * width
        links += [first + s for s in own]
        # A comma is no form of anything: it is there because the word is that it translates.
        if owner.on and not (own and word == ","):
            wider = {*own, *(s for other in owner.on for s in places[id(other)])}
            deps += [first + s for s in sorted(wider)]
        else:
            deps += [first + s for s in own]
        tags.append(NUMBERS["comma" if word == "," else owner.tag])
    return Sentence(drawn.source, drawn.reference, links, deps, tags)


def _leaves(tree: Node, side: Literal[0, 1]) -> list[Leaf]:
    """Return the leaves in the order of English (0) or German (1)."""
    leaves: list[Leaf] = []
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Leaf):
            leaves.append(node)
        else:
            waiting += node[side][::-1]
    return leaves


def _german(tree: Node) -> list[tuple[str, Leaf]]:
    """Return the German words, each beside its leaf."""
    words: list[tuple[str, Leaf]] = []
    for part in _leaves(tree, 1):
        for word in part.german:
            if word == "," and words and words[-1][0] == ",":
                words.pop()
            words.append((word, part))
    if words[-1][0] == ",":
        words.pop()
    return words
