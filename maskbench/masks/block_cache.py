"""Cache of the blocks of attention patterns that depend on positions alone."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence

from maskbench.masks.blocks import Block

_KEPT_BYTES = 64 << 20
"""Largest size of the patterns that a cache keeps; schedules and fresh draws would otherwise fill the memory."""


class BlockCache:
    """Least-recently-used cache of the blocks of position patterns, bounded in bytes."""

    def __init__(self, limit: int = _KEPT_BYTES) -> None:
        self._limit = limit
        self._known: OrderedDict[Hashable, list[Block]] = OrderedDict()

    def get(self, key: Hashable, compute: Callable[[], list[Block]]) -> list[Block]:
        """Return the blocks for `key`; computed where they are not kept."""
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        blocks = self._known[key] = compute()
        while len(self._known) > 1 and sum(map(_n_bytes, self._known.values())) > self._limit:
            self._known.popitem(last=False)
        return blocks


def _n_bytes(blocks: Sequence[Block]) -> int:
    return sum(0 if block.keep is None else block.keep.nbytes for block in blocks)
