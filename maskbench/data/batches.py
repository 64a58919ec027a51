"""Batches limited in padded tokens, the same in every epoch and for every arm of a seed.

The seed decides which examples share a batch; an epoch only changes the order of the batches. So a run
resumed at step n needs no state of earlier steps, and two arms train on the same batch at the same step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from maskbench.data.corpus import Ragged, Split
from maskbench.data.vocabulary import BOS, PAD
from maskbench.randomness import Key, permutation

Ids: TypeAlias = npt.NDArray[np.int64]
"""Example ids: indices into a split, from 0."""

POOL_SIZE: Final = 6_000
"""Number of examples that are sorted by length together: large enough for little padding, small enough for
random batches."""


@dataclass(frozen=True)
class Batch:
    """Sentence pairs as padded tensors: B pairs, S and T the lengths of the longest source and target."""

    ids: Tensor
    """Int64[B]: example ids."""
    src: Tensor
    """Int64[B, S]: sources, each ending with EOS."""
    src_lengths: Tensor
    """Int64[B]: number of real tokens of each source, EOS included."""
    tgt_in: Tensor
    """Int64[B, T]: decoder inputs, BOS first."""
    tgt_out: Tensor
    """Int64[B, T]: the labels, EOS last; `tgt_in` is the same shifted right by one."""
    tgt_lengths: Tensor
    """Int64[B]: number of real tokens of each target, the same for `tgt_in` and `tgt_out`."""
    junk: Tensor | None = None
    """Bool[B, S]: True on source tokens the corpus marks as junk; None without this annotation."""
    links: Tensor | None = None
    """Bool[B, T, S]: True where a token of `tgt_out` translates a source token; None without this
    annotation."""

    @property
    def n_tokens(self) -> int:
        """Number of real target tokens; blocks until the device has computed it."""
        return int(self.tgt_lengths.sum())

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch on `device`."""
        return Batch(
            ids=self.ids.to(device, non_blocking=True),
            src=self.src.to(device, non_blocking=True),
            src_lengths=self.src_lengths.to(device, non_blocking=True),
            tgt_in=self.tgt_in.to(device, non_blocking=True),
            tgt_out=self.tgt_out.to(device, non_blocking=True),
            tgt_lengths=self.tgt_lengths.to(device, non_blocking=True),
            junk=None if self.junk is None else self.junk.to(device, non_blocking=True),
            links=None if self.links is None else self.links.to(device, non_blocking=True),
        )


class BatchSchedule:
    """The batch of every training step: a pure function of the split, the batch size and the seed."""

    def __init__(self, split: Split, batch_tokens: int, seed: int) -> None:
        """Plan the batches.

        Raises:
            ValueError: the split is empty.
        """
        if not len(split):
            raise ValueError(f"split {split.name!r} has no examples to make batches of")
        self._batches = plan_batches(split, batch_tokens, seed)
        self._seed = seed
        self._epoch = -1
        self._order: Ids = np.empty(0, dtype=np.int64)

    @property
    def n_batches(self) -> int:
        """Number of batches, and so of optimiser steps, in an epoch."""
        return len(self._batches)

    def batch_at(self, step: int) -> tuple[int, Ids]:
        """Return the epoch of step `step` (both from 0) and the ids of its batch."""
        epoch, place = divmod(step, self.n_batches)
        if epoch != self._epoch:
            self._order = permutation(Key.of(self._seed, "order", epoch), self.n_batches)
            self._epoch = epoch
        return epoch, self._batches[int(self._order[place])]

    def steps_for_epochs(self, epochs: int) -> int:
        """Return the number of steps in `epochs` passes over the split."""
        return epochs * self.n_batches


