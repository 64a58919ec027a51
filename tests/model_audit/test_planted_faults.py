"""A fault is caught by the proofs that are about it, and others do not take the blame."""

from __future__ import annotations

import pytest
from controls import CAUGHT_BY
from planted_faults import FAULTS, WITHOUT_FAULT

from maskbench.model_audit import audit_subject
from maskbench.model_audit.proofs.registry import model_proofs_in_order


@pytest.mark.parametrize(("must", "must_not", "build"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_caught_and_others_are_not_blamed(must, must_not, build):
    found = {finding.proof: finding for finding in audit_subject(build(), [*must, *must_not])}
    assert [proof for proof in must if found[proof].passed is not False] == []
    assert [found[proof] for proof in must_not if found[proof].passed is False] == []


@pytest.mark.parametrize(("proof", "build"), WITHOUT_FAULT.items(), ids=WITHOUT_FAULT)
def test_the_same_without_the_fault_holds(proof, build):
    (finding,) = audit_subject(build(), [proof])
    assert finding.passed is True


def test_every_proof_has_three_faults_that_it_catches():
    caught = [proof for proofs in CAUGHT_BY.values() for proof in proofs]
    caught += [proof for must, _, _ in FAULTS.values() for proof in must]
    assert [proof.name for proof in model_proofs_in_order() if caught.count(proof.name) < 3] == []
