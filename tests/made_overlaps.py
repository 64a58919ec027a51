"""Splits of words for tests of what splits have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from maskbench.data.corpus import encode_split
from maskbench.data.sameness import count_overlaps
from maskbench.data.vocabulary import Vocabulary
from maskbench.statistics.split_overlap import SplitOverlaps


@dataclass(frozen=True)
class WordSplit:
    """The pairs of a split as text."""

    name: str
    rows: list[tuple[str, str]]


def overlaps_of(splits: Sequence[WordSplit], vocabulary: Vocabulary) -> SplitOverlaps:
    """Return what the splits have in common, as the library counts it."""
    return count_overlaps([encode_split(split.name, split.rows, vocabulary) for split in splits])
