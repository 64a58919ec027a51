"""A bilingual lexicon from nothing but co-occurrence in the training pairs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from maskbench.data.corpus import Ragged
from maskbench.data.vocabulary import N_SPECIAL

Numbers = npt.NDArray[np.int64]

_CHUNK = 4_000_000
"""Word pairs that are counted at a time, to bound the memory."""


def dice_lexicon(sources: Ragged, targets: Ragged, vocab_size: int, k: int) -> Numbers:
    """Return for every entry the `k` target entries that go with it best, best first: `[vocab, k]`, -1 where none is.

    dice(s, t) = 2 n(s, t) / (n(s) + n(t)), where n counts the sentence pairs that contain s, t, or both (Dice 1945).
    Marks have no translations and are none; of equals the entry with the smaller id comes first.
    """
    src, tgt = _once(sources, vocab_size), _once(targets, vocab_size)
    n_src = np.bincount(src[1], minlength=vocab_size)
    n_tgt = np.bincount(tgt[1], minlength=vocab_size)
    together, counts = _together(src, tgt, len(sources), vocab_size)
    s, t = np.divmod(together, vocab_size)
    dice = 2 * counts / (n_src[s] + n_tgt[t])
    order = np.lexsort((t, -dice, s))
    s, t = s[order], t[order]
    place = np.arange(len(s)) - np.searchsorted(s, s)
    best = place < k
    table = np.full((vocab_size, k), -1, dtype=np.int64)
    table[s[best], place[best]] = t[best]
    return table


def most_frequent(rows: Ragged, count: int) -> Numbers:
    """Return the `count` entries that occur most often, marks left out; of equals those with the smaller id."""
    counts = np.bincount(rows.values)
    counts[:N_SPECIAL] = 0
    ranked = np.argsort(-counts, kind="stable")[:count]
    return ranked[counts[ranked] > 0].astype(np.int64)


def _once(rows: Ragged, vocab_size: int) -> tuple[Numbers, Numbers]:
    """Return (row, entry) for every ordinary entry of every row, each once, rows ascending."""
    row = np.repeat(np.arange(len(rows), dtype=np.int64), rows.lengths)
    ordinary = rows.values >= N_SPECIAL
    found = np.unique(row[ordinary] * vocab_size + rows.values[ordinary])
    return np.divmod(found, vocab_size)


def _together(
    src: tuple[Numbers, Numbers], tgt: tuple[Numbers, Numbers], n_rows: int, vocab_size: int
) -> tuple[Numbers, Numbers]:
    """Return every pair that occurs together as `s * vocab_size + t`, ascending, and in how many rows it does."""
    keys, counts = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    for chunk in _pairs(src, tgt, n_rows, vocab_size):
        new, seen = np.unique(chunk, return_counts=True)
        keys, places = np.unique(np.concatenate([keys, new]), return_inverse=True)
        counts = np.bincount(places, weights=np.concatenate([counts, seen])).astype(np.int64)
    return keys, counts


def _pairs(
    src: tuple[Numbers, Numbers], tgt: tuple[Numbers, Numbers], n_rows: int, vocab_size: int
) -> Iterator[Numbers]:
    """Yield the pairs of all rows, some rows at a time."""
    per_row = np.bincount(tgt[0], minlength=n_rows)
    first = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(per_row)])
    partners = per_row[src[0]]
    ends = np.cumsum(partners)
    start = 0
    while start < len(partners):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _CHUNK, side="right")))
        many = partners[start:stop]
        within = np.arange(int(many.sum())) - np.repeat(np.cumsum(many) - many, many)
        places = np.repeat(first[src[0][start:stop]], many) + within
        yield np.repeat(src[1][start:stop], many) * vocab_size + tgt[1][places]
        start = stop
