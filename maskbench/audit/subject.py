"""The audited subject (an arm, model sizes, sentences), and the case of it in one number format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from maskbench.audit.plans import RecordingMaskPlan
from maskbench.config.schema.experiment import ATTENTION_SITES, ModelConfig, PlacementConfig
from maskbench.data.batches import Batch
from maskbench.data.padding import real_tokens
from maskbench.masks.clock import Clock
from maskbench.masks.context import LogitContext, Sizes
from maskbench.model.attention_path import AUTO, PathRules
from maskbench.model.initialise import initialise
from maskbench.model.transformer import EncoderDecoder
from maskbench.model_audit.kept import KeepsResults
from maskbench.randomness import Key, seed_torch, torch_generator
from maskbench.training.environment import autocast
from maskbench.training.loss import nll_of

T = TypeVar("T")

SPREAD = 0.4
"""Root mean square of the values given to learned parameters, so that masks that start as identity act."""

ROUNDINGS = 64
"""Allowed change in low precision, in units in the last place of the largest score: where sums run in another order, or
weights are normalised once more."""
EXACT = 1e-10
"""Allowed float64 difference, relative to scores above 1, if shapes and so the order of sums differ."""

BLOCKED = PathRules(smallest=1, rows=4, fused_share=2.0)
"""Every layer in blocks of four queries, never by the fused kernel, so that short sentences have several blocks."""

MID_TRAINING, FINAL_EVALUATION = (
    Clock("train", 30, 100, epoch=2, steps_per_epoch=15),
    Clock.evaluation(100, 100),
)
"""Default clocks of an audit: step 30 of 100 in training, and the evaluation after step 100."""


@dataclass(frozen=True)
class Subject:
    """An arm and all inputs of its audit, except the number format."""

    kind: Literal["arm", "strategy"]
    name: str
    site: str
    """Site of the strategy, or all sites of the arm, separated by commas."""
    placements: tuple[PlacementConfig, ...]
    model: ModelConfig
    sizes: Sizes
    batch: Batch
    """A few sentence pairs of different lengths."""
    own_dtype: torch.dtype
    """Number format in which the run computes: float32, or bfloat16 by autocast."""
    companions: tuple[PlacementConfig, ...] = ()
    """Placements that the audited ones require; they are not audited themselves."""
    longest: Batch | None = None
    """The longest sentence pair, for masks that act only on long sentences; None: `batch` is long enough."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    seed: int = 0
    streams: str = "a"
    attention_paths: PathRules = AUTO
    """The way in which attention layers are computed."""
    train: Clock = MID_TRAINING
    """Clock of the audit in training."""
    evaluation: Clock = FINAL_EVALUATION
    """Clock of the audit in evaluation."""
    weights: Mapping[str, Tensor] | None = None
    """Trained weights of the whole arm by name; None: the initial ones, with random values in learned masks."""

    @property
    def arm(self) -> tuple[PlacementConfig, ...]:
        """All placements, audited ones first."""
        return (*self.placements, *self.companions)


