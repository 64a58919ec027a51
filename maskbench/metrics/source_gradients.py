"""Gradient reach: the distance in source tokens over which the gradient of a target token's score extends.

After the cumulative normalised gradient of Chi et al. 2023, "Dissecting Transformer length extrapolation via
the lens of receptive field analysis". They measure distance from the predicted token. In translation that
token has no source position, so distance is measured from the source token with the largest gradient. If a
mask shows a target token only source positions a to b, its reach is at most b - a. Gradients are those of
training: where a learned gate replaces its gradient by a surrogate, the surrogate.
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
"""Number of sentences from the start of a split that are measured, with all their target tokens."""
TOGETHER = 16
"""Sentences per batch; the graph of a batch stays in memory until all its target positions are done."""
SHARE = 0.95
"""Share of the summed gradient norms that must lie within the reach."""


def mean_gradient_reach(model: EncoderDecoder, data: Split, clock: Clock) -> float:
    """Return the mean reach of the target tokens of a split's first `SENTENCES`, in source tokens.

    End marks count, on both sides. A token that depends on at most one source token has reach 0.

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
    """Return the least distance from the (first) largest entry within which `SHARE` of the sum lies.

    Args:
        norms: Float64[S], at least 0.
    """
    distances = np.abs(np.arange(len(norms)) - norms.argmax())
    within = np.bincount(distances, weights=norms).cumsum()
    return int((within >= SHARE * within[-1]).argmax())


def gradient_norms(model: EncoderDecoder, batch: Batch, clock: Clock) -> Float[Tensor, "batch tgt src"]:
    """Return |d score(gold token t) / d embedding of source token s|, 0 where t or s is padding; float64.

    The score is the logit under teacher forcing. The embedding is the word embedding before the position is
    added; s counts the tokens that the encoder reads. One backward pass per target position covers the whole
    batch, because no sentence reads another.
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
    """Put the model in evaluation mode with gradients; restore its mode at exit."""
    was_training = model.training
    model.eval()
    try:
        with torch.enable_grad():
            yield
    finally:
        model.train(was_training)


@contextmanager
def _word_leaves(positions: nn.Module) -> Iterator[list[Tensor]]:
    """Yield a list that collects the inputs of `positions`, each replaced by a leaf with a gradient."""
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
