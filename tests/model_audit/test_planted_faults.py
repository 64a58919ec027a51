"""A fault is caught by the proofs that are about it, and others do not take the blame."""

from __future__ import annotations

import pytest
from controls import CAUGHT_BY
from planted_faults import COARSER, FAULTS, ROUTED, WITHOUT_FAULT

from maskbench.model_audit import audit_subject
from maskbench.model_audit.proofs.registry import model_proofs_in_order

SIMILAR = {
    "softmax before the mask",
    "linear attention over the whole sum",
    "convolution on both sides",
    "circular filter",
    "shift that wraps",
    "group norm over time",
    "mean of long rows",
    "greatest over time",
    "sorted over time",
    "forbids the next token",
    "places in parts of the length",
    "rows sorted and left so",
    "documents begin late",
    "keys in reversed order",
    "distances from the step",
    "sum not kept",
}
"""Faults much like another one; they are planted in the slow tier."""


@pytest.mark.parametrize(
    ("must", "must_not", "build"),
    [
        pytest.param(*fault, id=name, marks=[pytest.mark.slow] if name in SIMILAR else [])
        for name, fault in FAULTS.items()
    ],
)
def test_a_fault_is_caught_and_others_are_not_blamed(must, must_not, build):
    found = {finding.proof: finding for finding in audit_subject(build(), [*must, *must_not])}
    assert [proof for proof in must if found[proof].passed is not False] == []
    assert [found[proof] for proof in must_not if found[proof].passed is False] == []


@pytest.mark.parametrize(("proof", "build"), WITHOUT_FAULT.items(), ids=WITHOUT_FAULT)
def test_the_same_without_the_fault_holds(proof, build):
    (finding,) = audit_subject(build(), [proof])
    assert finding.passed is True


@pytest.mark.parametrize("build", ROUTED.values(), ids=ROUTED)
def test_draws_that_depend_on_tokens_are_a_verdict_of_their_own_and_no_leak(build):
    found = {f.proof: f for f in audit_subject(build(), ["draws", "causality", "no trace"])}
    assert found["draws"].passed and found["draws"].verdict == "routed"
    assert found["causality"].passed is not False and found["no trace"].passed is not False
    assert "number of random draws depends on the tokens" in " ".join(found["causality"].not_made)


@pytest.mark.parametrize("build", COARSER.values(), ids=COARSER)
def test_parts_in_16_bits_are_told_and_no_broken_promise(build):
    (found,) = audit_subject(build(), ["formats"])
    assert found.passed and found.verdict == "coarser" and "weights are computed in" in found.sentence


def test_every_proof_has_three_faults_that_it_catches():
    assert FAULTS.keys() > SIMILAR
    # `test_long_inputs` has five faults for the proof on long sentences, which no other model here shows.
    caught = 3 * ["long sentences"] + len(ROUTED) * ["draws"]
    caught += [proof for proofs in CAUGHT_BY.values() for proof in proofs]
    caught += [proof for name, (must, _, _) in FAULTS.items() for proof in must if name not in SIMILAR]
    assert [proof.name for proof in model_proofs_in_order() if caught.count(proof.name) < 3] == []