class AuditCase(KeepsResults):
    """A subject in one number format: builds its models, computes their scores and caches results."""

    def __init__(self, subject: Subject, dtype: torch.dtype) -> None:
        super().__init__()
        self.subject = subject
        self.dtype = dtype
        self.batch = subject.batch.to(subject.device)
        self.clocks = (subject.train, subject.evaluation)

    @property
    def weights_dtype(self) -> torch.dtype:
        """Number format of the weights, float64 or float32; only products use bfloat16, as in training."""
        return torch.float64 if self.dtype == torch.float64 else torch.float32

    @property
    def eps(self) -> float:
        """Machine epsilon: the distance from 1 to the next larger number in `dtype`."""
        return float(torch.finfo(self.dtype).eps)

    @cached_property
    def model(self) -> EncoderDecoder:
        """The arm's model, with learned mask parameters set to random values."""
        return self.build()

    @property
    def plan(self) -> RecordingMaskPlan:
        """The mask plan of `model`."""
        assert isinstance(self.model.masks, RecordingMaskPlan)
        return self.model.masks

    @cached_property
    def plain(self) -> EncoderDecoder:
        """The same model with the companions alone, without the audited placements."""
        return self.build(self.subject.companions)

    def build(
        self, placements: Sequence[PlacementConfig] | None = None, *, moved: bool = True
    ) -> EncoderDecoder:
        """Build a model of the subject's sizes; weights depend on parameter names alone.

        Args:
            placements: masks of the model; None: all of the subject's.
            moved: whether learned mask parameters get random values instead of their initial ones.
        """
        subject = self.subject
        arm = subject.arm if placements is None else placements
        masks = RecordingMaskPlan(arm, seed=subject.seed, streams=subject.streams, sizes=subject.sizes)
        model = EncoderDecoder(subject.model, masks, subject.sizes.vocab_size, subject.sizes.max_length)
        model.attention_paths = subject.attention_paths
        initialise(model, subject.seed, subject.streams)
        if placements is None and subject.weights is not None:
            model.load_state_dict(subject.weights)
        elif moved:
            perturb_learned(masks, subject.seed)
        return model.to(subject.device, self.weights_dtype)

    def bytes_of_pair(self, src: int, tgt: int) -> int:
        """Return about how many bytes a pass without gradients takes for a sentence pair of these lengths.

        Counted are six arrays of one layer's attention weights, and four of the vocabulary scores and of the widest
        layer's output: the most that a pass holds at once.
        """
        sizes, longer = self.subject.sizes, max(tgt, src)
        per_token = 6 * sizes.n_heads * longer + 4 * (sizes.vocab_size + self.subject.model.d_ff)
        return longer * per_token * self.weights_dtype.itemsize

    def renormalises(self) -> bool:
        """Whether a site masks after the softmax and divides by the remaining sum, which rounds."""
        return any(self.plan.application(site) == "renormalise" for site in ATTENTION_SITES)

    def hidden_rounding(self, largest: float) -> float:
        """Return how far what is hidden may move a score of at most `largest`: 0, or the rounding of `renormalise`.

        `renormalise` rounds weights three times; in low precision one rounding of a weight can change a sum of a few dozen
        terms by as many units in the last place.
        """
        if not self.renormalises():
            return 0.0
        return 1e-12 if self.dtype == torch.float64 else self.low_rounding(largest)

    def low_rounding(self, largest: float) -> float:
        """Return how far rounding may move a score of at most `largest` in low precision."""
        return ROUNDINGS * self.eps * max(1.0, largest)

    def precise(self) -> torch.autocast:
        """Return the autocast context in which the model computes in `dtype`."""
        return autocast(self.dtype, self.subject.device)

    def logits(
        self,
        model: EncoderDecoder,
        batch: Batch,
        clock: Clock,
        *,
        dropout: bool = False,
        seed: int | None = 3,
    ) -> Tensor:
        """Return `[batch tgt vocab]` logits under teacher forcing, gates applied and banned tokens at -inf.

        Args:
            dropout: whether dropout is on.
            seed: seed of torch's generators, which dropout uses and masks must not use; None: as they are.
        """
        model.train(dropout)
        if seed is not None:
            seed_torch(seed, self.subject.device)
        with torch.no_grad():
            return self.scores(model, batch, clock)

    def scores(self, model: EncoderDecoder, batch: Batch, clock: Clock) -> Tensor:
        """Return `[batch tgt vocab]` logits like `logits`, in the mode in which the model is."""
        with self.precise():
            raw = model(batch, clock)
        return apply_logit_masks(model, raw, batch, clock)

    def answers(self, model: EncoderDecoder, batch: Batch, clock: Clock, *, seed: int | None = 3) -> Tensor:
        """Return `[batch tgt vocab+1]`: logits and, last, the token's loss weight; zeros on padding."""
        logits = self.logits(model, batch, clock, seed=seed)
        real = real_tokens(batch.tgt_lengths, batch.tgt_out.shape[1])
        return with_loss_weights(model, logits, batch, clock).masked_fill(~real[..., None], 0.0)


def apply_logit_masks(model: EncoderDecoder, raw: Tensor, batch: Batch, clock: Clock) -> Tensor:
    """Return logits after the plan's gates and bans, as in decoding: without the correct tokens."""
    raw = raw if raw.dtype.itemsize >= 4 else raw.float()
    positions = torch.arange(raw.shape[1], device=raw.device)
    context = LogitContext(batch.tgt_in, positions, batch.src, batch.src_lengths, clock)
    gated = model.masks.gate_logits(raw, clock, batch.ids)
    return model.masks.mask_logits(gated, context, None, batch.ids)


def with_loss_weights(model: EncoderDecoder, logits: Tensor, batch: Batch, clock: Clock) -> Tensor:
    """Return `[batch tgt vocab+1]`: logits, and last the weight of every target token in the loss."""
    real = real_tokens(batch.tgt_lengths, batch.tgt_out.shape[1])

    def losses() -> Tensor:
        found = torch.zeros(real.shape, device=real.device)
        found[real] = nll_of(logits.nan_to_num(neginf=-1e3)[real], batch.tgt_out[real])
        return found

    weights = model.masks.loss_weights(real, batch.ids, clock, losses)
    weights = real if weights is None else weights
    return torch.cat((logits, weights[..., None].to(logits.dtype)), -1)


@torch.no_grad()
def perturb_learned(masks: nn.Module, seed: int) -> None:
    """Fill learned mask parameters with |N(0, SPREAD)| draws keyed by name; values below 0 act as 0."""
    for name, parameter in masks.named_parameters():
        generator = torch_generator(Key.of(seed, "audit", name))
        noise = torch.empty(parameter.shape).normal_(0.0, SPREAD, generator=generator).abs_()
        parameter.copy_(noise)
