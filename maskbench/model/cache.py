"""Cache of the decoder's keys and values, so that a decoding step computes only the new position.

The keys and values of the encoder's output are kept once per sentence: all rows that translate a sentence
share them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskbench.model.row_groups import RowGroups

_SPARE = 8
"""Positions by which a full buffer grows. Few, because the products of attention read compact keys twice as
fast as keys between unused positions."""
FULL_ENOUGH = 0.75
"""Largest unfinished share of a batch at which ended sentences are dropped; each drop copies the keys and
values of the others."""


class LayerCache:
    """Keys and values of one decoder layer: of the target so far, and of the encoder's output.

    `capacity` is the maximal number of target positions.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._length = 0
        self._own: tuple[Tensor, ...] | None = None
        self._memory: tuple[Tensor, ...] | None = None

    def extend(
        self, key: Float[Tensor, "batch heads new d"], value: Float[Tensor, "batch heads new d"]
    ) -> tuple[Float[Tensor, "batch heads kv d"], Float[Tensor, "batch heads kv d"]]:
        """Append the keys and values of new positions and return all of them, oldest first."""
        start, end = self._length, self._length + key.shape[2]
        if self._own is None or end > self._own[0].shape[2]:
            self._own = self._resized((key, value), min(max(end, start + _SPARE), self._capacity))
        self._length = end
        keys, values = self._own
        keys[:, :, start:end] = key
        values[:, :, start:end] = value
        return keys[:, :, :end], values[:, :, :end]

    def _resized(self, like: tuple[Tensor, ...], positions: int) -> tuple[Tensor, ...]:
        """Return buffers of `positions` positions that begin with the keys and values so far."""
        batch, heads, _, d = like[0].shape
        buffers = tuple(part.new_empty(batch, heads, positions, d) for part in like)
        if self._own is not None:
            for buffer, part in zip(buffers, self._own, strict=True):
                buffer[:, :, : self._length] = part[:, :, : self._length]
        return buffers

    def memory(self, compute: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """Return the keys and values of the encoder's output; the first call computes them."""
        if self._memory is None:
            self._memory = compute()
        return self._memory

    def select(self, rows: Int[Tensor, "kept"]) -> None:
        """Keep these rows of the target, in this order; a row may occur several times."""
        if self._own is None:
            return
        # Room for the next position only, so that the buffers stay compact.
        room = min(self._length + 1, self._capacity)
        kept = []
        for part in self._own:
            buffer = part.new_empty(len(rows), part.shape[1], room, part.shape[3])
            # `index_select` copies whole runs of positions; `part[rows]` copies number by number.
            torch.index_select(part[:, :, : self._length], 0, rows, out=buffer[:, :, : self._length])
            kept.append(buffer)
        self._own = tuple(kept)

    def select_memory(self, sentences: Int[Tensor, "kept"]) -> None:
        """Keep the keys and values of the encoder's output of these sentences, in this order."""
        if self._memory is not None:
            self._memory = tuple(part.index_select(0, sentences) for part in self._memory)


class DecoderCache:
    """One `LayerCache` per decoder layer, and the decoder inputs so far."""

    def __init__(self, n_layers: int, capacity: int) -> None:
        self.layers = [LayerCache(capacity) for _ in range(n_layers)]
        self.length = 0
        """Number of positions decoded so far, and the index of the next one."""
        self.tokens: Tensor | None = None
        """The decoder inputs so far."""
        self.groups: RowGroups | None = None
        """Which sentence each row translates; None: row i translates sentence i, each one row."""
        self._sentences = 0
        """Number of sentences whose encoder output is kept, where `groups` is not None."""

    def said(self, ids: Int[Tensor, "batch new"]) -> Int[Tensor, "batch so_far"]:
        """Append the decoder inputs of new positions and return all of them."""
        self.tokens = ids if self.tokens is None else torch.cat((self.tokens, ids), dim=1)
        return self.tokens

    def select(self, rows: Int[Tensor, "kept"]) -> None:
        """Keep these rows of the batch, in this order; a row may occur several times.

        Raises:
            RuntimeError: nothing is decoded yet, so there are no rows.
        """
        if self.tokens is None:
            raise RuntimeError("a decoder cache has no rows before the first position is decoded")
        self._group(rows, len(self.tokens))
        self.tokens = self.tokens[rows]
        for layer in self.layers:
            layer.select(rows)

    def _group(self, rows: Int[Tensor, "kept"], before: int) -> None:
        """Note the sentence of every row that is kept, and drop sentences once few are left.

        Args:
            before: number of rows before the selection.
        """
        if self.groups is None:
            sentence, self._sentences = rows, before
        else:
            sentence = self.groups.sentence[rows]
        has_rows = sentence.bincount(minlength=self._sentences) > 0
        left = has_rows.nonzero().flatten()
        if len(left) <= FULL_ENOUGH * self._sentences:
            for layer in self.layers:
                layer.select_memory(left)
            sentence, self._sentences = (has_rows.cumsum(0) - 1)[sentence], len(left)
        self.groups = RowGroups.of(sentence, self._sentences)
