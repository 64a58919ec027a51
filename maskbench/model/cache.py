"""Cache of the decoder's keys and values, so that a decoding step computes only the new position."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor


class LayerCache:
    """Keys and values of one decoder layer: of the target so far, and of the encoder's output.

    `capacity` is the maximal number of target positions.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._length = 0
        self._own: Tensor | None = None
        self._memory: tuple[Tensor, ...] | None = None

    def extend(
        self, key: Float[Tensor, "batch heads new d"], value: Float[Tensor, "batch heads new d"]
    ) -> tuple[Float[Tensor, "batch heads kv d"], Float[Tensor, "batch heads kv d"]]:
        """Append the keys and values of new positions and return all of them, oldest first."""
        batch, heads, new, d = key.shape
        if self._own is None:
            self._own = key.new_zeros(2, batch, heads, self._capacity, d)
        start, self._length = self._length, self._length + new
        self._own[0, :, :, start : self._length] = key
        self._own[1, :, :, start : self._length] = value
        keys, values = self._own[:, :, :, : self._length].unbind(0)
        return keys, values

    def memory(self, compute: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """Return the keys and values of the encoder's output; the first call computes them."""
        if self._memory is None:
            self._memory = compute()
        return self._memory

    def select(self, rows: Int[Tensor, "kept"]) -> None:
        """Keep these rows of the batch, in this order; a row may occur several times."""
        if self._own is not None:
            kept = self._own.new_empty(2, len(rows), *self._own.shape[2:])
            kept[:, :, :, : self._length] = self._own[:, rows, :, : self._length]
            self._own = kept
        if self._memory is not None:
            self._memory = tuple(part[rows] for part in self._memory)


class DecoderCache:
    """One `LayerCache` per decoder layer, and the decoder inputs so far."""

    def __init__(self, n_layers: int, capacity: int) -> None:
        self.layers = [LayerCache(capacity) for _ in range(n_layers)]
        self.length = 0
        """Number of positions decoded so far, and the index of the next one."""
        self.tokens: Tensor | None = None
        """The decoder inputs so far."""

    def said(self, ids: Int[Tensor, "batch new"]) -> Int[Tensor, "batch so_far"]:
        """Append the decoder inputs of new positions and return all of them."""
        self.tokens = ids if self.tokens is None else torch.cat((self.tokens, ids), dim=1)
        return self.tokens

    def select(self, rows: Int[Tensor, "kept"]) -> None:
        """Keep these rows of the batch, in this order; a row may occur several times."""
        if self.tokens is not None:
            self.tokens = self.tokens[rows]
        for layer in self.layers:
            layer.select(rows)
