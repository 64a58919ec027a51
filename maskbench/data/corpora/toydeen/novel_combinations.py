"""Find the combinations in a sentence of `toydeen` that training never has, from the English words."""

from __future__ import annotations

from typing import Final

from maskbench.data.corpora.toydeen import lexicon
from maskbench.data.corpora.toydeen.split_styles import HELD_OUT_PAIRS, SUBJECT_ONLY_NOUNS, Novelty

_NOUNS: Final = {
    form: noun.english
    for noun in (*lexicon.ANIMATE, *lexicon.INANIMATE, *(senses.indoors for senses in lexicon.HOMOGRAPHS))
    for form in (noun.english, noun.english_plural)
}
_ADJECTIVES: Final = frozenset(word.english for word in lexicon.ADJECTIVES)
_BEFORE_SUBJECTS: Final = frozenset(
    ["", "that", "because"] + [word.english for word in (*lexicon.ADVERBS, lexicon.INDOORS, lexicon.OUTDOORS)]
)


def lemmatize(source: str) -> list[str]:
    """Return the words of a sentence, with nouns in the singular."""
    return [_NOUNS.get(word, word) for word in source.split()]


def find_novelties(source: str) -> set[Novelty]:
    """Return the kinds of novelty in a sentence.

    A noun counts as a subject if the start of the sentence, an adverb or a conjunction is directly before its
    phrase. `that` counts as a relative pronoun directly after a noun.
    """
    words = ["", "", *source.split(), ""]
    found: set[Novelty] = set()
    for at, word in enumerate(words):
        if word not in _NOUNS:
            continue
        noun, has_adjective = _NOUNS[word], words[at - 1] in _ADJECTIVES
        before = at - 3 if has_adjective else at - 2
        is_subject = words[before] in _BEFORE_SUBJECTS
        if has_adjective and (words[at - 1], noun) in HELD_OUT_PAIRS:
            found.add("pair")
        if noun in SUBJECT_ONLY_NOUNS and not is_subject:
            found.add("object")
        if words[at + 1] == "that":
            if not is_subject:
                found.add("relative")
            elif words[before] == "that" and words[before - 1] in _NOUNS:
                found.add("deeper")
    return found
