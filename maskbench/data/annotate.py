"""Gold annotations of a split: which source words are junk, and which words translate each other.

They are given by word and hold by token, so the vocabulary must have one token for each word. The end marks translate
each other. A copy of a split with other sources gets the annotations that follow from where its words come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, TypeAlias

import numpy as np

from maskbench.data.corpus import Ragged, Split

Links: TypeAlias = list[int]
"""The numbers `t * (source words + 1) + s` of the words t of a reference and s of its source that translate each other,
ascending."""

NEW: Final = -1
"""Stands for the place that an inserted word had before."""


def annotated(split: Split, links: Sequence[Links], *, junk: bool = False) -> Split:
    """Return the split with the gold alignment `links` of every sentence.

    Args:
        junk: whether to say of every source word that it is no junk; otherwise nothing is said of it.

    Raises:
        ValueError: a sentence has not one token for each word.
    """
    for texts, side in ((split.sources, split.src), (split.references, split.tgt)):
        if [len(text.split()) + 1 for text in texts] != side.lengths.tolist():
            raise ValueError(f"{split.name}: words and tokens differ, so words cannot be annotated")
    ends = (split.src.lengths * split.tgt.lengths - 1).tolist()
    rows = [[*pairs, end] for pairs, end in zip(links, ends, strict=True)]
    none = Ragged(np.zeros_like(split.src.values), split.src.offsets) if junk else None
    return replace(split, links=Ragged.from_rows(rows), junk=none)


def with_sources(
    split: Split, name: str, sources: list[str], src: Ragged, places: Sequence[Sequence[int]]
) -> Split:
    """Return a copy of `split` with other sources; what is known of the words moves along.

    Args:
        name: of the copy.
        sources, src: its sources as text and as ids.
        places: where each word of every new source stood before, `NEW` for an inserted one, which is junk. Not read
            where the split has no annotations.
    """
    junk, links = split.junk, split.links
    if junk is not None:
        marks = zip(junk.rows(), places, strict=True)
        junk = Ragged.from_rows([[1 if p == NEW else old[p] for p in row] + [old[-1]] for old, row in marks])
    if links is not None:
        pairs = zip(links.rows(), split.src.lengths.tolist(), places, strict=True)
        links = Ragged.from_rows([_moved(*row) for row in pairs])
    return replace(split, name=name, sources=sources, src=src, junk=junk, links=links)


def _moved(links: list[int], before: int, places: Sequence[int]) -> list[int]:
    """Return the links of one sentence whose source had `before` tokens, the end mark the last of them."""
    if list(places) == list(range(before - 1)):
        return links
    now = {place: here for here, place in enumerate([*places, before - 1])}
    pairs = (divmod(link, before) for link in links)
    return sorted(t * (len(places) + 1) + now[s] for t, s in pairs if s in now)
