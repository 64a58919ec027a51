"""One model in one number format with its test inputs: computes scores in every mode, and keeps those asked for again."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maskbench.model_audit.changes import with_other_mates
from maskbench.model_audit.generators import seeded
from maskbench.model_audit.inputs import Inputs, Side, make_tokens, stack
from maskbench.model_audit.kept import KeepsResults
from maskbench.model_audit.mode import Mode
from maskbench.model_audit.rounding import (
    ROUNDINGS,
    NarrowestFormat,
    are_scores,
    difference,
    largest_score,
    without_fills,
)
from maskbench.model_audit.subject import ModelSubject
from maskbench.model_audit.widened import Widened, is_narrower

PASS_BYTES = 256 << 20
"""Largest size of a pass of several variants, in bytes, unless a single one needs more."""
SOURCE_LENGTHS, TARGET_LENGTHS = (9, 5, 7), (11, 8, 10)
"""Lengths of the test sentences in tokens. All sizes of a batch differ; an offset of 10 tokens is tried."""
SEED = 3
"""Every pass begins with the generators of random numbers at this seed."""


class ModelCallError(ValueError):
    """A model cannot be called as its subject does."""


def said_by(error: BaseException) -> str:
    """Return the kind and the first line of an error, and where it was raised if not in this package."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    is_own = Path(frame.filename).is_relative_to(Path(__file__).parent)
    where = "" if is_own else f" ({frame.filename}:{frame.lineno})"
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}{where}"


