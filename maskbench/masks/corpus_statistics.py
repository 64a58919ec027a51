"""Statistics of the training split that a strategy may use at construction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from maskbench.data.corpus import Corpus, Ragged


@dataclass(frozen=True, slots=True)
class CorpusStatistics:
    """Counts over the training split, word starts of the vocabulary, and the corpus's annotations."""

    starts_word: Bool[Tensor, "vocab"] | None = None
    """True for entries that begin a word; also for marks, so that no word extends across a mark."""
    counts: Int[Tensor, "vocab"] | None = None
    """Number of occurrences of each entry in the training pairs, source plus target."""
    length_ratio: float = 1.0
    """Target tokens per source token over the training pairs."""
    pairs: Callable[[], tuple[Ragged, Ragged]] | None = None
    """Returns the encoded training sources and targets."""
    annotations: frozenset[str] = frozenset()
    """Annotations of the training split: any of "junk", "links"."""


def collect_statistics(corpus: Corpus) -> CorpusStatistics:
    """Return the statistics of a corpus's training split."""
    train = corpus.splits["train"]
    size = len(corpus.vocabulary)
    counts = sum(np.bincount(side.values, minlength=size) for side in (train.src, train.tgt))
    given = {"junk": train.junk, "links": train.links}
    return CorpusStatistics(
        starts_word=torch.tensor(corpus.vocabulary.starts_word()),
        counts=torch.as_tensor(counts, dtype=torch.int64),
        length_ratio=len(train.tgt.values) / max(1, len(train.src.values)),
        pairs=lambda: (train.src, train.tgt),
        annotations=frozenset(name for name, marks in given.items() if marks is not None),
    )
