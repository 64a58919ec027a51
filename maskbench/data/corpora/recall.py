"""The corpus `recall`: multi-query associative recall, a synthetic question answering task.

A source has facts, each a key followed by its value, then a separator and some of the keys as questions. The
reference is their values, in the same order. A value must be found by its key, so the task tests whether
attention can look up content across a distance. Meaningless words between the facts are distractors.

After the task of Arora et al. 2024 (Zoology, arXiv:2312.04927), where the answers of a decoder are scored in
place. Here the answers are a separate target sequence, all questions come after all facts, and the facts
asked for are drawn uniformly; Zoology draws the gap between a fact and its question from a power law.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self, TypeAlias

from pydantic import Field, model_validator

from maskbench.data.corpus import Corpus, CorpusBuilder, Ragged, Split, assemble_corpus, encode_split
from maskbench.data.generation.annotations import Links, annotate_split
from maskbench.data.generation.noise import NOISE_SPLITS, make_noisy_splits
from maskbench.data.generation.sampling import (
    MAX_PSEUDOWORDS,
    SPLITS,
    GeneratedOptions,
    fill_splits,
    generate_candidates,
    make_pseudowords,
)
from maskbench.data.generation.sentence_rng import SentenceRng
from maskbench.data.vocabulary import WordVocabulary
from maskbench.randomness import Key
from maskbench.registry import CORPORA

SEPARATOR: Final = "ask"
TAGS: Final = ("end", "answer")

Question: TypeAlias = tuple[str, str, list[tuple[int, int]], list[int]]
"""A source, its reference, the source positions of question and value for every answer, and the positions of
junk."""


class RecallOptions(GeneratedOptions):
    """Options of `recall`."""

    min_facts: int = Field(default=2, ge=1, le=MAX_PSEUDOWORDS, description="facts of the shortest source")
    max_facts: int = Field(default=8, ge=1, le=MAX_PSEUDOWORDS, description="facts of the longest source")
    queries: int = Field(
        default=4, ge=1, le=MAX_PSEUDOWORDS, description="most facts that are asked for, at least one"
    )
    keys: int = Field(default=32, ge=1, le=MAX_PSEUDOWORDS, description="different keys")
    values: int = Field(default=32, ge=1, le=MAX_PSEUDOWORDS, description="different values")
    distractors: int = Field(default=4, ge=0, le=1_000, description="most meaningless words of a source")

    @model_validator(mode="after")
    def _facts_have_keys(self) -> Self:
        if self.min_facts > self.max_facts:
            raise ValueError(f"min_facts {self.min_facts} is above max_facts {self.max_facts}")
        if self.max_facts > self.keys:
            raise ValueError(f"max_facts {self.max_facts} needs as many keys, but keys is {self.keys}")
        return self


@CORPORA.register("recall")
class RecallCorpus(CorpusBuilder):
    """Facts, and questions about some of them."""

    Options = RecallOptions

    @classmethod
    def split_names(cls, options: RecallOptions) -> list[str]:
        """Return the names of valid, test, splits of one number of facts, and the noisy copies of test."""
        return ["valid", "test", *_fact_splits(options), *NOISE_SPLITS]

    @classmethod
    def annotations(cls, options: RecallOptions) -> frozenset[str]:
        """Return all annotations."""
        return frozenset({"junk", "links", "deps", "tags"})

    @classmethod
    def tags(cls, options: RecallOptions) -> tuple[str, ...]:
        """Return the names of the tags of target words."""
        return TAGS

    @classmethod
    def origins(cls, options: RecallOptions) -> dict[str, str]:
        """Return "test" as the origin of every noisy split."""
        return dict.fromkeys(NOISE_SPLITS, "test")

    @classmethod
    def build(cls, options: RecallOptions) -> Corpus:
        """Draw the questions and return the corpus.

        Splits of one number of facts have as many pairs as test; none of their pairs can be in train.
        """
        words = _Words.of(options)
        drawn = fill_splits(_questions(words, options), options.sizes())
        splits = [_split(name, drawn[name], words.vocabulary) for name in SPLITS]
        for name, facts in _fact_splits(options).items():
            wanted = {"train": 0, "valid": 0, "test": options.test}
            drawn = fill_splits(_questions(words, options, facts), wanted)
            splits.append(_split(name, drawn["test"], words.vocabulary))
        test = splits[SPLITS.index("test")]
        noisy = make_noisy_splits(test, words.vocabulary, [*words.keys, *words.values, *words.junk])
        return assemble_corpus("recall", words.vocabulary, [*splits, *noisy], tags=TAGS)


def _fact_splits(options: RecallOptions) -> dict[str, int]:
    """Return the number of facts of each such split by its name: powers of two, and the limits."""
    powers = {2**i for i in range(8)} | {options.min_facts, options.max_facts}
    return {f"facts-{n}": n for n in sorted(powers) if options.min_facts <= n <= options.max_facts}


@dataclass(frozen=True)
class _Words:
    """The words of the sources, by kind; references contain only values."""

    keys: list[str]
    values: list[str]
    junk: list[str]
    vocabulary: WordVocabulary

    @classmethod
    def of(cls, options: RecallOptions) -> _Words:
        """Return the words of a corpus with these options."""
        keys, values, junk = (
            make_pseudowords(options.keys),
            make_pseudowords(options.values, "n"),
            make_pseudowords(12, "x"),
        )
        return cls(keys, values, junk, WordVocabulary([*keys, *values, *junk, SEPARATOR]))


def _questions(words: _Words, options: RecallOptions, facts: int | None = None) -> Iterator[Question]:
    """Yield questions endlessly, about `facts` facts; None: about every number of facts equally often."""
    key = Key.of(options.seed, "recall", *([] if facts is None else [facts]))
    most = options.max_facts

    def derive(rng: SentenceRng) -> Question:
        n = options.min_facts + rng.randbelow(most - options.min_facts + 1) if facts is None else facts
        keys = rng.shuffled(words.keys)[:n]
        parts = [[key, rng.choice(words.values)] for key in keys]
        asked = rng.shuffled(range(n))[: 1 + rng.randbelow(min(options.queries, n))]
        # A junk word is inserted before or after a fact, never between a key and its value.
        for _ in range(rng.randbelow(options.distractors + 1)):
            parts.insert(rng.randbelow(len(parts) + 1), [rng.choice(words.junk)])
        return _asked(parts, [keys[i] for i in asked])

    return generate_candidates(key, options.keys + 2 * most + 2 * options.distractors + 3, derive)


def _asked(parts: Sequence[Sequence[str]], queries: Sequence[str]) -> Question:
    """Return the question for parts in order: facts (two words) and junk words (one word)."""
    source: list[str] = []
    places, junk = {}, []
    for part in parts:
        if len(part) == 1:
            junk.append(len(source))
        else:
            places[part[0]] = len(source) + 1
        source += part
    source.append(SEPARATOR)
    found = [(len(source) + t, places[query]) for t, query in enumerate(queries)]
    reference = [source[value] for _, value in found]
    return " ".join([*source, *queries]), " ".join(reference), found, junk


def _split(name: str, drawn: Sequence[Question], vocabulary: WordVocabulary) -> Split:
    split = encode_split(name, [(source, reference) for source, reference, _, _ in drawn], vocabulary)
    widths = split.src.lengths.tolist()
    links = [_links(question, width) for question, width in zip(drawn, widths, strict=True)]
    deps = [_deps(question, width) for question, width in zip(drawn, widths, strict=True)]
    tags = [[TAGS.index("answer")] * len(found) for _, _, found, _ in drawn]
    junk = [[int(s in junk) for s in range(width)] for (*_, junk), width in zip(drawn, widths, strict=True)]
    return replace(annotate_split(split, links, deps=deps, tags=tags), junk=Ragged.from_rows(junk))


def _links(question: Question, width: int) -> Links:
    """Return links from every answer to the value of its fact."""
    return [t * width + value for t, (_, value) in enumerate(question[2])]


def _deps(question: Question, width: int) -> Links:
    """Return links from every answer to the key and the value of its fact, and to its question."""
    found = enumerate(question[2])
    return [t * width + s for t, (query, value) in found for s in (value - 1, value, query)]
