"""One model in one number format with its test inputs: computes scores in every mode, and keeps those asked for again."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maskbench.model_audit.changes import with_other_mates
from maskbench.model_audit.inputs import Inputs, Side, make_tokens, other_words, stack
from maskbench.model_audit.rounding import ROUNDINGS, NarrowestFormat, difference, largest_score
from maskbench.model_audit.subject import ModelSubject

T = TypeVar("T")

PASS_BYTES = 256 << 20
"""Largest size of a pass of several variants, in bytes, unless a single one needs more."""
SOURCE_LENGTHS, TARGET_LENGTHS = (9, 5, 7), (11, 8, 10)
"""Lengths of the test sentences in tokens. All sizes of a batch differ; an offset of 10 tokens is tried."""


@dataclass(frozen=True, slots=True)
class Mode:
    """How a model is run."""

    name: str
    training: bool = False
    """Whether the module is in training mode, with its dropout."""
    gradients: bool = False
    """Whether gradients are recorded; fast paths of some modules run only without."""


EVALUATION = Mode("evaluation")
WITH_GRADIENTS = Mode("evaluation with gradients", gradients=True)
TRAINING = Mode("training", training=True, gradients=True)
ROUTED_DRAWS = "in training the number of random draws depends on the tokens, so passes cannot be compared"
UNSEEDED = "the model seeds torch anew in training, so its passes draw other numbers under one seed"
STATISTICS = "in training the model keeps statistics over all rows, so rows and positions read one another"
MODES = (EVALUATION, WITH_GRADIENTS, TRAINING)


class ModelCase:
    """A subject in one number format."""

    def __init__(self, subject: ModelSubject, dtype: torch.dtype, inputs: Inputs | None = None) -> None:
        self.untouched = subject
        """The subject that was given; its module is copied and never run."""
        self.subject = subject.converted(dtype)
        self.dtype = dtype
        self.inputs = make_inputs(subject) if inputs is None else inputs
        self._known: dict[Hashable, Any] = {}
        self._state = {name: buffer.clone() for name, buffer in self.subject.module.named_buffers()}

    def scores(
        self, inputs: Inputs, mode: Mode = EVALUATION, compute: Callable[[Inputs], Tensor] | None = None
    ) -> Float[Tensor, "batch len outputs"]:
        """Return the scores of one pass, in at least float32; the same draws in every pass, and the same buffers before it.

        Args:
            compute: another way than `logits`.
        """
        with self.running(mode):
            found = (compute or self.subject.logits)(inputs).detach()
        return found if found.dtype.itemsize >= 4 else found.float()

    def draws_of(self, inputs: Inputs, mode: Mode) -> Hashable:
        """Return the state of the generators after a pass: it tells how many numbers the pass drew."""
        with self.running(mode):
            self.subject.logits(inputs)
            return _generators()

    def draws(self, mode: Mode) -> bool:
        """Whether a pass draws random numbers."""
        with self.running(mode):
            start = _generators()
        return self.draws_of(self.inputs, mode) != start

    def draws_depend_on_tokens(self) -> bool:
        """Whether other tokens make a training pass draw more or fewer numbers; then all later draws are others as well."""

        def ask() -> bool:
            words, inputs = self.subject.words, self.inputs
            for side in inputs.sides:
                tokens = inputs.of(side)
                new = tokens.with_words(tokens.real, other_words(tokens.ids, words, 1))
                changed = inputs.change(side, new)
                if self.draws_of(changed, TRAINING) != self.draws_of(inputs, TRAINING):
                    return True
            return False

        return self.once("draws depend on tokens", ask)

    def comparable_modes(self) -> Iterator[tuple[Mode, str]]:
        """Yield every mode and why its passes cannot be compared; an empty text if they can."""
        for mode in MODES:
            yield mode, self._why_incomparable() if mode.training else ""

    def is_seeded(self) -> bool:
        """Whether a training pass draws the same numbers again under one seed; not if it seeds torch by itself."""
        return self.once(
            "is seeded", lambda: self.draws_of(self.inputs, TRAINING) == self.draws_of(self.inputs, TRAINING)
        )

    def _why_incomparable(self) -> str:
        if not self.is_seeded():
            return UNSEEDED
        if self.keeps_statistics():
            return STATISTICS
        return ROUTED_DRAWS if self.draws_depend_on_tokens() else ""

    def keeps_statistics(self) -> bool:
        """Whether a training pass writes what depends on the tokens into buffers, as batch norm does."""

        def after(inputs: Inputs) -> dict[str, Tensor]:
            with self.running(TRAINING):
                self.subject.logits(inputs)
            return {name: buffer.clone() for name, buffer in self.subject.module.named_buffers()}

        def ask() -> bool:
            if not any(buffer.is_floating_point() for buffer in self.subject.module.buffers()):
                return False
            one, other = after(self.inputs), after(with_other_mates(self.inputs, 0, self.subject.words))
            return any(not torch.equal(one[name], other[name]) for name in one.keys() & other.keys())

        return self.once("keeps statistics", ask)

    @contextmanager
    def running(self, mode: Mode) -> Iterator[None]:
        """Within the context the module is in `mode`, its buffers are those of the start, and draws begin at one seed."""
        module = self.subject.module
        # Asking is cheaper than setting: the models of transformers have a slow `train`.
        if any(part.training != mode.training for part in module.modules()):
            module.train(mode.training)
        with torch.no_grad():
            for name, buffer in module.named_buffers():
                if name in self._state and buffer.shape == self._state[name].shape:
                    buffer.copy_(self._state[name])
        grad = torch.enable_grad() if mode.gradients else torch.no_grad()
        with seeded(3), grad:
            yield

    def unchanged(self, mode: Mode = EVALUATION) -> Tensor:
        """Return the scores of the unchanged inputs; computed once."""
        return self.once(("scores", mode), lambda: self.scores(self.inputs, mode))

    def once(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return the kept result for `key`; the first call computes it."""
        if key not in self._known:
            self._known[key] = compute()
        known: T = self._known[key]
        return known

    @property
    def is_finite(self) -> bool:
        """Whether all scores at real positions are finite; False also where the model raises."""

        def ask() -> bool:
            try:
                return bool(self.unchanged()[self.inputs.target.real].isfinite().all())
            except (RuntimeError, TypeError, ValueError, AssertionError, IndexError):
                return False

        return self.once("is finite", ask)

    @property
    def narrowest(self) -> torch.dtype:
        """Narrowest number format in which a pass computes."""

        def observe() -> torch.dtype:
            with NarrowestFormat() as seen:
                self.scores(self.inputs)
            found: torch.dtype = max(seen.dtype, self.dtype, key=lambda dtype: torch.finfo(dtype).eps)
            return found

        return self.once("narrowest", observe)

    def limit(self, *scores: Tensor) -> float:
        """Return how far rounding may move these scores."""
        eps = torch.finfo(self.narrowest).eps
        return ROUNDINGS * eps * max([1.0, *map(largest_score, scores)])

    def compare(self, variants: Sequence[Inputs], mode: Mode) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield, for every variant, the scores of the unchanged inputs and of the variant, at equal shapes.

        Variants pass the model together, and so do as many copies of the unchanged inputs, so that each variant has the
        same row of a pass of the same shape as its copy. Where a row's scores depend on the other rows, each passes alone.
        """
        before = self.unchanged(mode)
        if self.mixes_rows(mode):
            yield from ((before, self.scores(variant, mode)) for variant in variants)
            return
        # A pass holds about six arrays of the size of its scores.
        at_once = max(1, PASS_BYTES // (6 * before.numel() * before.itemsize))
        for start in range(0, len(variants), at_once):
            piece = list(variants[start : start + at_once])
            copies = self._copies(len(piece), mode)
            shape = (len(piece), *before.shape)
            yield from zip(copies.view(shape), self.scores(stack(piece), mode).view(shape), strict=True)

    def _copies(self, count: int, mode: Mode) -> Tensor:
        """Return the scores of so many copies of the unchanged inputs in one pass; computed once."""
        return self.once(("copies", mode, count), lambda: self.scores(stack([self.inputs] * count), mode))

    def mixes_rows(self, mode: Mode) -> bool:
        """Whether the scores of a row change when the other rows hold other tokens."""

        def ask() -> bool:
            changed = with_other_mates(self.inputs, 0, self.subject.words)
            before = self.unchanged(mode)
            return difference(self.scores(changed, mode)[0], before[0]) > self.limit(before)

        return self.once(("mixes rows", mode), ask)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within the context, torch and Python draw from this seed; afterwards both go on as if nothing had been drawn."""
    state = random.getstate()
    with torch.random.fork_rng(devices=[]):
        # `torch.manual_seed` looks for accelerators each time, which takes as long as a small pass.
        torch.default_generator.manual_seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(state)