def plan_batches(split: Split, batch_tokens: int, seed: int) -> list[Ids]:
    """Return training batches that hold every example once; the seed decides which examples share a batch.

    Random pools of `POOL_SIZE` examples are sorted by length and cut so that sentences x longest padded side
    is at most `batch_tokens`, end marks included. A single sentence longer than that is a separate batch.
    """
    shuffled = permutation(Key.of(seed, "batches"), len(split))
    batches: list[Ids] = []
    for start in range(0, len(split), POOL_SIZE):
        pool = shuffled[start : start + POOL_SIZE]
        batches += _cut(_by_length(split, pool), split, batch_tokens)
    return batches


def plan_evaluation_batches(split: Split, batch_tokens: int) -> list[Ids]:
    """Return batches that hold every example once, shortest first; the same for every run."""
    return _cut(_by_length(split, np.arange(len(split), dtype=np.int64)), split, batch_tokens)


def _by_length(split: Split, ids: Ids) -> Ids:
    src, tgt = split.src.lengths[ids], split.tgt.lengths[ids]
    # Sort by the longer side first, because a batch is padded to it; the id makes the order unique.
    return ids[np.lexsort((ids, tgt, src, np.maximum(src, tgt)))]


def _cut(ids: Ids, split: Split, batch_tokens: int) -> list[Ids]:
    """Cut `ids`, sorted by the longer side, into batches of at most `batch_tokens` padded tokens."""
    longer = np.maximum(split.src.lengths, split.tgt.lengths)[ids].tolist()
    batches, start = [], 0
    for end, length in enumerate(longer):
        if end > start and (end + 1 - start) * length > batch_tokens:
            batches.append(ids[start:end])
            start = end
    if start < len(ids):
        batches.append(ids[start:])
    return batches


def collate(split: Split, ids: Ids) -> Batch:
    """Return the examples `ids` of `split` as one batch of int64 tensors on the CPU, in the given order."""
    src, src_lengths = _pad(split.src, ids)
    tgt_out, tgt_lengths = _pad(split.tgt, ids)
    tgt_in = np.full_like(tgt_out, PAD)
    # Shifted right by one: the last real token, EOS, is never an input.
    tgt_in[:, 1:] = np.where(np.arange(1, tgt_out.shape[1]) < tgt_lengths[:, None], tgt_out[:, :-1], PAD)
    tgt_in[:, 0] = BOS
    return Batch(
        ids=torch.from_numpy(np.array(ids, dtype=np.int64)),
        src=torch.from_numpy(src),
        src_lengths=torch.from_numpy(src_lengths),
        tgt_in=torch.from_numpy(tgt_in),
        tgt_out=torch.from_numpy(tgt_out),
        tgt_lengths=torch.from_numpy(tgt_lengths),
        junk=None if split.junk is None else torch.from_numpy(_pad(split.junk, ids)[0] == 1),
        links=None if split.links is None else _links(split.links, ids, src_lengths, tgt_out.shape[1]),
    )


def _links(rows: Ragged, ids: Ids, src_lengths: npt.NDArray[np.int64], tgt_length: int) -> Tensor:
    """Return the gold alignments of a batch as Bool[B, T, S]."""
    counts = rows.lengths[ids]
    example = np.repeat(np.arange(len(ids)), counts)
    # Link n of the batch is in its row at offset n minus the number of the first link of the same example.
    first = np.cumsum(counts) - counts
    values = rows.values[np.arange(len(example)) + np.repeat(rows.offsets[ids] - first, counts)]
    links = np.zeros((len(ids), tgt_length, int(src_lengths.max(initial=0))), dtype=np.bool_)
    links[(example, *np.divmod(values, src_lengths[example]))] = True
    return torch.from_numpy(links)


def _pad(rows: Ragged, ids: Ids) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    lengths = rows.lengths[ids]
    columns = np.arange(int(lengths.max(initial=0)), dtype=np.int64)
    real = columns < lengths[:, None]
    # Padding columns read the first token of their row, which the next line overwrites with PAD.
    places = rows.offsets[ids][:, None] + np.where(real, columns, 0)
    return np.where(real, rows.values[places], PAD).astype(np.int64), lengths
