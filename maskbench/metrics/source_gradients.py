"""How much of the source a target token really hangs on: where the gradient of its score lies.

After the cumulative normalised gradient of Chi et al. 2023, "Dissecting Transformer length extrapolation via the lens
of receptive field analysis". They count the distance from the predicted token itself; in translation that has no place
in the source, so here it is counted from the source token with the greatest gradient. A mask that lets a target token
see source positions a to b only cannot leave more than b - a. What counts is the gradient that training would see:
where a learned gate stands in for its gradient, that one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor, nn

from maskbench.data.batches import Batch, collate
from maskbench.data.corpus import Split
from maskbench.data.padding import real_tokens
from maskbench.masks.clock import Clock
from maskbench.model.transformer import EncoderDecoder

SENTENCES = 64
"""The first so many of a split are looked at, all of their target tokens."""
TOGETHER = 16
"""Sentences of a batch: its gradients are kept until every target position has been asked for."""
SHARE = 0.95
"""Of the gradient's norm that a context must hold."""


def mean_gradient_reach(model: EncoderDecoder, data: Split, clock: Clock) -> float:
    """Return the mean reach of the target tokens of the first sentences of a split, in source tokens; 0 or more.

    End marks count, on both sides. A token that hangs on one source token, or on none, has reach 0.

    Args:
        clock: of phase "eval"; the plan decides which masks act then.
    """
    found: list[int] = []
    for start in range(0, min(SENTENCES, len(data)), TOGETHER):
        ids = np.arange(start, min(start + TOGETHER, SENTENCES, len(data)), dtype=np.int64)
        batch = collate(data, ids).to(model.device)
        norms = gradient_norms(model, batch, clock).cpu().numpy()
        lengths = batch.tgt_lengths.tolist()
        found += [
            gradient_reach(row) for sentence, n in zip(norms, lengths, strict=True) for row in sentence[:n]
        ]
    return float(np.mean(found))


def gradient_reach(norms: npt.NDArray[np.float64]) -> int:
    """Return the least distance from the largest entry, the first of several, within which `SHARE` of the sum lies.

    Args:
        norms: Float64[S], at least 0.
    """
    distances = np.abs(np.arange(len(norms)) - norms.argmax())
    within = np.bincount(distances, weights=norms).cumsum()
    return int((within >= SHARE * within[-1]).argmax())


def gradient_norms(model: EncoderDecoder, batch: Batch, clock: Clock) -> Float[Tensor, "batch tgt src"]:
    """Return |d score(gold token t) / d embedding of source token s|, zero where t or s is padding; float64.

    The score is the one before the softmax, under teacher forcing; the embedding is the word's, before its position is
    added, and s counts the tokens that the encoder reads. One backward pass for each target position serves the whole batch, as no sentence reads another.
    """
    with _differentiable(model), _word_leaves(model.encoder.positions) as leaves:
        hidden = model.hidden(batch, clock)
        logits = model.masks.gate_logits(model.logits(hidden), clock, batch.ids)
        gold = logits.gather(-1, batch.tgt_out[..., None])[..., 0]
        (words,) = leaves
        _, source = model.read(batch, clock)
        real = real_tokens(batch.tgt_lengths, gold.shape[1])
        summed = gold.where(real, 0.0).sum(0)
        columns = [
            torch.autograd.grad(score, words, retain_graph=True)[0].double().norm(dim=-1) for score in summed
        ]
    norms = torch.stack(columns, dim=1)
    tokens = real_tokens(source.lengths, norms.shape[2])
    return norms.where(tokens[:, None], 0.0)


@contextmanager
def _differentiable(model: EncoderDecoder) -> Iterator[None]:
    """Inside, the model drops nothing and records gradients; afterwards it is as it was."""
    was_training = model.training
    model.eval()
    try:
        with torch.enable_grad():
            yield
    finally:
        model.train(was_training)


@contextmanager
def _word_leaves(positions: nn.Module) -> Iterator[list[Tensor]]:
    """Collect what goes into `positions`, each cut off from its past so that gradients can be asked for."""
    leaves: list[Tensor] = []

    def cut(_: nn.Module, args: tuple[Tensor, int]) -> tuple[Tensor, int]:
        words, start = args
        leaves.append(words.detach().requires_grad_())
        return leaves[-1], start

    handle = positions.register_forward_pre_hook(cut)
    try:
        yield leaves
    finally:
        handle.remove()
