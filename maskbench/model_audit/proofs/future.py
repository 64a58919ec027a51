"""Proofs that no prediction depends on later target tokens.

Every offset is tried: a mean over a block of 64 tokens leaks from one position to 63 others, and a test of neighbours
finds one leak in 64.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from maskbench.model_audit.case import EVALUATION, Mode, ModelCase
from maskbench.model_audit.inputs import Inputs, other_words
from maskbench.model_audit.jacobian import gradients_at
from maskbench.model_audit.proofs.registry import Change, ProofResult, model_proof
from maskbench.model_audit.rounding import apart_at, largest_at

_BIDIRECTIONAL = "the model does not promise to hide later tokens"


def changed_after(inputs: Inputs, words: tuple[int, int], place: int, *, alone: bool) -> Inputs:
    """Return the inputs with other words at target column `place`, and at all later ones unless `alone`."""
    target = inputs.target
    column = torch.arange(target.length)
    chosen = (column == place) if alone else (column >= place)
    new = other_words(target.ids, words, place)
    return inputs.change("target", target.with_words(chosen & target.real, new))


def moved_before(before: Tensor, after: Tensor, real: Tensor, place: int) -> tuple[float, int, int]:
    """Return the largest difference of scores at real positions before `place`, its row and its position."""
    return largest_at(apart_at(before[:, :place], after[:, :place], real[:, :place]))


@model_proof("causality", "future")
def future_tokens(case: ModelCase) -> Iterable[ProofResult]:
    """Do predictions stay when later target tokens change, all of them and each alone?"""
    if not case.subject.causal:
        yield ProofResult.skipped(_BIDIRECTIONAL)
        return
    for mode, reason in case.comparable_modes():
        yield ProofResult.skipped(reason) if reason else _largest_leak(case, mode)


def _largest_leak(case: ModelCase, mode: Mode) -> ProofResult:
    inputs, words = case.inputs, case.subject.words
    tries = [(place, alone) for place in range(1, inputs.target.length) for alone in (True, False)]
    variants = [changed_after(inputs, words, place, alone=alone) for place, alone in tries]
    worst: tuple[bool, float] = (False, 0.0)
    found, limit = None, 0.0
    for (place, alone), variant, (before, after) in zip(
        tries, variants, case.compare(variants, mode), strict=True
    ):
        limit = max(limit, case.limit(before))
        moved, row, position = moved_before(before, after, inputs.target.real, place)
        # One changed token says more than many.
        rank = (alone and moved > limit, moved)
        if moved > 0.0 and rank > worst:
            what = f"changing target token {place}" if alone else f"changing target tokens from {place} on"
            worst, found = rank, Change(inputs, variant, row, position, what, mode)
    said, moved = mode.name, worst[1]
    if found is not None and moved > limit:
        said += f": {found.what} moves the prediction at {found.position} by {moved:.2g}"
    return ProofResult.at_most(moved, limit, said, found)


@model_proof("truncation", "future")
def truncation(case: ModelCase) -> Iterable[ProofResult]:
    """Do predictions stay when the target ends after them?"""
    subject, inputs = case.subject, case.inputs
    if not subject.causal:
        yield ProofResult.skipped(_BIDIRECTIONAL)
        return
    whole = case.unchanged(EVALUATION)
    worst, found = 0.0, None
    for length in _lengths(case):
        cut = inputs.change("target", inputs.target.columns(0, length))
        left = case.scores(cut, EVALUATION)
        moved, row, position = moved_before(whole, left, inputs.target.real, length)
        if moved > worst:
            worst, found = (
                moved,
                Change(inputs, cut, row, position, f"cutting the target after {length} tokens"),
            )
    said = "" if found is None else f"{found.what} moves the prediction at {found.position} by {worst:.2g}"
    limit = case.limit(whole)
    yield ProofResult.at_most(worst, limit, said if worst > limit else "", found)


def _lengths(case: ModelCase) -> Iterator[int]:
    m = case.subject.multiple
    yield from range(m, case.inputs.target.length, m)


@model_proof("future gradients", "future")
def future_gradients(case: ModelCase) -> Iterable[ProofResult]:
    """Is the gradient of every prediction 0 in the vectors of later target tokens?"""
    if not case.subject.causal:
        yield ProofResult.skipped(_BIDIRECTIONAL)
        return
    real, place = case.inputs.target.real, torch.arange(case.inputs.target.length)
    later = (place > place[:, None]) & real[:, :, None] & real[:, None]
    yield gradients_at(case, "target", later, "target token")
