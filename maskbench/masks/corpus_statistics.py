"""Statistics of the training split that a strategy may use at construction."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from maskbench.data.corpus import Corpus, Ragged
from maskbench.data.token_edges import Edge, word_edges
from maskbench.data.vocabulary import Vocabulary, WordVocabulary
from maskbench.data.words import WordRule, choose_rule, lacks_white_space

_NEARLY_ALL = 0.9
"""Share of lines that are a single word from which on masks of words are refused."""


@dataclass(frozen=True, slots=True)
class CorpusStatistics:
    """Counts over the training split, word starts of the vocabulary, and the corpus's annotations."""

    source_words: Bool[Tensor, "5 vocab"] | None = None
    """Where words begin in sources: the rows of `Edge` for every entry; None: the corpus does not say."""
    target_words: Bool[Tensor, "5 vocab"] | None = None
    """The same for targets."""
    no_words: Mapping[str, str] = field(default_factory=dict)
    """By side, "sources" or "targets": why masks of whole words mean nothing there, as a clause."""
    counts: Int[Tensor, "vocab"] | None = None
    """Number of occurrences of each entry in the training pairs, source plus target."""
    length_ratio: float = 1.0
    """Target tokens per source token over the training pairs."""
    pairs: Callable[[], tuple[Ragged, Ragged]] | None = None
    """Returns the encoded training sources and targets."""
    annotations: frozenset[str] = frozenset()
    """Annotations of the training split: any of "junk", "links"."""


_COLLECTED: WeakKeyDictionary[Corpus, CorpusStatistics] = WeakKeyDictionary()
"""The statistics of every corpus of this process; a process builds several models on one corpus."""


def collect_statistics(corpus: Corpus) -> CorpusStatistics:
    """Return the statistics of a corpus's training split, counted once; the tensors are the caller's own."""
    found = _COLLECTED.get(corpus)
    if found is None:
        found = _COLLECTED[corpus] = _collect(corpus)
    # Copied, since a plug-in's strategy may write to them.
    return copy.deepcopy(found)


def _collect(corpus: Corpus) -> CorpusStatistics:
    train = corpus.splits["train"]
    size = len(corpus.vocabulary)
    counts = sum(np.bincount(side.values, minlength=size) for side in (train.src, train.tgt))
    given = {"junk": train.junk, "links": train.links}
    rules = {"sources": choose_rule(train.sources), "targets": choose_rule(train.references)}
    sides = (("sources", train.sources, train.src), ("targets", train.references, train.tgt))
    reasons = {
        side: _reason_against_words(lines, rows, corpus.vocabulary, rules[side])
        for side, lines, rows in sides
    }
    return CorpusStatistics(
        source_words=torch.from_numpy(word_edges(corpus.vocabulary, rules["sources"])),
        target_words=torch.from_numpy(word_edges(corpus.vocabulary, rules["targets"])),
        no_words={side: reason for side, reason in reasons.items() if reason},
        counts=torch.as_tensor(counts, dtype=torch.int64),
        length_ratio=len(train.tgt.values) / max(1, len(train.src.values)),
        pairs=lambda: (train.src, train.tgt),
        annotations=frozenset(name for name, marks in given.items() if marks is not None),
    )


def edges_of_starts(starts_word: Bool[Tensor, "vocab"]) -> Bool[Tensor, "5 vocab"]:
    """Return the rows of `Edge` of a vocabulary of which some entries begin a word, whatever stands before them."""
    edges = torch.zeros(len(Edge), len(starts_word), dtype=torch.bool)
    edges[Edge.LEADS] = starts_word
    return edges


def _reason_against_words(
    lines: Sequence[str], rows: Ragged, vocabulary: Vocabulary, rule: WordRule
) -> str | None:
    """Return why the tokens of one side cannot be grouped into words, as a clause; None if they can."""
    if isinstance(vocabulary, WordVocabulary):
        if lacks_white_space(lines, rule):
            return "they have no white space between words, and each of their tokens is what stands between white space"
        return None
    several = [line for line, length in zip(lines, rows.lengths.tolist(), strict=True) if length > 2]
    whole = sum(len(rule.split(line)) < 2 for line in several)
    if several and whole >= _NEARLY_ALL * len(several):
        return f"{whole} of {len(several)} training lines of several tokens are one word"
    return None
