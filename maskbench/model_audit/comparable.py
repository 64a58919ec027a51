"""Which passes of a model can be compared: draws of random numbers, statistics and state may forbid it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from maskbench.model_audit.case import ModelCase
from maskbench.model_audit.changes import with_other_mates
from maskbench.model_audit.generators import states
from maskbench.model_audit.inputs import Inputs, other_words
from maskbench.model_audit.mode import Mode
from maskbench.model_audit.rounding import difference

ROUTED_DRAWS = "in training the number of random draws depends on the tokens, so passes cannot be compared"
DIFFERENT_AGAIN = (
    "a pass after another gives other scores, though all generators start at one seed: it cannot be compared"
)
DRAWS_ANYWAY = "an evaluation draws random numbers, other ones where shapes or formats differ"
STATISTICS = "in training the model keeps statistics over all rows, so rows and positions read one another"


def draws_of(case: ModelCase, inputs: Inputs, mode: Mode) -> tuple[object, ...]:
    """Return the states of the generators after a pass: they tell how many numbers the pass drew."""
    with case.running(mode):
        case.subject.logits(inputs)
        return states()


def draws_numbers(case: ModelCase, mode: Mode) -> bool:
    """Whether a pass draws random numbers."""
    with case.running(mode):
        start = states()
    return draws_of(case, case.inputs, mode) != start


def draws_depend_on_tokens(case: ModelCase, mode: Mode) -> bool:
    """Whether other tokens make a pass draw more or fewer numbers; then all later draws are others as well."""

    def ask() -> bool:
        words, inputs = case.subject.words, case.inputs
        for side in inputs.sides:
            tokens = inputs.of(side)
            new = tokens.with_words(tokens.real, other_words(tokens.ids, words, 1))
            changed = inputs.change(side, new)
            if _draws_otherwise(case, changed, mode):
                return True
        return False

    return case.once(("draws depend on tokens", mode), ask)


def _draws_otherwise(case: ModelCase, changed: Inputs, mode: Mode) -> bool:
    """Whether a pass of changed inputs draws more or fewer numbers than one of the unchanged."""
    before = case.once(("draws", mode), lambda: draws_of(case, case.inputs, mode))
    return draws_of(case, changed, mode) != before


def comparable_modes(case: ModelCase, changed: Inputs) -> Iterator[tuple[Mode, str]]:
    """Yield every mode and why its passes cannot be compared; an empty text if they can.

    Where a training pass of the changed inputs draws more or fewer numbers, the same mode without dropout takes its place,
    if the model has it.
    """
    for mode in case.subject.modes:
        without = replace(mode, training=False)
        if not is_repeatable(case, mode):
            yield mode, f"{mode.name}: {DIFFERENT_AGAIN}"
        elif mode.training and keeps_statistics(case):
            yield mode, STATISTICS
        elif not mode.training or not (
            draws_depend_on_tokens(case, mode) or _draws_otherwise(case, changed, mode)
        ):
            yield mode, ""
        elif without in case.subject.settled_modes:
            yield without, ""
        else:
            yield mode, ROUTED_DRAWS


def is_repeatable(case: ModelCase, mode: Mode) -> bool:
    """Whether a pass gives the same scores after one of other tokens.

    Not so where a model counts its passes, keeps what it has read, or has a generator of its own.
    """

    def ask() -> bool:
        before, target = case.unchanged(mode), case.inputs.target
        new = target.with_words(target.real, other_words(target.ids, case.subject.words, 2))
        case.scores(case.inputs.change("target", new), mode)
        # What is no number both times repeats.
        moved = difference(case.scores(case.inputs, mode).nan_to_num(), before.nan_to_num())
        return moved <= case.limit(before, same_shape=True)

    # Whether gradients are recorded is asked by a proof of its own.
    if mode.gradients and not mode.training and mode != case.evaluation:
        return is_repeatable(case, case.evaluation)
    return case.once(("repeats", mode), ask)


def keeps_statistics(case: ModelCase) -> bool:
    """Whether a training pass writes what depends on the tokens into buffers, as batch norm does."""

    def after(inputs: Inputs) -> dict[str, Tensor]:
        with case.running(case.training):
            case.subject.logits(inputs)
        return {name: buffer.clone() for name, buffer in case.subject.module.named_buffers()}

    def ask() -> bool:
        if not any(buffer.is_floating_point() for buffer in case.subject.module.buffers()):
            return False
        one, other = after(case.inputs), after(with_other_mates(case.inputs, 0, case.subject.words))
        return any(not torch.equal(one[name], other[name]) for name in one.keys() & other.keys())

    return case.once("keeps statistics", ask)
