"""Blocks of an attention pattern: which keys a group of queries can reach at all, and which pairs of them stay.

A block is a group of queries and the keys that at least one of them may attend to, in any head or example. Attention
that is computed block by block (`maskbench.model.blocked_attention`) skips all other pairs. Blocks are derived from
the mask itself, so they cannot leave out a pair that a strategy keeps. The same idea for tiles of a GPU kernel is
FlexAttention's block mask (Dong et al. 2024, arXiv:2412.05496).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Index: TypeAlias = slice | Tensor
"""Ascending indices along one axis: a slice with explicit ends, or an int64 tensor."""

Pattern: TypeAlias = Callable[
    [Int[Tensor, "rows"], Int[Tensor, "kv"]], Bool[Tensor, "#batch #heads #rows #kv"]
]
"""Returns which pairs of the queries and keys at these indices are kept."""


@dataclass(frozen=True, slots=True)
class Block:
    """A group of queries with the keys that they reach."""

    rows: Index
    """Indices of the queries."""
    keys: Index
    """Indices of the keys; possibly none."""
    keep: Bool[Tensor, "#batch #heads #rows keys"] | None
    """True at kept pairs; None where all of them are."""
    bias: Float[Tensor, "#batch #heads #rows keys"] | None = None
    """Added to the scaled scores."""

    @property
    def n_bytes(self) -> int:
        """Size of the tensors that the block keeps alive, in bytes."""
        planes = (self.rows, self.keys, self.keep, self.bias)
        return sum(plane.untyped_storage().nbytes() for plane in planes if isinstance(plane, Tensor))

    @property
    def n_pairs(self) -> int:
        """Number of pairs of one head and example."""
        return index_length(self.rows) * index_length(self.keys)


def index_length(index: Index) -> int:
    """Return the number of indices."""
    return index.stop - index.start if isinstance(index, slice) else len(index)


def indices_of(index: Index, device: torch.device) -> Int[Tensor, "n"]:
    """Return the indices as a tensor."""
    return torch.arange(index.start, index.stop, device=device) if isinstance(index, slice) else index


def index_of(indices: Int[Tensor, "n"]) -> Index:
    """Return ascending indices as a slice where they follow each other without gaps: a slice copies nothing."""
    n = len(indices)
    if not n:
        return slice(0, 0)
    first, last = int(indices[0]), int(indices[-1])
    return slice(first, last + 1) if last - first + 1 == n else indices


def share_of_pairs(blocks: Sequence[Block], q_len: int, kv_len: int) -> float:
    """Return the share of all pairs that the blocks contain, in [0, 1]."""
    return sum(block.n_pairs for block in blocks) / (q_len * kv_len)


def group_queries(q_len: int, size: int, period: int, device: torch.device) -> list[Index]:
    """Return groups of at most `size` queries; with a period, only queries of equal residue share a group."""
    groups: list[Index] = []
    for residue in range(min(period, q_len)):
        members = torch.arange(residue, q_len, period, device=device)
        groups += [index_of(members[start : start + size]) for start in range(0, len(members), size)]
    return groups


def derive_blocks(
    pattern: Pattern, groups: Sequence[Index], kv_len: int, device: torch.device
) -> list[Block]:
    """Return one block per group of queries: the keys that `pattern` keeps for at least one of them."""
    every = torch.arange(kv_len, device=device)
    blocks = []
    for rows in groups:
        keep = pattern(indices_of(rows, device), every)
        blocks.append(_tightened(rows, slice(0, kv_len), keep))
    return blocks


def restrict_blocks(
    blocks: Sequence[Block], pattern: Pattern, device: torch.device, *, tighten: bool = True
) -> list[Block]:
    """Return the blocks with only the pairs that `pattern`, asked at the indices of each block, keeps as well.

    Args:
        tighten: whether keys that no query of a block keeps leave it.
    """
    restricted = []
    for block in blocks:
        also = pattern(indices_of(block.rows, device), indices_of(block.keys, device))
        keep = also if block.keep is None else block.keep & also
        restricted.append(_tightened(block.rows, block.keys, keep) if tighten else replace(block, keep=keep))
    return restricted


def _tightened(rows: Index, keys: Index, keep: Tensor) -> Block:
    """Return a block without the keys that no query of it keeps."""
    reached = keep.flatten(0, 2).any(0)
    left = reached.nonzero().flatten()
    if len(left) < len(reached):
        at = index_of(left)
        # A view would hold the memory of all keys as long as the block lives.
        keep, keys = keep[..., at].clone(), _select(keys, at)
    return Block(rows, keys, None if bool(keep.all()) else keep)


def _select(keys: Index, at: Index) -> Index:
    """Return the keys at these places among `keys`."""
    if isinstance(keys, Tensor):
        chosen: Tensor = keys[at]
        return index_of(chosen)
    if isinstance(at, slice):
        return slice(keys.start + at.start, keys.start + at.stop)
    return at + int(keys.start)


def crop_blocks(blocks: Sequence[Block], q_len: int, kv_len: int) -> list[Block]:
    """Return the blocks of a longer pattern without the queries from `q_len` and the keys from `kv_len` on."""
    cropped = []
    for block in blocks:
        rows, keys = _below(block.rows, q_len), _below(block.keys, kv_len)
        n_rows, n_keys = index_length(rows), index_length(keys)
        if n_rows:
            keep = None if block.keep is None else block.keep[..., :n_rows, :n_keys]
            cropped.append(replace(block, rows=rows, keys=keys, keep=keep))
    return cropped


def _below(index: Index, end: int) -> Index:
    """Return the indices before `end`."""
    if isinstance(index, slice):
        return slice(index.start, max(index.start, min(index.stop, end)))
    first: Tensor = index[: int((index < end).sum())]
    return first
