"""Proofs that a row's predictions do not depend on the other rows of its batch."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from maskbench.model_audit.case import ModelCase
from maskbench.model_audit.changes import row_alone, with_other_mates
from maskbench.model_audit.comparable import STATISTICS, comparable_modes
from maskbench.model_audit.mode import Mode
from maskbench.model_audit.proofs.registry import Change, ProofResult, model_proof, not_able
from maskbench.model_audit.rounding import by, difference


@model_proof("batch mates", "batch")
def batch_mates(case: ModelCase) -> Iterable[ProofResult]:
    """Do a row's predictions stay when the other rows hold other tokens?"""
    real = case.inputs.target.real
    changes = [with_other_mates(case.inputs, row, case.subject.words) for row in range(case.inputs.batch)]
    for mode, reason in comparable_modes(case, changes[0]):
        # Statistics over all rows are what this proof looks for; the other proofs do not blame them on tokens.
        if reason and reason != STATISTICS:
            yield ProofResult.skipped(reason)
            continue
        compared = case.compare(changes, mode, outputs=True)
        for row, (changed, (before, after)) in enumerate(zip(changes, compared, strict=True)):
            limit = case.limit(before, same_shape=not case.subject.width_depends_on_rows)
            moved = difference(after[row][real[row]], before[row][real[row]])
            what = "other words in the other rows"
            said = f"{mode.name}: {what} move row {row} {by(moved)}" if moved > limit else mode.name
            if reason and moved > limit:
                said += f"; {reason}"
            yield ProofResult.at_most(moved, limit, said, Change(case.inputs, changed, row, 0, what, mode))


WIDE = 4
"""Number of times that every row stands in a wide batch."""


@model_proof("batch order", "batch", needs="no draws")
def batch_order(case: ModelCase) -> Iterable[ProofResult]:
    """Do a row's predictions stay when it stands in another row, or in a batch of more rows?"""
    rows, real = torch.arange(case.inputs.batch), case.inputs.target.real
    for mode in case.subject.settled_modes:
        before = case.unchanged(mode, outputs=True)
        # A model that reverses or rotates the rows gives the same scores in one of these orders. Each is its own inverse.
        for order in (rows.flip(0), torch.cat((rows[:2].flip(0), rows[2:]))):
            after = case.outputs(case.inputs.rows(order), mode)[order]
            moved, limit = difference(after[real], before[real]), case.limit(before)
            said = (
                f"rows in another order move scores {by(moved)}"
                if moved > limit
                else f"rows {order.tolist()}"
            )
            yield ProofResult.at_most(moved, limit, f"{mode.name}: {said}")
        many = rows.repeat(WIDE)
        try:
            after = case.outputs(case.inputs.rows(many), mode)
        except Exception as error:  # a model may have room for few rows
            yield not_able(f"{len(many)} rows", error)
            continue
        moved, limit = difference(after[real[many]], before[many][real[many]]), case.limit(before)
        said = f"in a batch of {len(many)} rows" + (f", scores move {by(moved)}" if moved > limit else "")
        yield ProofResult.at_most(moved, limit, f"{mode.name}: {said}")


def moved_alone(case: ModelCase, row: int, mode: Mode) -> tuple[float, float]:
    """Return how far a row's outputs are from those that it has alone, and how far rounding may move them."""
    before = case.unchanged(mode, outputs=True)
    one = row_alone(case.inputs, row, case.subject.multiple)
    after = case.outputs(one, mode)[0][one.target.real[0]]
    return difference(after, before[row][case.inputs.target.real[row]]), case.limit(before)


@model_proof("alone", "batch", needs="no draws")
def alone(case: ModelCase) -> Iterable[ProofResult]:
    """Are a row's predictions those that it has alone, without padding?"""
    for mode in case.subject.settled_modes:
        for row in range(case.inputs.batch):
            moved, limit = moved_alone(case, row, mode)
            said = f"row {row} alone" + (f" has other scores, {by(moved)}" if moved > limit else "")
            yield ProofResult.at_most(moved, limit, f"{mode.name}: {said}")
