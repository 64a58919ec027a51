"""Statistics of a corpus: lengths of lines, numbers of tokens and types, overlap of splits."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from maskbench.data.corpus import Corpus, Ragged, Split
from maskbench.data.vocabulary import N_SPECIAL, UNK
from maskbench.statistics.split_overlap import Overlap


@dataclass(frozen=True, slots=True)
class SideStatistics:
    """Statistics of one side of a split, in tokens without end marks."""

    mean: float
    """Mean number of tokens per line."""
    p90: int
    """The 90th percentile of line length, in tokens."""
    longest: int
    tokens: int
    """Number of tokens of all lines together."""
    types: int
    """Number of different tokens, without special tokens such as UNK and MASK."""
    unknown: float
    """Share of tokens that are not in the vocabulary, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class SplitStatistics:
    """Statistics of one split."""

    pairs: int
    source: SideStatistics
    target: SideStatistics
    repeated: int
    """Number of pairs that an earlier line of the split has as well (`maskbench.data.sameness`)."""
    sources_in_train: int
    """Number of pairs whose source is also the source of a training pair; 0 for train itself."""
    pairs_in_train: int
    """Number of pairs that are also in train, both sides equal; 0 for train itself."""
    origin: str | None
    """The split it is an altered copy of; None if it is no copy."""
    tags: dict[str, int] | None
    """Number of target tokens by tag, most frequent first, without end marks; None if there are no tags."""
    junk: float | None
    """Share of source tokens that are junk, in [0, 1], without end marks; None without this annotation."""

    def to_json(self) -> dict[str, Any]:
        """Return the statistics as plain data."""
        return asdict(self)


def compute_statistics(corpus: Corpus, names: Collection[str]) -> dict[str, SplitStatistics]:
    """Return the statistics of the named splits, in the order of the corpus."""
    found = {}
    for name, split in corpus.splits.items():
        if name in names:
            in_train = Overlap(name, name) if name == "train" else corpus.overlaps.between(name, "train")
            found[name] = SplitStatistics(
                pairs=len(split),
                source=_side(split.src),
                target=_side(split.tgt),
                repeated=corpus.overlaps.repeated(name).pairs,
                sources_in_train=in_train.sources,
                pairs_in_train=in_train.pairs,
                origin=split.origin,
                tags=_histogram(split, corpus.tags),
                junk=None if split.junk is None else _share(split.junk.values.sum(), split.src),
            )
    return found


def _side(rows: Ragged) -> SideStatistics:
    lengths = rows.lengths - 1
    tokens = int(lengths.sum())
    is_end = np.zeros(len(rows.values), dtype=np.bool_)
    is_end[rows.offsets[1:] - 1] = True
    words = rows.values[~is_end]
    return SideStatistics(
        mean=float(lengths.mean()) if len(lengths) else 0.0,
        p90=int(np.quantile(lengths, 0.9, method="inverted_cdf")) if len(lengths) else 0,
        longest=int(lengths.max(initial=0)),
        tokens=tokens,
        types=len(np.unique(words[words >= N_SPECIAL])),
        unknown=_share((words == UNK).sum(), rows),
    )


def _share(count: Any, rows: Ragged) -> float:
    tokens = len(rows.values) - len(rows)
    return float(count) / tokens if tokens else 0.0


def _histogram(split: Split, tags: tuple[str, ...]) -> dict[str, int] | None:
    if split.tags is None:
        return None
    counts = np.bincount(split.tags.values, minlength=len(tags)).tolist()
    # Skip the first tag, that of the end marks: every pair has one.
    counted = [(name, count) for name, count in zip(tags[1:], counts[1:], strict=True) if count]
    return dict(sorted(counted, key=lambda item: (-item[1], item[0])))