class ModelCase(KeepsResults):
    """A subject in one number format."""

    def __init__(self, subject: ModelSubject, dtype: torch.dtype, inputs: Inputs | None = None) -> None:
        super().__init__()
        self.untouched = subject
        """The subject that was given; its module is copied and never run."""
        self.subject = subject.converted(dtype)
        self.dtype = dtype
        self.inputs = make_inputs(subject) if inputs is None else inputs
        self.noise = 0.0
        """How far rounding is seen to move scores, where that is more than the usual allowance."""
        self._state = {name: buffer.clone() for name, buffer in self.subject.module.named_buffers()}

    @property
    def evaluation(self) -> Mode:
        """The mode of an evaluation."""
        return self.subject.settled_modes[-1]

    @property
    def training(self) -> Mode:
        """The mode of a training pass with dropout."""
        return next(mode for mode in self.subject.modes if mode.training)

    def scores(
        self, inputs: Inputs, mode: Mode | None = None, compute: Callable[[Inputs], Tensor] | None = None
    ) -> Float[Tensor, "batch len outputs"]:
        """Return the scores of one pass, in at least float32; the same draws in every pass, and the same buffers before it.

        Args:
            mode: None: the evaluation.
            compute: another way than `logits`.
        """
        with self.running(mode or self.evaluation):
            # A model may write into what it is given.
            found = (compute or self.subject.logits)(inputs.cloned())
        if not isinstance(found, Tensor):
            raise TypeError(f"scores are a tensor, and the model returned {type(found).__name__}")
        found = found.detach().cpu()
        return without_fills(found if found.dtype.itemsize >= 4 else found.float())

    def outputs(self, inputs: Inputs, mode: Mode) -> Float[Tensor, "batch len outputs"]:
        """Return what a row alone must decide, of one pass."""
        return self.scores(inputs, mode, self.subject.outputs)

    @contextmanager
    def running(self, mode: Mode) -> Iterator[None]:
        """Within the context the module is in `mode`, its buffers are those of the start, and draws begin at one seed.

        What the model computes in a narrower format is computed in that of its weights.
        """
        wide = Widened(self.dtype) if self._has_narrow_parts else nullcontext()
        with self.running_as_it_is(mode), wide:
            yield

    @property
    def _has_narrow_parts(self) -> bool:
        """Whether a model computes parts of itself in a narrower format than that of its weights."""

        def observe() -> bool:
            try:
                with self.running_as_it_is(self.evaluation), NarrowestFormat() as seen:
                    self.subject.logits(self.inputs)
            except Exception:  # the proofs say what a model raises
                return False
            return is_narrower(seen.dtype, self.dtype)

        knows_its_rounding = self.subject.rounding(1.0, same_shape=True) is not None
        return not knows_its_rounding and self.once("has narrow parts", observe)

    @contextmanager
    def running_as_it_is(self, mode: Mode) -> Iterator[None]:
        """Like `running`; what the model computes in a narrower format stays so."""
        module = self.subject.module
        self.subject.set_mode(mode)
        with torch.no_grad():
            for name, buffer in module.named_buffers():
                if name in self._state and buffer.shape == self._state[name].shape:
                    buffer.copy_(self._state[name])
        grad = torch.enable_grad() if mode.gradients else torch.no_grad()
        follows = self.subject.follows_default_dtype and self.dtype == torch.float64
        with seeded(SEED), grad, default_dtype(torch.float64 if follows else None):
            yield

    def unchanged(self, mode: Mode | None = None, *, outputs: bool = False) -> Tensor:
        """Return the scores of the unchanged inputs, or all outputs; computed once."""
        mode, compute = mode or self.evaluation, self._compute(outputs)
        return self.once(("scores", mode, compute), lambda: self.scores(self.inputs, mode, compute))

    def _compute(self, outputs: bool) -> Callable[[Inputs], Tensor]:
        return self.subject.outputs if outputs and self.subject.has_outputs else self.subject.logits

    @property
    def is_finite(self) -> bool:
        """Whether all real positions have scores (`are_scores`); False also where the model raises."""

        def ask() -> bool:
            try:
                return bool(are_scores(self.unchanged())[self.inputs.target.real].all())
            except Exception:  # whatever a model raises in a format that it was not written for
                return False

        return self.once("is finite", ask)

    def check_call(self) -> None:
        """Compute the scores once.

        Raises:
            ModelCallError: the model raises, or returns something else than scores at every position of the target.
        """
        tokens = self.inputs.target.ids
        called = f"{self.subject.name} cannot be called with ids {list(tokens.shape)}"
        try:
            found = self.unchanged()
        except (Exception, SystemExit) as error:
            raise ModelCallError(f"{called}: {said_by(error)}") from error
        if found.ndim != 3 or found.shape[:2] != tokens.shape:
            raise ModelCallError(
                f"{called}: it returned {list(found.shape)}, and scores at every position are "
                f"{[*tokens.shape, 'outputs']}"
            )

    @property
    def narrowest(self) -> torch.dtype:
        """Narrowest number format in which a pass computes."""

        def observe() -> torch.dtype:
            with NarrowestFormat() as seen:
                self.scores(self.inputs)
            found: torch.dtype = max(seen.dtype, self.dtype, key=lambda dtype: torch.finfo(dtype).eps)
            return found

        return self.once("narrowest", observe)

    def limit(self, *scores: Tensor, same_shape: bool = False) -> float:
        """Return how far rounding may move these scores.

        Args:
            same_shape: whether the passes that are compared have the same shape.
        """
        largest = max([1.0, *map(largest_score, scores)])
        own = self.subject.rounding(largest, same_shape=same_shape)
        if own is not None:
            return own
        return max(ROUNDINGS * torch.finfo(self.narrowest).eps * largest, self.noise)

    def compare(
        self, variants: Sequence[Inputs], mode: Mode, *, outputs: bool = False
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield, for every variant, the scores of the unchanged inputs and of the variant, at equal shapes.

        Variants pass the model together, and so do as many copies of the unchanged inputs, so that each variant has the
        same row of a pass of the same shape as its copy. Where a row's scores depend on the other rows, each passes alone.
        """
        before, compute = self.unchanged(mode, outputs=outputs), self._compute(outputs)
        if self.mixes_rows(mode):
            yield from ((before, self.scores(variant, mode, compute)) for variant in variants)
            return
        at_once = max(1, PASS_BYTES // self.subject.pass_bytes(self.inputs, before))
        for start in range(0, len(variants), at_once):
            piece = list(variants[start : start + at_once])
            same = stack([self.inputs] * len(piece))
            try:
                copies = self.once(
                    ("copies", mode, compute, len(piece)), partial(self.scores, same, mode, compute)
                )
            except Exception:  # a model may have room for few rows
                yield from ((before, self.scores(variant, mode, compute)) for variant in piece)
                continue
            after = self.scores(stack(piece), mode, compute)
            shape = (len(piece), *before.shape)
            yield from zip(copies.view(shape), after.view(shape), strict=True)

    def mixes_rows(self, mode: Mode) -> bool:
        """Whether the scores of a row change when the other rows hold other tokens, or when it stands elsewhere in a pass."""

        def ask() -> bool:
            before = self.unchanged(mode)
            limit = self.limit(before, same_shape=not self.subject.width_depends_on_rows)
            for row in range(self.inputs.batch):
                changed = with_other_mates(self.inputs, row, self.subject.words)
                if difference(self.scores(changed, mode)[row], before[row]) > limit:
                    return True
            # Dropout draws other numbers for more rows; where a row stands is asked without it.
            one = self.unchanged()
            try:
                again = self.scores(stack([self.inputs] * 2)).view(2, *one.shape)
            except Exception:  # a model may have room for few rows
                return True
            return difference(again, one.expand_as(again)) > self.limit(one)

        # Whether gradients are recorded is asked by a proof of its own.
        if mode.gradients and not mode.training and mode != self.evaluation:
            return self.mixes_rows(self.evaluation)
        return self.once(("mixes rows", mode), ask)


def make_inputs(
    subject: ModelSubject,
    source_lengths: tuple[int, ...] = SOURCE_LENGTHS,
    target_lengths: tuple[int, ...] = TARGET_LENGTHS,
) -> Inputs:
    """Return the test sentences of a model: its own, or rows of different lengths, or of one where it takes no padding.

    Args:
        source_lengths: of the rows, in tokens, the longest first; so far as the model takes them.
        target_lengths: likewise.

    Raises:
        ValueError: the model takes only sequences that are too short to test.
    """

    if subject.test_inputs is not None:
        return subject.test_inputs

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
    target = make_tokens(lengths("target", target_lengths), words, pad, salt=1)
    if subject.kind != "encoder-decoder":
        return Inputs(target)
    return Inputs(target, make_tokens(lengths("source", source_lengths), words, pad, salt=2))


@contextmanager
def default_dtype(dtype: torch.dtype | None) -> Iterator[None]:
    """Within the context, new tensors have this number format; None: the format is left as it is."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype or before)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


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
