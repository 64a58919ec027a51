"""Patterns kept between batches, by length.

A pattern whose corner of size n is the pattern for length n can be computed once at the next power of two and cut
down; a window can, the k best keys of a sentence cannot. Which strategies can is their own declaration
(`AttentionMask.sliceable`), held by the conformance tests.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

import torch
from jaxtyping import Bool, Int
from torch import Tensor

_KEPT = 32
"""Patterns a bank holds; schedules and fresh draws would otherwise fill the memory."""

Compute = Callable[[Int[Tensor, "n"], Int[Tensor, "n"]], Bool[Tensor, "one heads n n"]]


class PatternCache:
    """The patterns of one strategy that is closed under slicing."""

    def __init__(self, sliceable: bool) -> None:
        """Make an empty bank.

        Raises:
            ValueError: the strategy is not closed under slicing, so what a bank cut out would be another pattern.
        """
        if not sliceable:
            raise ValueError("only patterns that are closed under slicing can be kept by length")
        self._patterns: OrderedDict[Hashable, Tensor] = OrderedDict()
        self.hits = 0
        self.misses = 0

    def get(
        self, situation: Hashable, q_idx: Int[Tensor, "q"], kv_idx: Int[Tensor, "kv"], compute: Compute
    ) -> Bool[Tensor, "one heads q kv"]:
        """Return the pattern for ascending, gapless positions.

        Args:
            situation: all that the pattern depends on beside positions.
            compute: gives the pattern for the same positions as queries and keys.
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
