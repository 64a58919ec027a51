"""The training loss: label-smoothed cross-entropy over the real target tokens of a step.

Smoothing (Szegedy et al. 2016) has several definitions whose losses are not comparable. Here the target
distribution of a token gives `1 - smoothing` to the gold entry and spreads `smoothing` evenly over the
vocabulary entries that may be predicted: all except the padding entry and those a logit mask has banned, the
gold entry included.

With a vocabulary of thousands, the loss is a large part of a step, mostly memory traffic. So padding is
dropped before the product with the vocabulary, loss and gradient share one log-softmax, and rows pass the
output layer in pieces that fit into the cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from maskbench.data.vocabulary import PAD

SCORES_PER_PIECE = 3 << 20
"""Number of vocabulary scores computed at a time: 12 MB of float32. Half as many is no faster; all at once
takes 1.7 times as long (3,500 tokens, 8,000 entries)."""


@dataclass(frozen=True, slots=True)
class Targets:
    """The real target tokens of a step, one per row."""

    gold: Int[Tensor, "rows"]
    weights: Float[Tensor, "rows"]
    """Weight of each token in the loss; the sum is 1, or 0 if a loss mask left none."""
    smoothing: float
    """Label smoothing, in [0, 1)."""


def normalise_weights(weights: Float[Tensor, "rows"]) -> Float[Tensor, "rows"]:
    """Return weights divided by their sum; all zeros stay zeros."""
    total = weights.sum()
    return weights / torch.where(total > 0, total, torch.ones_like(total))


def smoothed_loss(logits: Float[Tensor, "rows vocab"], targets: Targets) -> tuple[Tensor, Tensor]:
    """Return the weighted sum of smoothed losses, and every row's unsmoothed negative log-likelihood.

    Only the sum has a gradient, and backward works only once. Scores must be finite;
    `loss_with_banned_entries` also takes scores of -inf.
    """
    loss, nll = _SmoothedLoss.apply(logits, targets)  # type: ignore[no-untyped-call]
    return loss, nll


class _SmoothedLoss(torch.autograd.Function):
    """The smoothed loss; backward turns the log-probabilities into the gradient in place to save memory."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
        log_p = logits.log_softmax(-1, dtype=torch.float32)
        nll = -log_p.gather(1, targets.gold[:, None]).squeeze(1)
        spread = (log_p[:, PAD] - log_p.sum(-1)) / (log_p.shape[1] - 1)
        losses = (1.0 - targets.smoothing) * nll + targets.smoothing * spread
        ctx.save_for_backward(log_p)
        ctx.targets, ctx.dtype = targets, logits.dtype
        ctx.mark_non_differentiable(nll)
        return (losses * targets.weights).sum(), nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor, None]:
        (log_p,) = ctx.saved_tensors
        targets: Targets = ctx.targets
        weights = (targets.weights * grad)[:, None]
        each = weights * (targets.smoothing / (log_p.shape[1] - 1))
        result = log_p.exp_().mul_(weights).sub_(each)
        result[:, PAD] += each[:, 0]
        result.scatter_add_(1, targets.gold[:, None], (targets.smoothing - 1.0) * weights)
        return result.to(ctx.dtype), None


def loss_with_banned_entries(logits: Float[Tensor, "rows vocab"], targets: Targets) -> Tensor:
    """Return the loss of `smoothed_loss` for scores of which a logit mask has set some to -inf."""
    log_p = logits.log_softmax(-1, dtype=torch.float32)
    kept = log_p > -torch.inf
    kept[:, PAD] = False
    spread = -log_p.masked_fill(~kept, 0.0).sum(-1) / kept.sum(-1)
    nll = -log_p.gather(1, targets.gold[:, None]).squeeze(1)
    losses = (1.0 - targets.smoothing) * nll + targets.smoothing * spread
    return (losses * targets.weights).sum()


def backward_through_output(
    rows: Float[Tensor, "rows d_model"], output: Callable[[Tensor], Tensor], vocab_size: int, targets: Targets
) -> tuple[Tensor, Tensor, Tensor]:
    """Run the output layer and the loss forward and backward, piece by piece.

    Gradients of the output layer's parameters are accumulated; that of `rows` is returned, so that the caller
    can continue the backward pass.

    Args:
        rows: the decoder states of the real tokens.
        output: the output layer, `[n d_model] -> [n vocab]` scores.

    Returns:
        the loss, the sum of the rows' negative log-likelihoods, and the gradient of the loss with respect to
        `rows`.
    """
    leaf = rows.detach().requires_grad_()
    loss, nll = rows.new_zeros((), dtype=torch.float32), rows.new_zeros((), dtype=torch.float32)
    n_pieces = max(1, math.ceil(len(rows) * vocab_size / SCORES_PER_PIECE))
    size = max(1, math.ceil(len(rows) / n_pieces))
    for start in range(0, len(rows), size):
        here = slice(start, start + size)
        piece = Targets(targets.gold[here], targets.weights[here], targets.smoothing)
        part, part_nll = smoothed_loss(output(leaf[here]), piece)
        torch.autograd.backward(part)
        loss += part.detach()
        nll += part_nll.sum()
    grad = leaf.grad if leaf.grad is not None else torch.zeros_like(leaf)
    return loss, nll, grad


@torch.no_grad()
def nll_of(logits: Float[Tensor, "rows vocab"], gold: Int[Tensor, "rows"]) -> Float[Tensor, "rows"]:
    """Return every row's negative log-likelihood, without smoothing or gradient."""
    return -logits.log_softmax(-1, dtype=torch.float32).gather(1, gold[:, None]).squeeze(1)
