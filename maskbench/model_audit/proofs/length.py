"""Proof that long sentences keep the promises of short ones.

A model that computes in chunks of 16 or 64 tokens, or keeps a buffer of a fixed length, is another model where a sentence is
longer than that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

from maskbench.model_audit.case import TARGET_LENGTHS, ModelCase
from maskbench.model_audit.inputs import Inputs, PaddedTokens, Side, make_tokens
from maskbench.model_audit.proofs.batch import moved_alone
from maskbench.model_audit.proofs.caching import compare_steps
from maskbench.model_audit.proofs.future import largest_by_cutting, largest_leak
from maskbench.model_audit.proofs.registry import ProofResult, model_proof
from maskbench.model_audit.rounding import by
from maskbench.model_audit.subject import ModelSubject

LONGEST = 192
"""Largest length that is tried, in tokens, if the model takes it."""
EDGES = (8, 16, 32, 48, 64, 96, 128)
"""Positions at which chunks of usual sizes begin."""
CUTS = (*range(12, 21), 24, 31, 33, 40, 47, 49, 62, 63, 65, 100, 129)
"""Lengths at which the target is cut: a short rest after chunks of usual sizes, and lengths between them."""
STRIDE = 5
"""Distance of the other positions that are tried, in tokens; smaller than a chunk."""


@model_proof("long sentences", "future", needs="no draws")
def long_sentences(case: ModelCase) -> Iterable[ProofResult]:
    """Do predictions of long sentences depend on later tokens, on where the target ends, on padding, on other rows or on a cache?"""
    inputs = long_inputs(case.subject)
    n = inputs.target.length
    if n <= case.inputs.target.length:
        yield ProofResult.skipped(f"the sentences of the other proofs have all {n} positions")
        return
    long = ModelCase(case.untouched, case.dtype, inputs)
    said = f"{n} tokens, "
    if case.subject.causal:
        m, places = case.subject.multiple, sorted({*range(3, n, STRIDE), *EDGES})
        tries = [(place, False) for place in places if place < n]
        lengths = sorted({max(m, part // m * m) for part in (*CUTS, n // 2, 3 * n // 4, n - 1) if part < n})
        for answer in (
            largest_leak(long, long.evaluation, tries),
            largest_by_cutting(long, long.evaluation, lengths),
        ):
            yield replace(answer, detail=said + answer.detail)
    yield _short_row(long)
    if case.subject.has_step:
        # A prompt, a few single tokens, the rest at once.
        edges = [0, *range(n // 2, min(n, n // 2 + STRIDE)), n]
        answer = compare_steps(long, inputs, list(pairwise(edges)), "after a prompt")
        yield replace(answer, detail=said + answer.detail)


def long_inputs(subject: ModelSubject) -> Inputs:
    """Return two rows as long as the model takes; where it is told what is padding, the second one is short."""
    m, shortest = subject.multiple, TARGET_LENGTHS[0]
    target = min(subject.max_length, LONGEST) // m * m

    def make(side: Side, longest: int, salt: int) -> PaddedTokens:
        short = min(shortest, longest) if side in subject.padding else longest
        return make_tokens((longest, short), subject.words, subject.pad, salt=salt)

    if subject.kind != "encoder-decoder":
        return Inputs(make("target", target, 1))
    # Source and target are told apart by their lengths.
    return Inputs(make("target", target, 1), make("source", max(m, target - m), 2))


def _short_row(long: ModelCase) -> ProofResult:
    target = long.inputs.target
    moved, limit = moved_alone(long, 1, long.evaluation)
    said = f"a row of {int(target.lengths[1])} tokens"
    if moved > limit:
        said += f" has other scores alone than beside one of {target.length}, {by(moved)}"
    return ProofResult.at_most(moved, limit, said)
