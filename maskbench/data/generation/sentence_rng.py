"""A separate random number generator for each generated or altered sentence.

The numbers of many sentences are drawn at once, which is a hundred times faster than one by one. The numbers
of sentence i depend only on the key and i.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from maskbench.randomness import Key, philox

T = TypeVar("T")


class SentenceRng:
    """Random decisions for one sentence, from a fixed sequence of numbers in [0, 2**32)."""

    __slots__ = ("_at", "_words")

    def __init__(self, words: list[int]) -> None:
        self._words = words
        self._at = 0

    @property
    def n_used(self) -> int:
        """Number of random numbers read so far."""
        return self._at

    def randbelow(self, n: int) -> int:
        """Return an integer in [0, n); for the small n used here the bias is below n / 2**32."""
        word = self._words[self._at]
        self._at += 1
        return word * n >> 32

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        word = self._words[self._at]
        self._at += 1
        # `randbelow(1 << 24)`; generated corpora ask millions of times, and a call costs more than its content.
        return word >> 8 < probability * (1 << 24)

    def choice(self, items: Sequence[T]) -> T:
        """Return one of `items`, all equally likely."""
        word = self._words[self._at]
        self._at += 1
        return items[word * len(items) >> 32]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Return `items` in random order (Fisher and Yates)."""
        out = list(items)
        for last in range(len(out) - 1, 0, -1):
            other = self.randbelow(last + 1)
            out[last], out[other] = out[other], out[last]
        return out


def sentence_rngs(key: Key, first: int, count: int, n_words: int) -> list[SentenceRng]:
    """Return generators of sentences `first` to `first + count - 1`, each with at least `n_words` numbers."""
    blocks = np.arange(-(-n_words // 4), dtype=np.int64)[None, :]
    examples = np.arange(first, first + count, dtype=np.int64)[:, None]
    words = np.stack(philox(key, blocks, np.zeros((1, 1), dtype=np.int64), examples), axis=-1)
    return [SentenceRng(row) for row in words.reshape(count, -1).tolist()]
