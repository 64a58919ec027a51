"""Cache of the blocks of attention patterns that depend on positions alone."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

from maskbench.masks.blocks import Block

_KEPT_BYTES = 64 << 20
"""Largest size of the patterns that a cache keeps; schedules and fresh draws would otherwise fill the memory."""

_OBJECT_BYTES = 500
"""About what a block takes besides the numbers in its tensors."""


class BlockCache:
    """Least-recently-used cache of the blocks of position patterns, bounded in bytes."""

    def __init__(self, limit: int = _KEPT_BYTES) -> None:
        self._limit = limit
        self._known: OrderedDict[Hashable, tuple[list[Block], int]] = OrderedDict()
        self._n_bytes = 0

    def get(self, key: Hashable, compute: Callable[[], list[Block]]) -> list[Block]:
        """Return the blocks for `key`; computed where they are not kept."""
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key][0]
        blocks = compute()
        size = sum(block.n_bytes + _OBJECT_BYTES for block in blocks)
        self._known[key] = blocks, size
        self._n_bytes += size
        while len(self._known) > 1 and self._n_bytes > self._limit:
            _, (_, freed) = self._known.popitem(last=False)
            self._n_bytes -= freed
        return blocks
