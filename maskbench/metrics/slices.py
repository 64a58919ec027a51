"""Slices of a split: tokens by tag or distance, tokens and sentences by length.

A slice is named `kind:value`, such as `tag:gender` or `length:6-10`. The possible values of a kind are known
before any data is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from maskbench.config.schema.metrics import DISTANCES, LENGTHS, bin_name
from maskbench.data.corpus import Split

Where: TypeAlias = npt.NDArray[np.bool_]
"""True at the tokens, or sentences, of a slice."""


def sentence_slices(split: Split, by: Iterable[str]) -> Iterator[tuple[str, Where]]:
    """Yield `(name, Bool[sentences])` of every slice of a split's sentences that is not empty."""
    if "length" in by:
        yield from _binned("length", split.src.lengths - 1, LENGTHS)


def token_slices(split: Split, by: Iterable[str], tags: Sequence[str]) -> Iterator[tuple[str, Where]]:
    """Yield `(name, Bool[target tokens])` of every slice of a split's target tokens that is not empty.

    Args:
        tags: names of the tags, by tag number.
    """
    lengths = split.tgt.lengths
    for name, where in sentence_slices(split, by):
        yield name, np.repeat(where, lengths)
    if "tag" in by and split.tags is not None:
        for number in np.unique(split.tags.values).tolist():
            yield f"tag:{tags[number]}", split.tags.values == number
    if "distance" in by and split.deps is not None:
        yield from _binned("distance", evidence_span(split), DISTANCES)


def evidence_span(split: Split) -> npt.NDArray[np.int64]:
    """Return for every target token the distance between the first and last source token it depends on.

    Int64[N], in source tokens. 0 for end marks, and for tokens that depend on at most one source token.
    """
    assert split.deps is not None
    sentence = np.repeat(np.arange(len(split)), split.deps.lengths)
    t, s = np.divmod(split.deps.values, split.src.lengths[sentence])
    place = split.tgt.offsets[sentence] + t
    first = np.full(len(split.tgt.values), np.iinfo(np.int64).max)
    last = np.full(len(split.tgt.values), -1)
    np.minimum.at(first, place, s)
    np.maximum.at(last, place, s)
    spans = np.where(last >= 0, last - first, 0)
    spans[split.tgt.offsets[1:] - 1] = 0
    return spans


def _binned(
    kind: str, values: npt.NDArray[np.int64], bins: Iterable[tuple[int, float]]
) -> Iterator[tuple[str, Where]]:
    for low, high in bins:
        where = (values >= low) & (values <= high)
        if where.any():
            yield f"{kind}:{bin_name((low, high))}", where
