"""Proof that a model reads what its declared structure allows, and no more: a window, a prefix, packed documents."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from maskbench.model_audit.case import ModelCase
from maskbench.model_audit.proofs.future import changed_after
from maskbench.model_audit.proofs.registry import Change, ProofResult, model_proof
from maskbench.model_audit.rounding import apart_at, by, largest_at


@model_proof("declared structure", "future", needs="repeats")
def declared_structure(case: ModelCase) -> Iterable[ProofResult]:
    """Does every prediction read only the target tokens that the declared structure lets it read?"""
    subject, inputs = case.subject, case.inputs
    if subject.may_read is None:
        yield ProofResult.skipped("no structure is declared (`may_read`)")
        return
    n = inputs.target.length
    allowed = subject.may_read(n)
    variants = [changed_after(inputs, subject.words, place, alone=True) for place in range(n)]
    worst, found, limit, unread = 0.0, None, 0.0, []
    for place, (variant, (before, after)) in enumerate(
        zip(variants, case.compare(variants, case.evaluation), strict=True)
    ):
        limit = max(limit, case.limit(before))
        apart = apart_at(before, after, inputs.target.real)
        value, row, position = largest_at(torch.where(allowed[:, place], 0.0, apart))
        if value > worst:
            kept = tuple((~allowed[:, place]).nonzero().flatten().tolist())
            what = f"changing target token {place}"
            worst, found = value, Change(inputs, variant, row, position, what, case.evaluation, kept)
        inside = allowed[:, place] & (torch.arange(n) != place)
        unread += [
            (place, t) for t in inside.nonzero().flatten().tolist() if not bool((apart[:, t] > 0).any())
        ]
    said = ""
    if found is not None and worst > limit:
        said = f"{found.what} moves the prediction at {found.position} {by(worst)}, which must not read it"
    yield ProofResult.at_most(worst, limit, said, found)
    said = (
        f"the prediction at {unread[0][1]} does not read token {unread[0][0]}, which it may" if unread else ""
    )
    yield ProofResult.at_most(float(len(unread)), 0.0, said)
