"""Keyed randomness: every random number is a pure function of (seed, stream, position).

A key is BLAKE2b-128 of its parts; a number is Philox4x32-10 (Salmon et al.
2011, "Parallel random numbers: as easy as 1, 2, 3") of that key and a counter. So there is no generator state to
save, a draw does not depend on batch-mates, worker count or run order, and adding a mask to one arm moves no
number of another.

The Philox rounds use only `*`, `^`, `&`, `>>` and `+` on 64-bit integers, so the same function serves numpy arrays
and torch tensors on any device, and gives the same words on all of them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

VERSION = "maskbench/1"
"""Part of every key; changing it changes every draw, and so every result."""

_LOW = 0xFFFFFFFF
_ROUNDS = 10
# Multipliers and Weyl constants of Philox4x32, from the paper's reference implementation.
_MULTIPLY = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)

IntArray = TypeVar("IntArray")
"""A numpy int64 array or a torch int64 tensor."""


@dataclass(frozen=True, slots=True)
class Key:
    """The 128-bit key of a stream of random numbers."""

    words: tuple[int, int, int, int]
    """Four unsigned 32-bit words."""

    @classmethod
    def of(cls, seed: int, stream: str, *position: int | str) -> Key:
        """Hash a root seed, a stream name and a position to a key."""
        parts = json.dumps([VERSION, seed, stream, *position], separators=(",", ":"), ensure_ascii=True)
        digest = hashlib.blake2b(parts.encode("ascii"), digest_size=16).digest()
        a, b, c, d = (int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4))
        return cls((a, b, c, d))

    @property
    def low32(self) -> int:
        """The first word, as the seed of a generator that takes 32 bits."""
        return self.words[0]


def philox(
    key: Key, a: IntArray, b: IntArray, example: IntArray
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Return four independent words, each in [0, 2**32), for every counter `(a, b, example)`.

    Args:
        key: the stream.
        a, b: positions, broadcastable int64 arrays of non-negative values below 2**32.
        example: the example ids (0 where a draw is shared by all), likewise.

    The key's second half is folded into the counter, so all 128 bits count.
    """
    key0, key1, fold2, fold3 = key.words
    # Broadcasting by addition works for numpy and torch alike.
    zero = (a + b + example) * 0  # type: ignore[operator]
    c0, c1, c2, c3 = a + zero, b + zero, (example + zero) ^ fold2, zero ^ fold3
    for _ in range(_ROUNDS):
        # A product of two 32-bit words may wrap to a negative int64; the bits are right all the same.
        p0, p1 = c0 * _MULTIPLY[0], c2 * _MULTIPLY[1]
        high0, low0 = (p0 >> 32) & _LOW, p0 & _LOW
        high1, low1 = (p1 >> 32) & _LOW, p1 & _LOW
        c0, c1, c2, c3 = high1 ^ c1 ^ key0, low1, high0 ^ c3 ^ key1, low0
        key0, key1 = (key0 + _WEYL[0]) & _LOW, (key1 + _WEYL[1]) & _LOW
    return c0, c1, c2, c3


def random_words(key: Key, rows: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.int64]:
    """Return `n` random words in [0, 2**32) for every row number, Int64[rows, n].

    A row depends on the key and its number only. Word w is word w mod 4 of the counter (row, w // 4, 0).
    """
    blocks = np.arange(-(-n // 4), dtype=np.int64)[None, :]
    words = philox(key, rows[:, None], blocks, np.zeros((1, 1), dtype=np.int64))
    return np.stack(words, axis=-1).reshape(len(rows), -1)[:, :n]


def random_bits(key: Key, rows: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.int64]:
    """Return `n` random bits, 0 or 1, for every row number, Int64[rows, n]: those of `random_words`, lowest first."""
    words = random_words(key, rows, -(-n // 32))
    return ((words[..., None] >> np.arange(32)) & 1).reshape(len(rows), -1)[:, :n]


def torch_generator(key: Key) -> torch.Generator:
    """Return a torch generator on the CPU that is seeded by the key."""
    import torch

    return torch.Generator().manual_seed(key.low32)


def seed_torch(seed: int, device: torch.device) -> None:
    """Seed torch's generator of the CPU and, where a model computes on another device, those of all devices.

    Dropout on a GPU draws from the GPU's generator. Two passes that differ in it differ in their scores,
    which looks like a leak.
    """
    import torch

    if device.type == "cpu":
        # Equals `torch.manual_seed` on the CPU. That also takes a stack trace for the generators of the GPUs
        # at every call, and keeps it until the first use of a GPU.
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def permutation(key: Key, n: int) -> npt.NDArray[np.int64]:
    """Return a permutation of `range(n)` that depends only on the key.

    Items are sorted by one random word each, so that a smaller `n` keeps the order of the rest.
    """
    index = np.arange(n, dtype=np.int64)
    high, low, _, _ = philox(key, index, np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64))
    return np.lexsort((index, low, high))
