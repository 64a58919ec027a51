"""Proof that an arm does something: its answers differ from those of the same model without its masks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch

from maskbench.audit.proofs.registry import ProofResult, proof
from maskbench.audit.subject import EXACT, AuditCase
from maskbench.masks.clock import Clock
from maskbench.model_audit.rounding import difference, largest_score

VISITS = 12
"""Number of draws of which a random mask must act in at least one."""


@proof("differs", "leaks", "both")
def mask_has_effect(case: AuditCase) -> Iterable[ProofResult]:
    """Does the arm do anything?"""
    subject = case.subject
    if not subject.placements:
        yield ProofResult.skipped("the arm has no masks")
        return
    if _claims_to_hide_nothing(case):
        yield ProofResult.skipped("it claims to keep every legal pair")
        return
    tries = [(case.batch, clock) for clock in (*case.clocks, *_other_visits(case))]
    if case.subject.longest is not None:
        tries.append((case.subject.longest.to(case.subject.device), case.subject.train))
    moved, least = 0.0, 0.0
    for batch, clock in tries:
        without = case.answers(case.plain, batch, clock)
        moved = difference(case.answers(case.model, batch, clock), without)
        # A difference within rounding does not count.
        least = EXACT * max(1.0, largest_score(without)) if case.dtype == torch.float64 else 0.0
        if moved > least:
            break
    if moved <= least and subject.kind == "arm" and _waits_for_an_occasion(case):
        yield ProofResult.skipped("nothing in the sentences tried gives it occasion to act")
        return
    yield ProofResult(
        moved > least, moved, least, "" if moved > least else "at least: nothing the model says changes"
    )


def _waits_for_an_occasion(case: AuditCase) -> bool:
    """Whether the arm may act only rarely: it reads corpus annotations or the input, or is random."""
    audited = case.plan.placed[: len(case.subject.placements)]
    rare = {"annotation", "input"}
    return any(rare & p.strategy.depends_on or p.strategy.stochastic for p in audited)


def _other_visits(case: AuditCase) -> list[Clock]:
    """Return later clocks for random arms, which may by chance hide nothing in a few sentences."""
    if not any(placed.strategy.stochastic for placed in case.plan.placed):
        return []
    train = case.subject.train
    return [replace(train, step=train.step + n, epoch=train.epoch + n) for n in range(1, VISITS)]


def _claims_to_hide_nothing(case: AuditCase) -> bool:
    """Whether every audited placement gives a density of 1 for sentences of the largest length."""
    placed, n = case.plan.placed[: len(case.subject.placements)], case.subject.sizes.max_length
    return all(p.strategy.density(p.options_at(case.subject.train), n, n) == 1.0 for p in placed)
