"""Proofs on extreme numbers: attention scores of any size stay masked, and rows without a key give finite scores."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from maskbench.model_audit.case import EVALUATION, ModelCase
from maskbench.model_audit.changes import with_other_padding
from maskbench.model_audit.inputs import Inputs, PaddedTokens
from maskbench.model_audit.proofs.future import changed_after, moved_before
from maskbench.model_audit.proofs.registry import ProofResult, model_proof
from maskbench.model_audit.rounding import difference

FACTORS = (10.0, 100.0, 1000.0)
"""Factors on all matrices of a model: attention scores grow with their square."""


@model_proof("large scores", "numbers")
def large_scores(case: ModelCase) -> Iterable[ProofResult]:
    """Does what is hidden stay hidden when attention scores are large?"""
    tried = False
    for factor in FACTORS:
        large = ModelCase(case.untouched, case.dtype, case.inputs)
        with torch.no_grad():
            for name, parameter in large.subject.module.named_parameters():
                if parameter.ndim >= 2 and "embed" not in name:
                    parameter.mul_(factor)
        before = large.unchanged(EVALUATION)
        if not bool(before[case.inputs.target.real].isfinite().all()):
            break
        tried = True
        yield from _leaks(large, factor)
    if not tried:
        yield ProofResult.skipped("scores overflow when the weights are larger")


def _leaks(large: ModelCase, factor: float) -> Iterable[ProofResult]:
    inputs, subject = large.inputs, large.subject
    words, real = subject.words, inputs.target.real
    before = large.unchanged(EVALUATION)
    limit = large.limit(before)
    if subject.causal:
        place = inputs.target.length // 2
        variant = changed_after(inputs, words, place, alone=False)
        moved, row, position = moved_before(before, large.scores(variant, EVALUATION), real, place)
        said = f"weights times {factor:g}: later target tokens"
        if moved > limit:
            said += f" move the prediction at {position} of row {row} by {moved:.2g}"
        yield ProofResult.at_most(moved, limit, said)
    for side in inputs.sides:
        if side in subject.padding and inputs.of(side).has_padding:
            changed = large.scores(with_other_padding(inputs, side, words), EVALUATION)
            moved = difference(changed[real], before[real])
            said = f"weights times {factor:g}: {side} padding" + (
                f" moves scores by {moved:.2g}" if moved > limit else ""
            )
            yield ProofResult.at_most(moved, limit, said)


@model_proof("empty rows", "numbers")
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
    after, before = case.scores(emptied, EVALUATION), case.unchanged(EVALUATION)
    bad = int((~after[inputs.target.real].isfinite()).sum())
    yield ProofResult.at_most(torch.inf if bad else 0.0, 0.0, f"{bad} scores are not finite" if bad else "")
    others = torch.arange(inputs.batch) != 1
    kept = inputs.target.real & others[:, None]
    moved, limit = difference(after[kept], before[kept]), case.limit(before)
    yield ProofResult.at_most(moved, limit, f"the other rows move by {moved:.2g}" if moved > limit else "")
