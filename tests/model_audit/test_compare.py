"""Variants are compared in few passes of bounded memory, and each with an unchanged copy in a pass of its shape."""

from __future__ import annotations

import pytest
import torch
from controls import Control, ControlSubject

from maskbench.model_audit import case as cases
from maskbench.model_audit.case import ModelCase
from maskbench.model_audit.mode import TRAINING
from maskbench.model_audit.proofs.future import changed_after


class Counted(ControlSubject):
    """A control that notes how many rows pass at once."""

    def __init__(self, module: Control) -> None:
        super().__init__(module, padding=("source",))
        self.passes: list[int] = []

    def logits(self, inputs):
        self.passes.append(inputs.batch)
        return super().logits(inputs)


def counted(fault: str) -> tuple[Counted, ModelCase]:
    torch.manual_seed(5)
    case = ModelCase(Counted(Control(fault)), torch.float64)
    subject = case.subject
    assert isinstance(subject, Counted)
    return subject, case


@pytest.mark.parametrize(
    ("at_once", "passes"), [(10, [30, 30]), (4, [12, 12, 12, 6, 6]), (1, [3, 3, *[3] * 9])]
)
def test_a_leak_is_the_same_in_passes_of_bounded_memory(monkeypatch, at_once, passes) -> None:
    subject, case = counted("causal mask shifted")
    variants = [changed_after(case.inputs, subject.words, place, alone=True) for place in range(1, 11)]
    one = case.unchanged(TRAINING)
    assert not case.mixes_rows(TRAINING)
    monkeypatch.setattr(cases, "PASS_BYTES", at_once * subject.pass_bytes(case.inputs, one))
    subject.passes.clear()
    found = list(case.compare(variants, TRAINING))
    assert sorted(subject.passes) == sorted(passes)
    for place, (before, after) in enumerate(found, 1):
        # The mask is shifted by one in both layers: the change is seen from two positions before it on, and no earlier.
        moved = (before != after).any(-1)[0]
        first = max(0, place - 2)
        assert not moved[:first].any() and moved[first]


def test_rows_that_depend_on_others_pass_alone() -> None:
    subject, case = counted("mean of the batch")
    variants = [changed_after(case.inputs, subject.words, place, alone=True) for place in (3, 4)]
    assert case.mixes_rows(case.evaluation)
    subject.passes.clear()
    list(case.compare(variants, case.evaluation))
    assert subject.passes == [3, 3]
