"""The corpus `toydeen`: English to a German-like language, from a grammar that has what masks may break.

Agreement within a noun phrase is local, the number of a verb reaches across a prepositional phrase, clauses end in
their verbs, particles are separated from theirs, a fronted adverb turns subject and verb around, relative pronouns
look back to their head, and the sense of a homograph hangs on a cue at either end of the sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias, get_args

from pydantic import Field

from maskbench.data import toydeen_lexicon as lexicon
from maskbench.data.annotate import Links, annotated
from maskbench.data.corpus import Corpus, CorpusBuilder, Split, assemble, encode_split
from maskbench.data.distract import DISTRACT_SPLITS, Distractor
from maskbench.data.draws import Draws
from maskbench.data.generated import SPLITS, GeneratedOptions, candidates, fill
from maskbench.data.noise import NOISE_SPLITS, noise_splits
from maskbench.data.toydeen_grammar import MOST_DRAWS, aligned, derive
from maskbench.data.toydeen_inflection import determiner_form, noun_form
from maskbench.data.toydeen_lexicon import Agreement, Case, Noun, Verb
from maskbench.data.vocabulary import WordVocabulary
from maskbench.randomness import Key
from maskbench.registry import CORPORA

Aligned: TypeAlias = tuple[str, str, Links]
"""A sentence, its translation, and which words translate each other."""


class ToydeenOptions(GeneratedOptions):
    """Options of `toydeen`."""

    pairs: int = Field(default=20_000, ge=100, le=200_000, description="training pairs, all different")
    max_length: int = Field(default=16, ge=8, le=100, description="longest sentence in words, on either side")
    distractors: int = Field(
        default=0, ge=0, le=8, description="meaningless words inserted into every source, beyond max_length"
    )


@CORPORA.register("toydeen")
class Toydeen(CorpusBuilder):
    """A synchronous English-German grammar, with gold alignments and marks on meaningless words."""

    Options = ToydeenOptions
    version = 3

    @classmethod
    def split_names(cls, options: ToydeenOptions) -> list[str]:
        """Return valid, test, and the noisy and the distracted copies of test."""
        return ["valid", "test", *NOISE_SPLITS, *DISTRACT_SPLITS]

    @classmethod
    def annotations(cls, options: ToydeenOptions) -> frozenset[str]:
        """Return what is known of the words: everything but tags."""
        return frozenset({"junk", "links", "deps"})

    @classmethod
    def origins(cls, options: ToydeenOptions) -> dict[str, str]:
        """Return that noisy and distracted splits are copies of test."""
        return dict.fromkeys([*NOISE_SPLITS, *DISTRACT_SPLITS], "test")

    @classmethod
    def build(cls, options: ToydeenOptions) -> Corpus:
        """Derive the sentences; the vocabulary is the grammar's, so it is the same for every size and seed."""
        drawn = fill(sentences(options.seed, options.max_length), options.sizes())
        vocabulary = WordVocabulary(list(dict.fromkeys([*english_words(), *german_words()])))
        clean = [_split(name, drawn[name], vocabulary) for name in SPLITS]
        distractor = Distractor(junk_words(), openers(), vocabulary)
        splits = clean
        if options.distractors:
            keys = {name: Key.of(options.seed, "distractors", name) for name in SPLITS}
            splits = [
                distractor.copy(split, split.name, options.distractors, keys[split.name]) for split in clean
            ]
        # Distracted copies are made of the plain test split, so that their number is all there is.
        altered = noise_splits(splits[-1], vocabulary, english_words()) + distractor.copies(clean[-1])
        return assemble("toydeen", vocabulary, [*splits, *altered])


def _split(name: str, drawn: list[Aligned], vocabulary: WordVocabulary) -> Split:
    pairs = [(source, reference) for source, reference, _ in drawn]
    return annotated(encode_split(name, pairs, vocabulary), [links for _, _, links in drawn], junk=True)


def sentences(seed: int, max_length: int) -> Iterator[Aligned]:
    """Yield aligned pairs without end, repetitions among them, none longer than `max_length` words on either side."""
    for drawn in candidates(Key.of(seed, "toydeen"), MOST_DRAWS, _aligned):
        # Words are separated by single spaces.
        if max(drawn[0].count(" "), drawn[1].count(" ")) < max_length:
            yield drawn


def _aligned(draws: Draws) -> Aligned:
    source, reference, links = aligned(derive(draws))
    return " ".join(source), " ".join(reference), links


def junk_words() -> list[str]:
    """Return the nouns that can be inserted as junk: with one sense, and with no other use in the grammar."""
    nouns = [*lexicon.ANIMATE, *lexicon.INANIMATE]
    return _distinct(form for noun in nouns for form in (noun.english, noun.english_plural))


def openers() -> list[str]:
    """Return the words behind which a noun belongs to them: determiners and adjectives."""
    determiners = [form for d in lexicon.DETERMINERS for form in (d.english, d.english_plural)]
    return _distinct(["an", *determiners, *(adjective.english for adjective in lexicon.ADJECTIVES)])


def english_words() -> list[str]:
    """Return every English word the grammar knows, in a fixed order."""
    words = ["an", "that", "because", "to", "has", "have"]
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
    """Return every German form the grammar knows, in a fixed order."""
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
