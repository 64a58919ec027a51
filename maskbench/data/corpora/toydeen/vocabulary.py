"""The words of `toydeen` in a fixed order: its vocabulary, and the words for inserting junk."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from maskbench.data.corpora.toydeen import lexicon
from maskbench.data.corpora.toydeen.inflection import PERSONAL, determiner_form, noun_form
from maskbench.data.corpora.toydeen.lexicon import Agreement, Case, Noun, Verb


def junk_words() -> list[str]:
    """Return the nouns that can be inserted as junk: those with one sense and no other use in the grammar."""
    nouns = [*lexicon.ANIMATE, *lexicon.INANIMATE]
    return _distinct(form for noun in nouns for form in (noun.english, noun.english_plural))


def openers() -> list[str]:
    """Return the words to which a following noun belongs: determiners and adjectives."""
    determiners = [form for d in lexicon.DETERMINERS for form in (d.english, d.english_plural)]
    return _distinct(["an", *determiners, *(adjective.english for adjective in lexicon.ADJECTIVES)])


def english_words() -> list[str]:
    """Return every English word of the grammar, in a fixed order."""
    words = ["an", "that", "because", "to", "has", "have", "it", "they", "them"]
    for determiner in lexicon.DETERMINERS:
        words += [determiner.english, determiner.english_plural]
    for noun in _all_nouns():
        words += [noun.english, noun.english_plural]
    for verb in _all_verbs():
        words += [verb.english, verb.english_singular, verb.english_participle, verb.english_particle]
    words += [
        word.english for word in (*lexicon.ADJECTIVES, *lexicon.ADVERBS, lexicon.INDOORS, lexicon.OUTDOORS)
    ]
    words += [word.english for word in (*lexicon.PREPOSITIONS, *lexicon.MODALS)]
    return _distinct(words)


def german_words() -> list[str]:
    """Return every German word form of the grammar, in a fixed order."""
    words = [",", "dass", "weil", "denen"]
    cases: tuple[Case, ...] = get_args(Case)
    agreements: tuple[Agreement, ...] = get_args(Agreement)
    for case in cases:
        for determiner in lexicon.DETERMINERS:
            words += [
                determiner_form(determiner, case, agreement)
                for agreement in agreements
                if (determiner.english_plural if agreement == "p" else determiner.english)
            ]
        for noun in _all_nouns():
            words += [noun_form(noun, case, plural=plural) for plural in (False, True)]
    for adjective in lexicon.ADJECTIVES:
        words += [adjective.german + ending for ending in ("e", "en", "er", "es")]
    for verb in _all_verbs():
        words += _verb_forms(verb)
    for pronouns in PERSONAL.values():
        words += pronouns.values()
    for auxiliary in lexicon.AUXILIARIES.values():
        words += auxiliary
    for modal in lexicon.MODALS:
        words += [modal.german_singular, modal.german_plural]
    words += [word.german for word in (*lexicon.ADVERBS, lexicon.INDOORS, lexicon.OUTDOORS)]
    words += [word.german for word in lexicon.PREPOSITIONS]
    return _distinct(words)


def _verb_forms(verb: Verb) -> list[str]:
    forms = [verb.german_singular, verb.german_plural]
    joined = [verb.german_particle + form for form in (*forms, verb.german_participle)]
    return [*forms, *joined, verb.german_particle]


def _all_nouns() -> list[Noun]:
    senses = [sense for homograph in lexicon.HOMOGRAPHS for sense in homograph]
    return [*lexicon.ANIMATE, *lexicon.INANIMATE, *senses]


def _all_verbs() -> list[Verb]:
    return [
        *lexicon.INTRANSITIVE,
        *lexicon.TRANSITIVE,
        *lexicon.DITRANSITIVE,
        *lexicon.SEPARABLE,
        *lexicon.CLAUSAL,
    ]


def _distinct(words: Iterable[str]) -> list[str]:
    return [word for word in dict.fromkeys(words) if word]
