"""Proof that what may be read is read. A model that reads nothing passes every proof of a leak."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from maskbench.model_audit.case import ModelCase
from maskbench.model_audit.inputs import Side, other_words
from maskbench.model_audit.proofs.registry import ProofResult, model_proof
from maskbench.model_audit.subject import ModelSubject

SMALLER = (0.1, 0.01)
"""Factors on all matrices at which tokens are looked at again that move nothing."""


def other_weights(subject: ModelSubject) -> str:
    """Return the end of a sentence that says which weights were changed; empty: none."""
    n = len(subject.awakened)
    return f", with other values in {n} parameter{'s that are' if n > 1 else ' that is'} 0" if n else ""


def unread(case: ModelCase, side: Side) -> tuple[list[tuple[int, int]], int]:
    """Return the row and column of every real token of one side that moves no prediction that may read it.

    And the number of tokens that some prediction may read.
    """
    return case.once(("unread", side), lambda: _unread(case, side))


def _unread(case: ModelCase, side: Side) -> tuple[list[tuple[int, int]], int]:
    inputs, subject = case.inputs, case.subject
    tokens = inputs.of(side)
    columns = range(tokens.length)
    variants = []
    for place in columns:
        chosen = (torch.arange(tokens.length) == place) & tokens.real
        new = other_words(tokens.ids, subject.words, place)
        variants.append(inputs.change(side, tokens.with_words(chosen, new)))
    left, total = [], 0
    for place, (before, after) in zip(columns, case.compare(variants, case.evaluation), strict=True):
        moved = (before != after).any(-1) & inputs.target.real
        asked = tokens.real[:, place].clone()
        if side == "target" and subject.causal:
            # A token's own prediction reads it in any case; that a later one does is the promise.
            moved[:, : place + 1] = False
            asked &= inputs.target.real[:, place + 1 :].any(1)
        if side == "target" and subject.may_read is not None:
            others = subject.may_read(tokens.length)[:, place] & (torch.arange(tokens.length) != place)
            asked &= (inputs.target.real & others).any(1)
        left += [(int(row), place) for row in (asked & ~moved.any(1)).nonzero().flatten()]
        total += int(asked.sum())
    return left, total


@model_proof("reach", "reach")
def reach(case: ModelCase) -> Iterable[ProofResult]:
    """Does every earlier target token and every real source token move some prediction?"""
    if not case.unchanged().is_floating_point():
        yield ProofResult.skipped("the scores are whole numbers: what is read need not change them")
        return
    for side in case.inputs.sides:
        left, total = unread(case, side)
        for factor in SMALLER if left else ():
            # A softmax that is 0 or 1 to the last digit moves nothing; at some weights, what may be read is.
            soft = ModelCase(case.untouched, case.dtype, case.inputs)
            soft.subject.enlarge(factor)
            left = [place for place in left if place in set(unread(soft, side)[0])]
        said = f"{side}: all {total} tokens are read"
        if not left:
            said += other_weights(case.subject)
        if left:
            row, place = left[0]
            said = (
                f"{side}: {len(left)} of {total} tokens move nothing, the first is token {place} of row {row}"
            )
            if len(left) == total:
                said += "; a proof that nothing leaks from this side says nothing"
        yield ProofResult.at_most(float(len(left)), 0.0, said)
