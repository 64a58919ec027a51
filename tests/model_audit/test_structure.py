"""Declared structures: what they allow, and that a model which reads less or more is caught."""

from __future__ import annotations

import pytest
from controls import control

from maskbench.model_audit import audit_subject
from maskbench.model_audit.structure import in_documents, windowed, with_prefix


def read_by(may_read, n):
    return [[j for j in range(n) if bool(may_read(n)[t, j])] for t in range(n)]


def test_a_window_reaches_further_with_every_layer():
    assert read_by(windowed(2), 4) == [[0], [0, 1], [1, 2], [2, 3]]
    assert read_by(windowed(2, layers=2), 4) == [[0], [0, 1], [0, 1, 2], [1, 2, 3]]
    assert read_by(windowed(2, causal=False), 3) == [[0, 1], [0, 1, 2], [1, 2]]


def test_a_prefix_is_read_by_all():
    assert read_by(with_prefix(2), 4) == [[0, 1], [0, 1], [0, 1, 2], [0, 1, 2, 3]]


def test_documents_are_read_each_by_itself():
    assert read_by(in_documents([0, 2]), 5) == [[0], [0, 1], [2], [2, 3], [2, 3, 4]]


@pytest.mark.parametrize(
    ("fault", "structure", "holds"),
    [
        ("", windowed(40), True),
        ("window too narrow", windowed(2, layers=2), True),
        ("window too narrow", windowed(3, layers=2), False),
        ("window too narrow", windowed(2, layers=1), False),
        ("", windowed(2, layers=2), False),
        ("", in_documents([0, 5]), False),
    ],
)
def test_a_model_reads_what_its_structure_says_and_no_more(fault, structure, holds):
    subject = control(fault, source=False)
    subject.may_read = structure
    (finding,) = audit_subject(subject, ["declared structure"])
    assert finding.passed is holds


def test_no_structure_is_not_a_proof():
    (finding,) = audit_subject(control(), ["declared structure"])
    assert finding.passed is None and "no structure is declared" in finding.sentence
