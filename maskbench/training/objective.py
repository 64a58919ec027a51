"""The objective of a training step, forward and backward.

It is the label-smoothed loss of `maskbench.training.loss` over the target tokens that the loss masks leave,
plus the strategies' penalties. With `train.rdrop`, a batch passes twice, under different masks and dropout,
and the divergence of the two predictions is added (Liang et al. 2021, R-Drop, arXiv:2106.14448): half the
paper's CE_1 + CE_2 + (rdrop / 2) (KL(1 || 2) + KL(2 || 1)), so that the loss has the same scale as with one
pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from maskbench.config.schema.experiment import TrainConfig
from maskbench.data.batches import Batch
from maskbench.data.padding import real_tokens
from maskbench.masks.clock import Clock
from maskbench.masks.context import LogitContext
from maskbench.model.transformer import EncoderDecoder
from maskbench.training.environment import autocast
from maskbench.training.loss import (
    Targets,
    backward_through_output,
    loss_with_banned_entries,
    nll_of,
    normalise_weights,
)


def view_clocks(clock: Clock, train: TrainConfig) -> list[Clock]:
    """Return the clocks of the forward passes (views) of one step: two with R-Drop, else one."""
    return [clock, replace(clock, view=1)] if train.rdrop else [clock]


def symmetric_kl(
    first: Float[Tensor, "rows vocab"], second: Float[Tensor, "rows vocab"]
) -> Float[Tensor, ""]:
    """Return the mean over rows of KL(1 || 2) + KL(2 || 1), in nats, for two sets of vocabulary scores."""
    p, q = first.log_softmax(-1, dtype=torch.float32), second.log_softmax(-1, dtype=torch.float32)
    # The sum of both divergences is the sum over entries of (p - q) (log p - log q).
    return ((p.exp() - q.exp()) * (p - q)).sum(-1).mean()


@dataclass(frozen=True, slots=True)
class Objective:
    """Computes the loss of a step and accumulates its gradient."""

    model: EncoderDecoder
    train: TrainConfig
    vocab_size: int
    dtype: torch.dtype
    device: torch.device

    def backward(self, batch: Batch, clock: Clock) -> tuple[Tensor, Tensor]:
        """Accumulate gradients; return the loss and the mean nll of the real target tokens, both detached."""
        seen = [_View.of(self, batch, at) for at in view_clocks(clock, self.train)]
        if len(seen) == 1 and self.model.masks.is_empty("logits"):
            root, grad, loss, nll = seen[0].through_output()
        else:
            root, nll = self._whole(seen)
            loss, grad = root.detach(), torch.ones_like(root)
        roots = [(root, grad)]
        if (penalty := self.model.masks.penalty()) is not None:
            roots.append((penalty, torch.ones_like(penalty)))
            loss = loss + penalty.detach()
        # With `train_only`, a root may depend on no trained parameter.
        if reached := [pair for pair in roots if pair[0].requires_grad]:
            torch.autograd.backward([at for at, _ in reached], [of for _, of in reached])
        return loss, nll / (len(seen) * batch.n_tokens)

    def _whole(self, seen: list[_View]) -> tuple[Tensor, Tensor]:
        """Return the loss over all vocabulary scores at once, and the nll summed over tokens and views."""
        scored = [view.scores() for view in seen]
        loss = torch.stack([loss for _, loss in scored]).mean()
        if len(scored) == 2:
            loss = loss + self.train.rdrop / 4 * symmetric_kl(scored[0][0], scored[1][0])
        nll = [
            nll_of(raw.detach(), view.targets.gold).sum() for (raw, _), view in zip(scored, seen, strict=True)
        ]
        return loss, torch.stack(nll).sum()


@dataclass(frozen=True, slots=True)
class _View:
    """One forward pass of a batch under one draw of masks and dropout."""

    parts: Objective
    batch: Batch
    clock: Clock
    hidden: Float[Tensor, "batch tgt d_model"]
    real: Bool[Tensor, "batch tgt"]
    targets: Targets

    @classmethod
    def of(cls, parts: Objective, batch: Batch, clock: Clock) -> _View:
        real = real_tokens(batch.tgt_lengths, batch.tgt_out.shape[1])
        with autocast(parts.dtype, parts.device):
            hidden = parts.model.hidden(batch, clock)
        losses = cls._losses(parts, batch, hidden, real)
        weights = parts.model.masks.loss_weights(real, batch.ids, clock, losses)
        weights = real.float() if weights is None else weights.float()
        targets = Targets(batch.tgt_out[real], normalise_weights(weights[real]), parts.train.label_smoothing)
        return cls(parts, batch, clock, hidden, real, targets)

    @staticmethod
    def _losses(
        parts: Objective, batch: Batch, hidden: Tensor, real: Tensor
    ) -> Callable[[], Float[Tensor, "batch tgt"]]:
        """Return a function that computes every real token's nll, for loss masks that select tokens by it."""

        @torch.no_grad()
        def compute() -> Float[Tensor, "batch tgt"]:
            with autocast(parts.dtype, parts.device):
                logits = parts.model.logits(hidden[real])
            losses = torch.zeros(real.shape, device=real.device)
            losses[real] = nll_of(logits, batch.tgt_out[real])
            return losses

        return compute

    def through_output(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the decoder rows, their gradient, the loss and the sum of the nll."""
        rows = self.hidden[self.real]
        with autocast(self.parts.dtype, self.parts.device):
            output, size = self.parts.model.logits, self.parts.vocab_size
            loss, nll, grad = backward_through_output(rows, output, size, self.targets)
        return rows, grad, loss, nll

    def scores(self) -> tuple[Float[Tensor, "rows vocab"], Tensor]:
        """Return the real tokens' vocabulary scores, gates applied, and the loss under the logit masks."""
        parts, batch, plan = self.parts, self.batch, self.parts.model.masks
        with autocast(parts.dtype, parts.device):
            raw = parts.model.logits(self.hidden)
        raw = plan.gate_logits(raw.float(), self.clock, batch.ids)
        positions = torch.arange(batch.tgt_in.shape[1], device=batch.tgt_in.device)
        context = LogitContext(batch.tgt_in, positions, batch.src, batch.src_lengths, self.clock)
        scores = plan.mask_logits(raw, context, batch.tgt_out, batch.ids)
        return raw[self.real], loss_with_banned_entries(scores[self.real], self.targets)
