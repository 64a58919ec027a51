"""Proof that all ways to ask a model give the same scores: cache on and off, embeddings for ids, labels, checkpointing."""

from __future__ import annotations

from collections.abc import Iterable

from maskbench.model_audit.case import ModelCase
from maskbench.model_audit.door import Door
from maskbench.model_audit.proofs.registry import ProofResult, model_proof, not_able
from maskbench.model_audit.proofs.ways import compare_ways


@model_proof("one function, many doors", "doors", needs="repeats")
def doors(case: ModelCase) -> Iterable[ProofResult]:
    """Do all ways to compute the scores give the same numbers?"""
    ways = case.subject.doors()
    if not ways:
        yield ProofResult.skipped("one way to compute the scores is known (`doors`)")
        return
    for name, way in ways.items():
        try:
            pair = (way.expected, way.compute) if isinstance(way, Door) else (case.subject.logits, way)
            before, after = (case.scores(case.inputs, compute=compute) for compute in pair)
        except Exception as error:  # whatever a model raises that does not have the door
            yield not_able(name, error)
            continue
        yield compare_ways(case, before, after, name, ways=pair)
