"""Makes audit subjects from an experiment: every arm with its model and sentences of its corpus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from maskbench.audit.subject import BLOCKED, Subject
from maskbench.config.schema.experiment import ArmConfig, Experiment, RunConfig
from maskbench.data import load_corpus
from maskbench.data.batches import Batch, BatchSchedule, collate
from maskbench.data.corpus import Corpus, Split
from maskbench.data.vocabulary import EOS, PAD
from maskbench.masks.clock import Clock
from maskbench.model.attention_path import AUTO, DENSE_ONLY, PathRules, may_leave_dense
from maskbench.model.transformer import collect_sizes
from maskbench.training.environment import compute_dtype, pick_device

MAX_TOKENS = 12
"""Largest length of an audited sentence in tokens, if enough are so short; proofs need a pass per offset."""
LONGEST_WHOLE = 4 * MAX_TOKENS
"""Largest length at which sentences are audited whole if none has `MAX_TOKENS`; longer ones are shortened to that."""
SENTENCES = 3
"""Number of sentence pairs in an audited batch."""


def make_experiment_subjects(experiment: Experiment, cache_dir: Path) -> Iterator[Subject]:
    """Yield one subject per arm of an experiment, with the experiment's first seed.

    Args:
        cache_dir: folder from which built corpora are read, or to which they are written.

    Raises:
        CorpusError: a corpus cannot be read.
    """
    corpora: dict[str, Corpus] = {}
    for panel in experiment.panels:
        for arm in panel.arms:
            key = arm.config.corpus.model_dump_json()
            if key not in corpora:
                corpora[key] = load_corpus(arm.config.corpus, cache_dir)
            subject = make_arm_subject(arm, corpora[key], experiment.seeds[0])
            yield subject if panel.name is None else replace(subject, name=f"{panel.name}/{arm.name}")


def make_arm_subject(arm: ArmConfig, corpus: Corpus, seed: int) -> Subject:
    """Return the audit subject of an arm, with the model, device and number format of its training run.

    Args:
        seed: seed of the run, which keys its masks and initial weights.
    """
    config, device = arm.config, pick_device()
    train = corpus.splits["train"]
    total, per_epoch = _length_of(config, train, seed)
    half = total // 2
    return Subject(
        kind="arm",
        name=arm.name,
        site=", ".join(dict.fromkeys(p.site for p in config.masks)),
        placements=config.masks,
        model=config.model,
        sizes=collect_sizes(config, corpus),
        batch=_audited_batch(train),
        longest=collate(train, np.array([(train.src.lengths + train.tgt.lengths).argmax()])),
        own_dtype=compute_dtype(config.train.precision, config.model.d_model, device),
        device=device,
        seed=seed,
        streams=config.streams,
        attention_paths=audited_paths(config, corpus.max_length),
        train=Clock("train", half, total, epoch=half // per_epoch, steps_per_epoch=per_epoch),
        evaluation=Clock.evaluation(total, total),
    )


def audited_paths(config: RunConfig, max_length: int) -> PathRules:
    """Return rules under which the audit's short sentences are computed as the run's long ones are.

    Training with dropout never uses the fused kernel.
    """
    if not may_leave_dense(config.model, max_length):
        return DENSE_ONLY
    return BLOCKED if config.model.dropout else replace(BLOCKED, fused_share=AUTO.fused_share)


def _audited_batch(train: Split) -> Batch:
    """Return the audited sentence pairs; shortened ones where all are too long for a pass per token."""
    batch = collate(train, pick_sentences(train))
    is_long = max(batch.src.shape[1], batch.tgt_out.shape[1]) > LONGEST_WHOLE
    return shorten(batch, MAX_TOKENS) if is_long else batch


def shorten(batch: Batch, n: int) -> Batch:
    """Return the beginnings of the pairs, at most `n` tokens, end marks included; each row is one shorter than the last.

    So some rows have padding, as in a batch of whole sentences.
    """
    order = torch.arange(len(batch.ids))
    src_lengths = torch.minimum(batch.src_lengths, (n - order).clamp(min=2))
    tgt_lengths = torch.minimum(batch.tgt_lengths, (n - 2 * order).clamp(min=2))
    s, t = torch.arange(min(n, batch.src.shape[1])), torch.arange(min(n, batch.tgt_out.shape[1]))

    def ended(ids: Tensor, columns: Tensor, lengths: Tensor) -> Tensor:
        last = columns == lengths[:, None] - 1
        return ids[:, columns].masked_fill(last, EOS).masked_fill(columns >= lengths[:, None], PAD)

    end = (s >= src_lengths[:, None] - 1)[:, None]
    return Batch(
        ids=batch.ids,
        src=ended(batch.src, s, src_lengths),
        src_lengths=src_lengths,
        tgt_in=batch.tgt_in[:, t].masked_fill(t >= tgt_lengths[:, None], PAD),
        tgt_out=ended(batch.tgt_out, t, tgt_lengths),
        tgt_lengths=tgt_lengths,
        junk=None if batch.junk is None else batch.junk[:, s] & ~end[:, 0],
        links=None
        if batch.links is None
        else batch.links[:, t][..., s] & ~end & (t < tgt_lengths[:, None] - 1)[..., None],
    )


def pick_sentences(split: Split) -> npt.NDArray[np.int64]:
    """Return indices of up to `SENTENCES` examples, from the longest within `MAX_TOKENS` to the shortest.

    If fewer examples fit, choose among the `4 * SENTENCES` shortest.
    """
    src, tgt = split.src.lengths, split.tgt.lengths
    order = np.lexsort((np.arange(len(split)), src, tgt, np.maximum(src, tgt)))
    longer = np.maximum(src, tgt)[order]
    # At least two tokens: a sentence with only the end mark has no later token to change.
    fitting = order[(longer <= MAX_TOKENS) & (np.minimum(src, tgt)[order] >= 2)]
    among = fitting if len(fitting) >= SENTENCES else order[: 4 * SENTENCES]
    places = np.unique(np.linspace(0, len(among) - 1, SENTENCES).round().astype(np.int64))
    return np.asarray(among[places[::-1]], dtype=np.int64)


def _length_of(config: RunConfig, train: Split, seed: int) -> tuple[int, int]:
    """Return the number of training steps of the run and of one epoch."""
    per_epoch = BatchSchedule(train, config.train.batch_tokens, seed).n_batches
    epochs = config.train.epochs
    return (config.train.steps if epochs is None else epochs * per_epoch), per_epoch
