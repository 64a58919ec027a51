"""What a strategy may know of the corpus when it is built."""

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
    """Counts over the training split, and what the vocabulary and the corpus offer."""

    starts_word: Bool[Tensor, "vocab"] | None = None
    """True for entries that begin a word; marks do, so that no word runs across one."""
    counts: Int[Tensor, "vocab"] | None = None
    """How often each entry occurs in the training pairs, source and target together."""
    length_ratio: float = 1.0
    """Target tokens per source token over the training pairs."""
    pairs: Callable[[], tuple[Ragged, Ragged]] | None = None
    """The encoded training sources and targets."""
    annotations: frozenset[str] = frozenset()
    """What the corpus marks: any of "junk", "links"."""


def collect_statistics(corpus: Corpus) -> CorpusStatistics:
    """Return the facts of a corpus."""
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
