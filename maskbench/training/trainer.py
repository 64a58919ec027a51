"""The trainer of a run: its model, optimiser and batches, and the training step.

A step is a pure function of (weights, moments, step number): batch, dropout and masks are keyed by the step
and the seed, and the learning rate follows from the step. So a trainer can be restored to any checkpoint.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from maskbench.config.schema.experiment import RunConfig
from maskbench.data.batches import Batch, BatchSchedule, collate
from maskbench.data.corpus import Corpus
from maskbench.masks.clock import Clock
from maskbench.model.transformer import EncoderDecoder, build_model
from maskbench.randomness import Key, seed_torch
from maskbench.training.environment import compute_dtype, keep_freed_memory, pick_device
from maskbench.training.objective import Objective
from maskbench.training.optimiser import build_optimiser, learning_rate, set_learning_rate
from maskbench.training.warm_start import freeze_all_but, load_starting_weights


class Diverged(Exception):
    """A loss, gradient or metric is not finite; the update was not made."""

    def __init__(self, quantity: str, value: float, step: int, examples: tuple[int, ...] = ()) -> None:
        super().__init__(f"{quantity} is {value} at step {step}; the run diverged")
        self.quantity = quantity
        self.value = value
        self.step = step
        """The number of the update that was not made, from 1."""
        self.examples = examples
        """Ids of the batch, if the number came from one."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """The numbers of one training step, computed before its update."""

    loss: float
    """The minimised loss: smoothed, weighted by loss masks, with logit masks and penalties."""
    nll: float
    """Mean negative log-likelihood over all real tokens, in nats, without smoothing, weights, logit masks or
    penalties; masks at other sites act as in training."""
    grad_norm: float
    """Norm of the gradient before clipping."""
    lr: float
    n_tokens: int
    """Number of real target tokens."""


class Trainer:
    """Takes the training steps of a run."""

    def __init__(self, config: RunConfig, corpus: Corpus, seed: int) -> None:
        self.config = config
        self.device = pick_device()
        self.dtype = compute_dtype(config.train.precision, config.model.d_model, self.device)
        self.model: EncoderDecoder = build_model(config, corpus, seed).to(self.device)
        self.init_sha256: str | None = None
        """Hash of the checkpoint from which the weights were loaded; None for new weights."""
        if config.init_from is not None:
            start = config.init_from, seed, corpus.vocabulary
            self.init_sha256 = load_starting_weights(self.model, *start)
        if config.train_only is not None:
            freeze_all_but(self.model, config.train_only)
        self.optimiser = build_optimiser(self.model, config.train)
        self._seed = seed
        self._split = corpus.splits["train"]
        self._batches = BatchSchedule(self._split, config.train.batch_tokens, self._order_seed())
        size = len(corpus.vocabulary)
        self.objective = Objective(self.model, config.train, size, self.dtype, self.device)
        self._parameters = [p for p in self.model.parameters() if p.requires_grad]

    @property
    def total_steps(self) -> int:
        """Number of updates of the run."""
        epochs = self.config.train.epochs
        return self.config.train.steps if epochs is None else self._batches.steps_for_epochs(epochs)

    def batch(self, step: int, stalls: int = 0) -> tuple[Batch, Clock]:
        """Return the batch and the clock of step `step`, counted from 0.

        Args:
            stalls: number of validations before this step that did not improve on the best value.
        """
        epoch, ids = self._batches.batch_at(step)
        clock = Clock("train", step, self.total_steps, epoch, self._batches.n_batches, stalls)
        return collate(self._split, ids).to(self.device), clock

    def step(self, step: int) -> int:
        """Take step `step`, counted from 0, and return its number of real target tokens."""
        return self.update(*self.batch(step)).n_tokens

    def update(self, batch: Batch, clock: Clock) -> StepReport:
        """Make the update of one step and return its numbers.

        Raises:
            Diverged: the loss or the gradient is not finite; weights and moments are unchanged.
        """
        # Evaluations restore the mode at their end, so the walk over all modules is seldom needed.
        if not self.model.training:
            self.model.train()
        seed_torch(self._dropout_seed(clock.step), self.device)
        self.optimiser.zero_grad(set_to_none=True)
        loss, nll = self.objective.backward(batch, clock)
        for parameter in self.model.masks.frozen_parameters(clock):
            parameter.grad = None
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, self.config.train.clip)
        lr = learning_rate(self.config.train, clock.step)
        report = StepReport(loss.item(), nll.item(), norm.item(), lr, batch.n_tokens)
        for quantity, value in [("the loss", report.loss), ("the gradient's norm", report.grad_norm)]:
            if not math.isfinite(value):
                raise Diverged(quantity, value, clock.step + 1, tuple(batch.ids.tolist()))
        set_learning_rate(self.optimiser, lr)
        self.optimiser.step()
        return report

    def _dropout_seed(self, step: int) -> int:
        """Return the seed of torch's generator for a step: 32 bits of the stream `dropout`."""
        return Key.of(self._seed, self._stream("dropout"), step).low32

    def _order_seed(self) -> int:
        """Return the seed of the batches and their order: the run's own seed in stream family `a`."""
        own = self.config.streams == "a"
        return self._seed if own else Key.of(self._seed, self._stream("order")).low32

    def _stream(self, name: str) -> str:
        return name if self.config.streams == "a" else f"{self.config.streams}:{name}"


def make_trainer(config: RunConfig, corpus: Corpus, seed: int) -> Trainer:
    """Return a new trainer; from now on the process keeps the memory that tensors free."""
    keep_freed_memory()
    return Trainer(config, corpus, seed)
