"""Proofs that no prediction depends on later target tokens.

Every offset is tried: a mean over a block of 64 tokens leaks from one position to 63 others, and a test of neighbours
finds one leak in 64.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from maskbench.model_audit.case import EVALUATION, MODES, Mode, ModelCase
from maskbench.model_audit.inputs import Inputs, PaddedTokens, other_words
from maskbench.model_audit.proofs.registry import Answer, Change, model_proof
from maskbench.model_audit.rounding import difference

ROUTED_DRAWS = "in training the number of random draws depends on the tokens, so passes cannot be compared"
_BIDIRECTIONAL = "the model does not promise to hide later tokens"


def changed_after(inputs: Inputs, words: tuple[int, int], place: int, *, alone: bool) -> Inputs:
    """Return the inputs with other words at target column `place`, and at all later ones unless `alone`."""
    target = inputs.target
    column = torch.arange(target.length)
    chosen = (column == place) if alone else (column >= place)
    new = other_words(target.ids, words, place)
    return inputs.change(
        "target", PaddedTokens(torch.where(chosen & target.real, new, target.ids), target.real)
    )


def moved_before(before: Tensor, after: Tensor, real: Tensor, place: int) -> tuple[float, int, int]:
    """Return the largest difference of scores at real positions before `place`, its row and its position."""
    apart = (before[:, :place] - after[:, :place]).abs().amax(-1)
    apart = torch.where(real[:, :place], apart.nan_to_num(nan=torch.inf, posinf=torch.inf), 0.0)
    worst = int(apart.argmax())
    return float(apart.max()), worst // place, worst % place


@model_proof("causality", "future")
def future_tokens(case: ModelCase) -> Iterable[Answer]:
    """Do predictions stay when later target tokens change, all of them and each alone?"""
    if not case.subject.causal:
        yield Answer.not_made(_BIDIRECTIONAL)
        return
    for mode in MODES:
        if mode.training and case.draws_depend_on_tokens():
            yield Answer.not_made(ROUTED_DRAWS)
            continue
        yield _largest_leak(case, mode)


def _largest_leak(case: ModelCase, mode: Mode) -> Answer:
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
    return Answer.at_most(moved, limit, said, found)


@model_proof("truncation", "future")
def truncation(case: ModelCase) -> Iterable[Answer]:
    """Do predictions stay when the target ends after them?"""
    subject, inputs = case.subject, case.inputs
    if not subject.causal:
        yield Answer.not_made(_BIDIRECTIONAL)
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
    yield Answer.at_most(worst, limit, said if worst > limit else "", found)


def _lengths(case: ModelCase) -> Iterator[int]:
    m = case.subject.multiple
    yield from range(m, case.inputs.target.length, m)


@model_proof("future gradients", "future")
def future_gradients(case: ModelCase) -> Iterable[Answer]:
    """Is the gradient of every prediction 0 in the vectors of later target tokens?"""
    if not case.subject.causal:
        yield Answer.not_made(_BIDIRECTIONAL)
        return
    from maskbench.model_audit.jacobian import jacobian

    found = jacobian(case)
    if isinstance(found, str):
        yield Answer.not_made(found)
        return
    if "target" not in found:
        yield Answer.not_made("the vectors of target tokens did not pass the modules that `embeddings` names")
        return
    strength = found["target"]
    real = case.inputs.target.real
    place = torch.arange(strength.shape[-1])
    later = (place[None, :] > place[:, None]) & real[:, :, None] & real[:, None, :]
    outside = torch.where(later, strength.nan_to_num(nan=torch.inf), 0.0)
    limit = case.limit() * max(1.0, float(strength.nan_to_num(nan=0.0).max()))
    value = float(outside.max())
    row, t, j = (int(n) for n in torch.unravel_index(outside.argmax(), outside.shape))
    said = (
        f"target token {j} has a gradient of {value:.2g} in the prediction at {t} (row {row})"
        if value > limit
        else ""
    )
    yield Answer.at_most(value, limit, said)


def unchanged_scores(case: ModelCase, mode: Mode, variant: Inputs) -> float:
    """Return how far a variant of the same shape moves scores at real positions."""
    before = case.unchanged(mode)
    return difference(case.scores(variant, mode)[case.inputs.target.real], before[case.inputs.target.real])
