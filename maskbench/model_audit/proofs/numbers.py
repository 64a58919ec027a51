"""Proofs on extreme numbers: attention scores of any size stay masked, and rows without a key give finite scores."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from maskbench.model_audit.case import ModelCase
from maskbench.model_audit.changes import with_other_padding
from maskbench.model_audit.inputs import Inputs, PaddedTokens
from maskbench.model_audit.mode import Mode
from maskbench.model_audit.proofs.future import changed_after, moved_before
from maskbench.model_audit.proofs.registry import ProofResult, model_proof
from maskbench.model_audit.rounding import are_scores, by, difference

AMPLIFIED = 100
"""How many times the usual allowance rounding may move a score where weights are larger."""
LARGEST_ATTENTION_SCORE = 1e8
"""A factor that makes larger attention scores says nothing: no model has them, and a fill of -1e9 is meant to be below all."""


@model_proof("large scores", "numbers", needs="repeats")
def large_scores(case: ModelCase) -> Iterable[ProofResult]:
    """Does what is hidden stay hidden when attention scores are large?"""
    found: list[ProofResult] = []
    for factor in case.subject.enlargements:
        large = ModelCase(case.untouched, case.dtype, case.inputs)
        large.subject.enlarge(factor)
        if not large.is_finite or _largest_softmax_input(large) > LARGEST_ATTENTION_SCORE:
            break
        for mode in case.subject.settled_modes:
            # Larger weights mix no rows that these do not.
            large.once(("mixes rows", mode), partial(case.mixes_rows, mode))
        found += _leaks(large, factor)
    if not found:
        yield ProofResult.skipped("scores overflow when the weights are larger")
    elif any(a.passed is False for a in found) and any(a.passed is False for a in _leaks(case, 1.0)):
        yield ProofResult.skipped("what is hidden is read at the model's own scale already")
    else:
        yield from found


class _SoftmaxInputs(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within the context, notes the largest number of which a softmax was computed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.largest = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and look at its input."""
        if func in (torch.ops.aten._softmax.default, torch.ops.aten._safe_softmax.default):
            self.largest = max(self.largest, float(args[0].max()))
        return func(*args, **(kwargs or {}))


def _largest_softmax_input(case: ModelCase) -> float:
    with _SoftmaxInputs() as seen:
        case.scores(case.inputs)
    return float(seen.largest)


def _leaks(large: ModelCase, factor: float) -> Iterable[ProofResult]:
    inputs, subject = large.inputs, large.subject
    for mode in subject.settled_modes:
        before, said = large.unchanged(mode), f"{mode.name}, weights times {factor:g}"
        # Larger weights amplify rounding; what uncovers a hidden token moves scores by far more.
        limit = AMPLIFIED * large.limit(before, same_shape=True)
        if subject.causal:
            yield _future(large, mode, limit, said)
        for side in inputs.sides:
            if side in subject.padding and inputs.of(side).has_padding:
                after = large.scores(with_other_padding(inputs, side, subject.words), mode)
                moved = difference(after[inputs.target.real], before[inputs.target.real])
                found = f": {side} padding moves scores {by(moved)}" if moved > limit else ""
                yield ProofResult.at_most(moved, limit, said + found)


def _future(large: ModelCase, mode: Mode, limit: float, said: str) -> ProofResult:
    """Return whether later target tokens move a prediction; in each of some copies, those after one position change."""
    inputs, worst = large.inputs, (0.0, 0, 0)
    places = range(1, inputs.target.length)
    variants = [changed_after(inputs, large.subject.words, place, alone=False) for place in places]
    for place, (before, after) in zip(places, large.compare(variants, mode), strict=True):
        worst = max(worst, moved_before(before, after, inputs.target.real, place))
    moved, row, position = worst
    found = f": later target tokens move the prediction at {position} of row {row} {by(moved)}"
    return ProofResult.at_most(moved, limit, said + (found if moved > limit else ""))


@model_proof("empty rows", "numbers", needs="repeats")
def empty_rows(case: ModelCase) -> Iterable[ProofResult]:
    """Are scores finite when a row's source is all padding, and the other rows' scores as before?"""
    inputs, subject = case.inputs, case.subject
    if inputs.source is None or "source" not in subject.padding:
        yield ProofResult.skipped("the model has no source with padding")
        return
    real = inputs.source.real.clone()
    real[1] = False
    ids = torch.where(real, inputs.source.ids, subject.pad)
    emptied = Inputs(inputs.target, PaddedTokens(ids, real))
    after, before = case.scores(emptied), case.unchanged()
    bad = int((~are_scores(after)[inputs.target.real]).sum())
    said = f"the scores of {bad} predictions are not finite" if bad else ""
    yield ProofResult.at_most(float(bad), 0.0, said)
    others = torch.arange(inputs.batch) != 1
    kept = inputs.target.real & others[:, None]
    moved, limit = difference(after[kept], before[kept]), case.limit(before)
    yield ProofResult.at_most(moved, limit, f"the other rows move {by(moved)}" if moved > limit else "")
