"""Cache of attention patterns between batches, by length.

A pattern is sliceable if its first n rows and columns are the pattern for length n. It is then computed once
at the next power of two and sliced. A window is sliceable, the k best keys of a sentence are not. Strategies
declare it (`AttentionMask.sliceable`); the conformance tests check it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

import torch
from jaxtyping import Bool, Int
from torch import Tensor

_KEPT = 32
"""Maximal number of patterns in a cache; schedules and fresh draws would otherwise fill the memory."""

Compute = Callable[[Int[Tensor, "n"], Int[Tensor, "n"]], Bool[Tensor, "one heads n n"]]


class PatternCache:
    """Least-recently-used cache of the patterns of one sliceable strategy."""

    def __init__(self, sliceable: bool) -> None:
        """Create an empty cache.

        Raises:
            ValueError: the strategy is not sliceable: a slice of its pattern is a different pattern.
        """
        if not sliceable:
            raise ValueError("only patterns that are closed under slicing can be kept by length")
        self._patterns: OrderedDict[Hashable, Tensor] = OrderedDict()
        self.hits = 0
        self.misses = 0

    def get(
        self, situation: Hashable, q_idx: Int[Tensor, "q"], kv_idx: Int[Tensor, "kv"], compute: Compute
    ) -> Bool[Tensor, "one heads q kv"]:
        """Return the pattern for positions that ascend by 1.

        Args:
            situation: everything that the pattern depends on besides positions.
            compute: returns the pattern of queries and keys at the given positions.
        """
        q0, k0 = int(q_idx[0]), int(kv_idx[0])
        q1, k1 = q0 + len(q_idx), k0 + len(kv_idx)
        n = 1 << (max(q1, k1) - 1).bit_length()
        key = (situation, n, q_idx.device)
        if key in self._patterns:
            self.hits += 1
            self._patterns.move_to_end(key)
        else:
            self.misses += 1
            index = torch.arange(n, device=q_idx.device)
            self._patterns[key] = compute(index, index)
            if len(self._patterns) > _KEPT:
                self._patterns.popitem(last=False)
        return self._patterns[key][:, :, q0:q1, k0:k1]
