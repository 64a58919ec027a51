"""Proof that all ways to ask a model give the same scores: cache on and off, embeddings for ids, labels, checkpointing."""

from __future__ import annotations

from collections.abc import Iterable

from maskbench.model_audit.case import ModelCase
from maskbench.model_audit.door import Door
from maskbench.model_audit.proofs.registry import ProofResult, model_proof, not_able
from maskbench.model_audit.rounding import by, difference


@model_proof("one function, many doors", "doors")
def doors(case: ModelCase) -> Iterable[ProofResult]:
    """Do all ways to compute the scores give the same numbers?"""
    ways = case.subject.doors()
    if not ways:
        yield ProofResult.skipped("one way to compute the scores is known (`doors`)")
        return
    real = case.inputs.target.real
    for name, way in ways.items():
        try:
            if isinstance(way, Door):
                before, after = (case.scores(case.inputs, compute=f) for f in (way.expected, way.compute))
            else:
                before, after = case.unchanged(), case.scores(case.inputs, compute=way)
        except (RuntimeError, TypeError, ValueError, AttributeError, AssertionError) as error:
            yield not_able(name, error)
            continue
        moved, limit = difference(after[real], before[real]), case.limit(before)
        yield ProofResult.at_most(
            moved, limit, f"{name}: scores differ {by(moved)}" if moved > limit else name
        )
