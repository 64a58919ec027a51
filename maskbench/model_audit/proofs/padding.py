"""Proofs that padding is not read: neither what it holds, nor how much there is, nor on which side it is."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from maskbench.model_audit.case import EVALUATION, MODES, Mode, ModelCase
from maskbench.model_audit.changes import with_more_padding, with_other_padding, with_shifted_start
from maskbench.model_audit.inputs import Inputs, Side
from maskbench.model_audit.jacobian import jacobian
from maskbench.model_audit.proofs.future import ROUTED_DRAWS
from maskbench.model_audit.proofs.registry import Answer, Change, model_proof


def _unpadded(case: ModelCase, side: Side) -> str:
    """Return why a side's padding cannot be tested; an empty string if it can."""
    if side not in case.subject.padding:
        return f"the model is not told what is {side} padding"
    return "" if case.inputs.of(side).has_padding else f"no row has {side} padding"


def _moved(case: ModelCase, before: Tensor, after: Tensor) -> tuple[float, int, int]:
    """Return the largest difference of scores at real positions, its row and position."""
    apart = (before - after).abs().amax(-1).nan_to_num(nan=torch.inf, posinf=torch.inf)
    apart = torch.where(case.inputs.target.real, apart, 0.0)
    row, position = (int(n) for n in torch.unravel_index(apart.argmax(), apart.shape))
    return float(apart.max()), row, position


def _answer(case: ModelCase, mode: Mode, changed: Inputs, after: Tensor, what: str) -> Answer:
    before = case.unchanged(mode)
    moved, row, position = _moved(case, before, after)
    limit = case.limit(before)
    said = f"{mode.name}: {what}"
    if moved > limit:
        said += f" moves the prediction at {position} of row {row} by {moved:.2g}"
    return Answer.at_most(moved, limit, said, Change(case.inputs, changed, row, position, what, mode))


@model_proof("padding content", "padding")
def padding_content(case: ModelCase) -> Iterable[Answer]:
    """Do predictions stay when padding holds other words?"""
    for side in case.inputs.sides:
        if reason := _unpadded(case, side):
            yield Answer.not_made(reason)
            continue
        changed = with_other_padding(case.inputs, side, case.subject.words)
        for mode in MODES:
            if mode.training and case.draws_depend_on_tokens():
                yield Answer.not_made(ROUTED_DRAWS)
                continue
            yield _answer(case, mode, changed, case.scores(changed, mode), f"other words in {side} padding")


@model_proof("padding amount", "padding")
def padding_amount(case: ModelCase) -> Iterable[Answer]:
    """Do predictions stay when there is more padding?"""
    subject, inputs = case.subject, case.inputs
    for side in inputs.sides:
        tokens = inputs.of(side)
        if side not in subject.padding:
            yield Answer.not_made(f"the model is not told what is {side} padding")
            continue
        spare = (subject.max_length - tokens.length) // subject.multiple * subject.multiple
        if spare < 1:
            yield Answer.not_made(f"the sentences fill all {subject.max_length} positions")
            continue
        more = min(spare, 3 * subject.multiple)
        changed = with_more_padding(inputs, side, more, subject.pad)
        # Dropout draws other numbers for other shapes, so the training mode cannot be compared.
        after = case.scores(changed, EVALUATION)[:, : inputs.target.length]
        yield _answer(case, EVALUATION, changed, after, f"{more} more columns of {side} padding")


@model_proof("padding side", "padding")
def padding_side(case: ModelCase) -> Iterable[Answer]:
    """Do predictions stay when padding comes before the tokens?"""
    subject, inputs = case.subject, case.inputs
    if not subject.left_padding:
        yield Answer.not_made("the model does not take padding before the tokens")
        return
    before = case.unchanged(EVALUATION)
    for side in inputs.sides:
        if reason := _unpadded(case, side):
            yield Answer.not_made(reason)
            continue
        changed = with_shifted_start(inputs, side)
        after = case.scores(changed, EVALUATION)
        if side == "target":
            moved_back = torch.zeros_like(after)
            moved_back[inputs.target.real] = after[changed.target.real]
            after = torch.where(inputs.target.real[..., None], moved_back, before)
        yield _answer(case, EVALUATION, changed, after, f"{side} padding on the left")


@model_proof("padding gradients", "padding")
def padding_gradients(case: ModelCase) -> Iterable[Answer]:
    """Is the gradient of every prediction 0 in the vectors of padding?"""
    found = jacobian(case)
    if isinstance(found, str):
        yield Answer.not_made(found)
        return
    real = case.inputs.target.real
    for side in case.inputs.sides:
        if reason := _unpadded(case, side):
            yield Answer.not_made(reason)
            continue
        if side not in found:
            yield Answer.not_made(
                f"the vectors of {side} tokens did not pass the modules that `embeddings` names"
            )
            continue
        strength = found[side]
        padding = real[:, :, None] & ~case.inputs.of(side).real[:, None, :]
        outside = torch.where(padding, strength.nan_to_num(nan=torch.inf), 0.0)
        limit = case.limit() * max(1.0, float(strength.nan_to_num(nan=0.0).max()))
        value = float(outside.max())
        row, t, j = (int(n) for n in torch.unravel_index(outside.argmax(), outside.shape))
        detail = f"{side} padding at {j} has a gradient of {value:.2g} in the prediction at {t} (row {row})"
        yield Answer.at_most(value, limit, detail if value > limit else side)
