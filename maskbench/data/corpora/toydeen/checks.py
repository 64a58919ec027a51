"""Check the finished splits of `toydeen` against its documentation, and return notes for the user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from maskbench.data.corpora.toydeen.minimal_pairs import is_minimal
from maskbench.data.corpora.toydeen.novel_combinations import find_novelties, lemmatize
from maskbench.data.corpora.toydeen.split_styles import HELD_OUT_PAIRS, SUBJECT_ONLY_NOUNS
from maskbench.data.corpora.toydeen.tree import TAG_NUMBERS, AnnotatedSentence
from maskbench.errors import CorpusError

MIN_PAIRS_FOR_COVERAGE: Final = 1_000
"""Number of training pairs from which the held-out words must all occur in training; with fewer they may be
missing by chance: with 500 sentences of at most 8 words, one draw in 750 lacks an adjective."""


def check_splits(drawn: Mapping[str, Sequence[AnnotatedSentence]]) -> list[str]:
    """Check the splits, and return notes on them.

    Args:
        drawn: the sentences of every split that is not a copy of another, by the split's name.

    Raises:
        CorpusError: a check fails, which is a bug of the program.
    """
    return [
        _check_disjoint(drawn),
        _check_held_out(drawn["train"]),
        _check_minimal_pairs(drawn["minimal"]),
        _describe_train(drawn["train"]),
    ]


def _check_disjoint(drawn: Mapping[str, Sequence[AnnotatedSentence]]) -> str:
    seen: dict[str, str] = {}
    for name, sentences in drawn.items():
        for sentence in sentences:
            if sentence.source in seen:
                raise _broken(f"{sentence.source!r} is in {seen[sentence.source]} and in {name}")
            seen[sentence.source] = name
    return (
        f"All {len(seen):,} sentences of {', '.join(drawn)} are different: none of a test split is in train."
    )


def _check_held_out(train: Sequence[AnnotatedSentence]) -> str:
    for sentence in train:
        if new := find_novelties(sentence.source):
            raise _broken(
                f"train has what is held out for novel ({', '.join(sorted(new))}): {sentence.source!r}"
            )
    known = Counter(word for sentence in train for word in set(lemmatize(sentence.source)))
    parts = {part for pair in HELD_OUT_PAIRS for part in pair}
    missing = sorted(part for part in parts | SUBJECT_ONLY_NOUNS if not known[part])
    if missing and len(train) >= MIN_PAIRS_FOR_COVERAGE:
        raise _broken(f"train has nothing at all of what is held out: {', '.join(missing)}")
    return (
        f"Held out of train, for novel: {len(SUBJECT_ONLY_NOUNS)} nouns as objects, each in at least"
        f" {min(known[noun] for noun in SUBJECT_ONLY_NOUNS):,} training sentences as a subject; {len(HELD_OUT_PAIRS)}"
        f" adjective-noun pairs, whose words are each in at least {min(known[part] for part in parts):,}; relative"
        " clauses on objects and in relative clauses."
    )


def _check_minimal_pairs(minimal: Sequence[AnnotatedSentence]) -> str:
    for one, other in zip(minimal[::2], minimal[1::2], strict=True):
        if not is_minimal(one.source, other.source) or one.reference == other.reference:
            raise _broken(f"no minimal pair: {one.source!r} and {other.source!r}")
    return f"minimal: {len(minimal) // 2:,} pairs in rows 2k and 2k + 1; even k differ in the cue, odd k in a number."


def _describe_train(train: Sequence[AnnotatedSentence]) -> str:
    lengths = np.array([[one.source.count(" ") + 1, len(one.tags)] for one in train])
    mean, longest = lengths.mean(axis=0), lengths.max(axis=0)
    most = np.percentile(lengths, 90, axis=0, method="inverted_cdf")
    reorder = np.mean([is_reordered(one) for one in train])
    homograph = np.mean([TAG_NUMBERS["homograph"] in one.tags for one in train])
    pronoun = np.mean([TAG_NUMBERS["pronoun"] in one.tags for one in train])
    return (
        f"train: {reorder:.0%} of the sentences reorder words, {homograph:.0%} have a homograph, {pronoun:.0%} a pronoun;"
        f" words mean, 90th percentile, most: {mean[0]:.1f}, {most[0]}, {longest[0]} in English,"
        f" {mean[1]:.1f}, {most[1]}, {longest[1]} in German."
    )


def is_reordered(sentence: AnnotatedSentence) -> bool:
    """Return whether the translations of two source words are in the opposite order."""
    width = sentence.source.count(" ") + 2
    return any(later % width < earlier % width for earlier, later in pairwise(sentence.links))


def _broken(what: str) -> CorpusError:
    return CorpusError(f"toydeen broke a promise: {what}; this is a fault of the generator, please report it")
