"""Gold annotations of a split: junk words, alignments, dependencies and tags.

They are given by word and stored by token, so the vocabulary must have one token for each word. The end marks
translate each other, and the end mark of a reference depends on every source word. An altered copy of a split
gets annotations from the original positions of its words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, TypeAlias

import numpy as np

from maskbench.data.corpus import Ragged, Split

Links: TypeAlias = list[int]
"""The numbers `t * (source words + 1) + s` of every linked pair of a reference word t and a source word s,
ascending."""

INSERTED: Final = -1
"""The original position of an inserted word, which has none."""
END_TAG: Final = 0
"""The index in `Corpus.tags` of the tag of end marks."""


def annotate_split(
    split: Split,
    links: Sequence[Links],
    *,
    deps: Sequence[Links] | None = None,
    tags: Sequence[Sequence[int]] | None = None,
    junk: bool = False,
) -> Split:
    """Return the split with gold annotations.

    Args:
        links: for every sentence, which words translate each other.
        deps: for every sentence, which source words each reference word depends on; None: those it
            translates.
        tags: for every sentence, the tag of each reference word as an index in `Corpus.tags`; None: no tags.
        junk: True annotates every source word as no junk; False adds no junk annotation.

    Raises:
        ValueError: a sentence does not have one token, or one tag, for each word.
    """
    for texts, side in ((split.sources, split.src), (split.references, split.tgt)):
        if [len(text.split()) + 1 for text in texts] != side.lengths.tolist():
            raise ValueError(f"{split.name}: words and tokens differ, so words cannot be annotated")
    if tags is not None and [len(row) + 1 for row in tags] != split.tgt.lengths.tolist():
        raise ValueError(f"{split.name}: a reference has not one tag for each word")
    lengths = list(zip(split.src.lengths.tolist(), split.tgt.lengths.tolist(), strict=True))
    return replace(
        split,
        links=Ragged.from_rows([[*row, s * t - 1] for row, (s, t) in zip(links, lengths, strict=True)]),
        deps=Ragged.from_rows(
            [[*row, *range(s * (t - 1), s * t)] for row, (s, t) in zip(deps or links, lengths, strict=True)]
        ),
        tags=None if tags is None else Ragged.from_rows([[*row, END_TAG] for row in tags]),
        junk=Ragged(np.zeros_like(split.src.values), split.src.offsets) if junk else None,
    )


def copy_with_sources(
    split: Split, name: str, sources: list[str], src: Ragged, places: Sequence[Sequence[int]]
) -> Split:
    """Return an altered copy of `split` with other sources, the same references and adapted annotations.

    Args:
        name: the name of the copy.
        sources, src: the new sources as text and as ids.
        places: the original position of each word of every new source, `INSERTED` for an inserted one, which
            is junk. Not read if the split has no annotations.
    """
    junk, links, deps, touched = split.junk, split.links, split.deps, None
    before = split.src.lengths.tolist()
    if junk is not None:
        marks = zip(junk.rows(), places, strict=True)
        junk = Ragged.from_rows(
            [[1 if p == INSERTED else old[p] for p in row] + [old[-1]] for old, row in marks]
        )
    if links is not None:
        links = Ragged.from_rows([_moved(*row) for row in zip(links.rows(), before, places, strict=True)])
    if deps is not None:
        changed = [_changed(*row) for row in zip(split.sources, sources, places, strict=True)]
        hanging = zip(deps.rows(), before, split.tgt.lengths.tolist(), changed, strict=True)
        touched = Ragged.from_rows([_touched(*row) for row in hanging])
        deps = Ragged.from_rows([_moved(*row) for row in zip(deps.rows(), before, places, strict=True)])
    copy = replace(split, name=name, sources=sources, src=src, origin=split.name)
    return replace(copy, junk=junk, links=links, deps=deps, touched=touched)


def _moved(links: list[int], before: int, places: Sequence[int]) -> list[int]:
    """Return the adapted links of one sentence whose source had `before` tokens, end mark included."""
    if list(places) == list(range(before - 1)):
        return links
    now = {place: here for here, place in enumerate([*places, before - 1])}
    pairs = (divmod(link, before) for link in links)
    return sorted(t * (len(places) + 1) + now[s] for t, s in pairs if s in now)


def _changed(source: str, altered: str, places: Sequence[int]) -> set[int]:
    """Return the positions of `source` whose word was removed, replaced, or moved past another word."""
    words, now = source.split(), altered.split()
    kept = [
        place for place, word in zip(places, now, strict=True) if place != INSERTED and words[place] == word
    ]
    in_order = set()
    least = len(words)
    for place in reversed(kept):
        if place < least:
            in_order.add(place)
        least = min(least, place)
    most = INSERTED
    for place in kept:
        if place < most:
            in_order.discard(place)
        most = max(most, place)
    return set(range(len(words))) - in_order


def _touched(deps: list[int], before: int, targets: int, changed: set[int]) -> list[int]:
    """Return 1 for each target token of a sentence that depends on a position in `changed`, else 0."""
    marks = [0] * targets
    for t, s in (divmod(dep, before) for dep in deps):
        marks[t] |= s in changed
    return marks
