"""Proofs that padding is not read: neither what it holds, nor how much there is, nor on which side it is."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from maskbench.model_audit.case import ModelCase
from maskbench.model_audit.changes import with_more_padding, with_other_padding, with_shifted_start
from maskbench.model_audit.comparable import comparable_modes
from maskbench.model_audit.inputs import Inputs, Side
from maskbench.model_audit.jacobian import gradients_at
from maskbench.model_audit.mode import Mode
from maskbench.model_audit.proofs.registry import Change, ProofResult, model_proof
from maskbench.model_audit.rounding import apart_at, by, largest_at

NOT_TOLD = "the audit does not tell the model what is {} padding (`padding` of its subject)"
NOT_ON_THE_LEFT = "it is not said that padding may come before the tokens (`left_padding` of its subject)"


def _unpadded(case: ModelCase, side: Side) -> str:
    """Return why a side's padding cannot be tested; an empty string if it can."""
    if side not in case.subject.padding:
        return NOT_TOLD.format(side)
    return "" if case.inputs.of(side).has_padding else f"no row has {side} padding"


def _answer(
    case: ModelCase, mode: Mode, changed: Inputs, after: Tensor, what: str, *, same_shape: bool
) -> ProofResult:
    before = case.unchanged(mode, outputs=True)
    moved, row, position = largest_at(apart_at(before, after, case.inputs.target.real))
    limit = case.limit(before, same_shape=same_shape)
    said = f"{mode.name}: {what}"
    if moved > limit:
        said += f" moves the prediction at {position} of row {row} {by(moved)}"
    return ProofResult.at_most(moved, limit, said, Change(case.inputs, changed, row, position, what, mode))


@model_proof("padding content", "padding")
def padding_content(case: ModelCase) -> Iterable[ProofResult]:
    """Do predictions stay when padding holds other words?"""
    for side in case.inputs.sides:
        if reason := _unpadded(case, side):
            yield ProofResult.skipped(reason)
            continue
        changed = with_other_padding(case.inputs, side, case.subject.words)
        for mode, routed in comparable_modes(case, changed):
            if routed:
                yield ProofResult.skipped(routed)
                continue
            what = f"other words in {side} padding"
            yield _answer(case, mode, changed, case.outputs(changed, mode), what, same_shape=True)


@model_proof("padding amount", "padding", needs="no draws")
def padding_amount(case: ModelCase) -> Iterable[ProofResult]:
    """Do predictions stay when there is more padding?"""
    subject, inputs = case.subject, case.inputs
    for side in inputs.sides:
        tokens = inputs.of(side)
        if side not in subject.padding:
            yield ProofResult.skipped(NOT_TOLD.format(side))
            continue
        spare = (subject.max_length - tokens.length) // subject.multiple * subject.multiple
        if spare < 1:
            yield ProofResult.skipped(f"the sentences fill all {subject.max_length} positions")
            continue
        more = min(spare, 3 * subject.multiple)
        changed = with_more_padding(inputs, side, more, subject.pad)
        what = f"{more} more columns of {side} padding"
        # Dropout draws other numbers for other shapes, so the modes that have it cannot be compared.
        for mode in subject.settled_modes:
            after = case.outputs(changed, mode)[:, : inputs.target.length]
            yield _answer(case, mode, changed, after, what, same_shape=False)


@model_proof("padding side", "padding", needs="no draws")
def padding_side(case: ModelCase) -> Iterable[ProofResult]:
    """Do predictions stay when padding comes before the tokens?"""
    subject, inputs = case.subject, case.inputs
    if not subject.left_padding:
        yield ProofResult.skipped(NOT_ON_THE_LEFT)
        return
    before = case.unchanged(outputs=True)
    for side in inputs.sides:
        if reason := _unpadded(case, side):
            yield ProofResult.skipped(reason)
            continue
        shifted = with_shifted_start(inputs, side)
        for changed, what in (
            (shifted, f"{side} padding on the left"),
            (with_other_padding(shifted, side, subject.words), f"other words in {side} padding on the left"),
        ):
            after = case.outputs(changed, case.evaluation)
            if side == "target":
                moved_back = torch.zeros_like(after)
                moved_back[inputs.target.real] = after[changed.target.real]
                after = torch.where(inputs.target.real[..., None], moved_back, before)
            yield _answer(case, case.evaluation, changed, after, what, same_shape=False)


@model_proof("padding gradients", "padding")
def padding_gradients(case: ModelCase) -> Iterable[ProofResult]:
    """Is the gradient of every prediction 0 in the vectors of padding?"""
    real = case.inputs.target.real
    for side in case.inputs.sides:
        if reason := _unpadded(case, side):
            yield ProofResult.skipped(reason)
            continue
        padding = real[:, :, None] & ~case.inputs.of(side).real[:, None]
        yield gradients_at(case, side, padding, f"{side} padding at")
