"""Makes changed copies of a batch: other words, lengths, padding, neighbours or row order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from maskbench.data.batches import Batch
from maskbench.data.padding import real_tokens
from maskbench.data.vocabulary import N_SPECIAL, PAD


def replace_words(ids: Tensor, vocab_size: int, shift: int) -> Tensor:
    """Return token ids of ordinary words, at every position another word than in `ids`.

    Args:
        shift: at least 0; different shifts give different words.
    """
    n_words = vocab_size - N_SPECIAL
    place = torch.arange(ids.shape[-1], device=ids.device).expand_as(ids)
    word = torch.where(ids >= N_SPECIAL, ids - N_SPECIAL, place)
    return N_SPECIAL + (word + 1 + shift % max(1, n_words - 1)) % n_words


def with_targets(batch: Batch, tgt_in: Tensor) -> Batch:
    """Return the batch with other decoder inputs, and target outputs shifted to match."""
    out = torch.cat((tgt_in[:, 1:], batch.tgt_out[:, -1:]), 1)
    ends = torch.arange(out.shape[1], device=out.device) >= batch.tgt_lengths[:, None] - 1
    return replace(batch, tgt_in=tgt_in, tgt_out=torch.where(ends, batch.tgt_out, out))


def truncate_targets(batch: Batch, length: int) -> Batch:
    """Return the batch with targets cut off after `length` tokens."""
    return replace(
        batch,
        tgt_in=batch.tgt_in[:, :length],
        tgt_out=batch.tgt_out[:, :length],
        tgt_lengths=batch.tgt_lengths.clamp(max=length),
        links=None if batch.links is None else batch.links[:, :length],
    )


def with_other_padding(batch: Batch, vocab_size: int) -> Batch:
    """Return the batch with words in place of padding, in source and target; lengths do not change."""
    src_real = real_tokens(batch.src_lengths, batch.src.shape[1])
    tgt_real = real_tokens(batch.tgt_lengths, batch.tgt_in.shape[1])
    return replace(
        batch,
        src=torch.where(src_real, batch.src, replace_words(batch.src, vocab_size, 1)),
        tgt_in=torch.where(tgt_real, batch.tgt_in, replace_words(batch.tgt_in, vocab_size, 2)),
        junk=None if batch.junk is None else batch.junk | ~src_real,
        links=None if batch.links is None else batch.links | ~src_real[:, None],
    )


def with_more_padding(batch: Batch, src: int, tgt: int) -> Batch:
    """Return the batch with `src` and `tgt` more columns of padding in source and target."""
    return replace(
        batch,
        src=F.pad(batch.src, (0, src), value=PAD),
        tgt_in=F.pad(batch.tgt_in, (0, tgt), value=PAD),
        tgt_out=F.pad(batch.tgt_out, (0, tgt), value=PAD),
        junk=None if batch.junk is None else F.pad(batch.junk, (0, src)),
        links=None if batch.links is None else F.pad(batch.links, (0, src, 0, tgt)),
    )


def single_pair(batch: Batch, row: int) -> Batch:
    """Return one sentence pair as a batch of its own, without padding."""
    here = slice(row, row + 1)
    src, tgt = int(batch.src_lengths[row]), int(batch.tgt_lengths[row])
    return Batch(
        batch.ids[here],
        batch.src[here, :src],
        batch.src_lengths[here],
        batch.tgt_in[here, :tgt],
        batch.tgt_out[here, :tgt],
        batch.tgt_lengths[here],
        None if batch.junk is None else batch.junk[here, :src],
        None if batch.links is None else batch.links[here, :tgt, :src],
    )


def with_other_mates(batch: Batch, row: int, vocab_size: int) -> Batch:
    """Return the batch with other words and example ids in all rows but `row`; lengths do not change."""
    same = torch.arange(len(batch.ids), device=batch.ids.device) == row

    def changed(ids: Tensor, shift: int) -> Tensor:
        words = torch.where(ids >= N_SPECIAL, replace_words(ids, vocab_size, shift), ids)
        return torch.where(same[:, None], ids, words)

    return replace(
        batch,
        ids=torch.where(same, batch.ids, batch.ids + 1000),
        src=changed(batch.src, 3),
        tgt_in=changed(batch.tgt_in, 4),
        tgt_out=changed(batch.tgt_out, 4),
    )


def reorder_rows(batch: Batch, order: Tensor) -> Batch:
    """Return the batch with its rows in the order of the indices `order`."""
    parts = {f.name: getattr(batch, f.name) for f in fields(batch)}
    moved: dict[str, Any] = {name: None if part is None else part[order] for name, part in parts.items()}
    return Batch(**moved)


def stack_batches(batches: Sequence[Batch]) -> Batch:
    """Return one batch with the rows of all batches, which must have equal shapes, concatenated."""
    parts = {f.name: [getattr(batch, f.name) for batch in batches] for f in fields(Batch)}
    joined: dict[str, Any] = {n: None if part[0] is None else torch.cat(part) for n, part in parts.items()}
    return Batch(**joined)
