"""Proofs that a row's predictions do not depend on the other rows of its batch."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from maskbench.model_audit.case import EVALUATION, ModelCase
from maskbench.model_audit.changes import row_alone, with_other_mates
from maskbench.model_audit.proofs.registry import Change, ProofResult, model_proof
from maskbench.model_audit.rounding import difference


@model_proof("batch mates", "batch")
def batch_mates(case: ModelCase) -> Iterable[ProofResult]:
    """Do a row's predictions stay when the other rows hold other tokens?"""
    real = case.inputs.target.real
    for mode, reason in case.comparable_modes():
        if reason:
            yield ProofResult.skipped(reason)
            continue
        before = case.unchanged(mode)
        limit = case.limit(before)
        for row in range(case.inputs.batch):
            changed = with_other_mates(case.inputs, row, case.subject.words)
            after = case.scores(changed, mode)
            moved = difference(after[row][real[row]], before[row][real[row]])
            what = "other words in the other rows"
            said = f"{mode.name}: {what} move row {row} by {moved:.2g}" if moved > limit else mode.name
            yield ProofResult.at_most(moved, limit, said, Change(case.inputs, changed, row, 0, what, mode))


@model_proof("batch order", "batch")
def batch_order(case: ModelCase) -> Iterable[ProofResult]:
    """Do a row's predictions stay when it stands in another row?"""
    before, real = case.unchanged(EVALUATION), case.inputs.target.real
    rows = torch.arange(case.inputs.batch)
    # A model that reverses or rotates the rows gives the same scores in one of these orders. Each is its own inverse.
    for order in (rows.flip(0), torch.cat((rows[:2].flip(0), rows[2:]))):
        after = case.scores(case.inputs.rows(order), EVALUATION)[order]
        moved, limit = difference(after[real], before[real]), case.limit(before)
        yield ProofResult.at_most(
            moved, limit, f"rows in another order move scores by {moved:.2g}" if moved > limit else ""
        )


@model_proof("alone", "batch")
def alone(case: ModelCase) -> Iterable[ProofResult]:
    """Are a row's predictions those that it has alone, without padding?"""
    before = case.unchanged(EVALUATION)
    for row in range(case.inputs.batch):
        one = row_alone(case.inputs, row, case.subject.multiple)
        own = case.inputs.target.real[row]
        after = case.scores(one, EVALUATION)[0][one.target.real[0]]
        moved, limit = difference(after, before[row][own]), case.limit(before)
        said = f"row {row} alone has other scores, by {moved:.2g}" if moved > limit else ""
        yield ProofResult.at_most(moved, limit, said)
