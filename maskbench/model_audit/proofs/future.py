"""Proofs that no prediction depends on later target tokens.

Every offset is tried: a mean over a block of 64 tokens leaks from one position to 63 others, and a test of neighbours
finds one leak in 64.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from maskbench.model_audit.case import ModelCase
from maskbench.model_audit.comparable import comparable_modes, is_repeatable
from maskbench.model_audit.inputs import Inputs, other_words
from maskbench.model_audit.jacobian import gradients_at
from maskbench.model_audit.mode import Mode
from maskbench.model_audit.proofs.registry import Change, ProofResult, model_proof
from maskbench.model_audit.rounding import apart_at, by, largest_at

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
    tries = [(place, alone) for place in range(1, case.inputs.target.length) for alone in (True, False)]
    changed = changed_after(case.inputs, case.subject.words, 1, alone=False)
    found = [
        ProofResult.skipped(reason) if reason else largest_leak(case, mode, tries)
        for mode, reason in comparable_modes(case, changed)
    ]
    yield from found
    if all(answer.passed is not False for answer in found):
        yield from _leaks_of_marks(case)


def _leaks_of_marks(case: ModelCase) -> Iterator[ProofResult]:
    """Yield whether a later token that is a mark, such as one that separates or ends, moves a prediction."""
    inputs, first_word = case.inputs, case.subject.words[0]
    if not is_repeatable(case, case.evaluation) or not first_word:
        return
    place = inputs.target.length // 2
    here = torch.arange(inputs.target.length) == place
    ids = [torch.full_like(inputs.target.ids, mark) for mark in range(min(first_word, MARKS))]
    variants = [
        inputs.change("target", inputs.target.with_words(here & inputs.target.real, new)) for new in ids
    ]
    for mark, (variant, (before, after)) in enumerate(
        zip(variants, case.compare(variants, case.evaluation), strict=True)
    ):
        limit = case.limit(before, same_shape=True)
        moved, row, position = moved_before(before, after, inputs.target.real, place)
        what = f"changing target token {place} to id {mark}"
        said = case.evaluation.name
        if moved > limit:
            said += f": {what} moves the prediction at {position} {by(moved)}"
        yield ProofResult.at_most(
            moved, limit, said, Change(inputs, variant, row, position, what, case.evaluation)
        )


MARKS = 8
"""Number of ids below the first ordinary one that are tried."""


def largest_leak(case: ModelCase, mode: Mode, tries: Sequence[tuple[int, bool]]) -> ProofResult:
    """Return whether changes of target tokens move predictions before them.

    Args:
        tries: the first token that changes, and whether it changes alone or with all later ones.
    """
    inputs, words = case.inputs, case.subject.words
    variants = [changed_after(inputs, words, place, alone=alone) for place, alone in tries]
    worst: tuple[bool, float] = (False, 0.0)
    found, limit = None, 0.0
    for (place, alone), variant, (before, after) in zip(
        tries, variants, case.compare(variants, mode), strict=True
    ):
        limit = max(limit, case.limit(before, same_shape=True))
        moved, row, position = moved_before(before, after, inputs.target.real, place)
        # One changed token says more than many.
        rank = (alone and moved > limit, moved)
        if moved > 0.0 and rank > worst:
            what = f"changing target token {place}" if alone else f"changing target tokens from {place} on"
            worst, found = rank, Change(inputs, variant, row, position, what, mode)
    said, moved = mode.name, worst[1]
    if found is not None and moved > limit:
        said += f": {found.what} moves the prediction at {found.position} {by(moved)}"
    return ProofResult.at_most(moved, limit, said, found)


@model_proof("truncation", "future", needs="no draws")
def truncation(case: ModelCase) -> Iterable[ProofResult]:
    """Do predictions stay when the target ends after them?"""
    if not case.subject.causal:
        yield ProofResult.skipped(_BIDIRECTIONAL)
        return
    for mode in case.subject.settled_modes:
        m = case.subject.multiple
        yield largest_by_cutting(case, mode, range(m, case.inputs.target.length, m))


def largest_by_cutting(case: ModelCase, mode: Mode, lengths: Iterable[int]) -> ProofResult:
    """Return whether predictions move where the target ends after so many tokens."""
    inputs, whole = case.inputs, case.unchanged(mode)
    worst, found = 0.0, None
    for length in lengths:
        cut = inputs.change("target", inputs.target.columns(0, length))
        moved, row, position = moved_before(whole, case.scores(cut, mode), inputs.target.real, length)
        if moved > worst:
            what = f"cutting the target after {length} tokens"
            worst, found = moved, Change(inputs, cut, row, position, what, mode)
    said, limit = mode.name, case.limit(whole)
    if found is not None and worst > limit:
        said += f": {found.what} moves the prediction at {found.position} {by(worst)}"
    return ProofResult.at_most(worst, limit, said, found)


@model_proof("future gradients", "future")
def future_gradients(case: ModelCase) -> Iterable[ProofResult]:
    """Is the gradient of every prediction 0 in the vectors of later target tokens?"""
    if not case.subject.causal:
        yield ProofResult.skipped(_BIDIRECTIONAL)
        return
    real, place = case.inputs.target.real, torch.arange(case.inputs.target.length)
    later = (place > place[:, None]) & real[:, :, None] & real[:, None]
    yield gradients_at(case, "target", later, "target token")