def _generators() -> Hashable:
    """Return the states of torch's and Python's generator; some layers are skipped by Python's."""
    return torch.get_rng_state().numpy().tobytes(), random.getstate()


def make_inputs(subject: ModelSubject) -> Inputs:
    """Return the test sentences of a model: three rows of different lengths, or of one where it takes no padding.

    Raises:
        ValueError: the model takes only sequences that are too short to test.
    """

    def lengths(side: Side, wanted: tuple[int, ...]) -> tuple[int, ...]:
        m = subject.multiple
        longest = -(-wanted[0] // m) * m
        if longest > subject.max_length:
            longest = subject.max_length // m * m
        if longest < 4:
            raise ValueError(
                f"{subject.name} takes sequences of at most {subject.max_length} tokens in multiples of {m}; the "
                "proofs need 4"
            )
        if side not in subject.padding:
            return (longest,) * len(wanted)
        return tuple(max(2, longest - (wanted[0] - n)) for n in wanted)

    words, pad = subject.words, subject.pad
    target = make_tokens(lengths("target", TARGET_LENGTHS), words, pad, salt=1)
    if subject.kind != "encoder-decoder":
        return Inputs(target)
    return Inputs(target, make_tokens(lengths("source", SOURCE_LENGTHS), words, pad, salt=2))


@contextmanager
def quiet(module: nn.Module) -> Iterator[None]:
    """Within the context no dropout acts, whatever the mode: probabilities of the usual names are 0."""
    before: list[tuple[nn.Module, str, float]] = []
    for part in module.modules():
        for name in ("p", "dropout", "dropout_p", "attention_dropout", "attn_dropout", "activation_dropout"):
            value = getattr(part, name, None)
            if isinstance(value, float) and value > 0.0:
                before.append((part, name, value))
                setattr(part, name, 0.0)
    try:
        yield
    finally:
        for part, name, value in before:
            setattr(part, name, value)
