"""Proofs that scores do not depend on padding or on the other sentences of a batch.

If shapes are unchanged (other words in the padding, other sentences), scores must be bit-identical. If
shapes change (more padding, a sentence alone), the order of sums changes: the limit is 1e-10 in float64, and
in low precision the rounding error that accumulates over the model's layers.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor

from maskbench.audit.proofs.changes import (
    reorder_rows,
    single_pair,
    with_more_padding,
    with_other_mates,
    with_other_padding,
)
from maskbench.audit.proofs.leaks import EXACT, leak_limit, score_variants
from maskbench.audit.proofs.registry import ProofResult, proof
from maskbench.audit.subject import AuditCase, largest_difference
from maskbench.model_audit.rounding import largest_score

ROUNDINGS = 64
"""Allowed change in low precision if shapes change, in units in the last place of the largest score."""


def shape_limit(case: AuditCase, before: Tensor) -> float:
    """Return the largest allowed difference of scores if shapes change."""
    if case.dtype == torch.float64:
        return EXACT * max(1.0, largest_score(before))
    return ROUNDINGS * case.eps * max(1.0, largest_score(before))


def turns_on_rounding(case: AuditCase) -> str:
    """Return why low precision cannot decide if shapes change; an empty string if it can."""
    chooses = sorted({p.name for p in case.plan.placed if "input" in p.strategy.depends_on})
    if case.dtype == torch.float64 or not chooses:
        return ""
    return f"what {', '.join(chooses)} chooses may turn on a rounding; float64 decides"


@proof("padding content", "invariance", "both")
def padding_content(case: AuditCase) -> Iterable[ProofResult]:
    """Do answers stay when padding holds other words?"""
    for clock in case.clocks:
        before = case.unchanged(clock)
        changed = with_other_padding(case.batch, case.subject.sizes.vocab_size)
        moved = largest_difference(case.answers(case.model, changed, clock), before)
        yield ProofResult.at_most(moved, leak_limit(case, largest_score(before)), clock.phase)


@proof("padding amount", "invariance", "both")
def padding_amount(case: AuditCase) -> Iterable[ProofResult]:
    """Do answers stay when there is more padding?"""
    if reason := turns_on_rounding(case):
        yield ProofResult.skipped(reason)
        return
    batch, sizes = case.batch, case.subject.sizes
    spare = sizes.max_length - max(batch.src.shape[1], batch.tgt_in.shape[1])
    if spare < 1:
        yield ProofResult.skipped(f"the sentences fill all {sizes.max_length} positions")
        return
    for clock in case.clocks:
        before = case.unchanged(clock)
        src, tgt = min(3, spare), min(2, spare)
        after = case.answers(case.model, with_more_padding(batch, src, tgt), clock)
        moved = largest_difference(after[:, : before.shape[1]], before)
        detail = f"{clock.phase}: {src} source and {tgt} target columns more"
        yield ProofResult.at_most(moved, shape_limit(case, before), detail)


@proof("batch mates", "invariance", "both")
def batch_mates(case: AuditCase) -> Iterable[ProofResult]:
    """Do a sentence's answers stay when the others of its batch are others?"""
    rows = range(len(case.batch.ids))
    for clock in case.clocks:
        changed = ((row, with_other_mates(case.batch, row, case.subject.sizes.vocab_size)) for row in rows)
        for row, before, after in score_variants(
            case, case.model, changed, partial(case.answers, clock=clock)
        ):
            moved = largest_difference(after[row], before[row])
            yield ProofResult.at_most(
                moved, leak_limit(case, largest_score(before)), f"{clock.phase}: sentence {row}"
            )


@proof("batch order", "invariance", "both")
def batch_order(case: AuditCase) -> Iterable[ProofResult]:
    """Do a sentence's answers stay when it is in another row, or alone?"""
    if reason := turns_on_rounding(case):
        yield ProofResult.skipped(reason)
        return
    batch, clock = case.batch, case.subject.train
    before = case.unchanged(clock)
    order = torch.arange(len(batch.ids) - 1, -1, -1, device=batch.ids.device)
    moved = largest_difference(case.answers(case.model, reorder_rows(batch, order), clock), before[order])
    yield ProofResult.at_most(moved, shape_limit(case, before), "rows turned around")
    for row in range(len(batch.ids)):
        after = case.answers(case.model, single_pair(batch, row), clock)
        moved = largest_difference(after[0], before[row, : after.shape[1]])
        yield ProofResult.at_most(moved, shape_limit(case, before), f"sentence {row} alone")
