"""A branch that begins at 0 hides neither what it may read nor what it must not."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maskbench.model_audit import audit_subject
from maskbench.model_audit.target import subject_for


class Branch(nn.Module):
    """A decoder whose only look at other tokens is multiplied by a number that begins at 0."""

    def __init__(self, causal: bool, scale: float) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(30, 14), nn.Linear(14, 30)
        self.map, self.scale, self.causal = nn.Linear(14, 14), nn.Parameter(torch.full((14,), scale)), causal

    def forward(self, ids: Tensor) -> Tensor:
        x = self.map(self.words(ids)).tanh()
        mean = x.cumsum(1) if self.causal else x.mean(1, keepdim=True)
        return self.head(self.words(ids) + self.scale * mean)


def test_a_gate_that_is_frozen_at_0_stays_closed():
    module = Branch(causal=False, scale=0.0).eval()
    module.scale.requires_grad_(False)
    found = {f.proof: f for f in audit_subject(subject_for(module), ["causality", "reach"])}
    assert found["causality"].passed and found["reach"].passed is False


def findings(causal: bool, scale: float):
    torch.manual_seed(0)
    proofs = ["causality", "truncation", "reach"]
    return {f.proof: f for f in audit_subject(subject_for(Branch(causal, scale).eval()), proofs)}


def test_what_a_branch_may_read_is_read_though_it_begins_at_0():
    found = findings(causal=True, scale=0.0)
    assert [f.passed for f in found.values()] == [True] * 3
    assert (
        found["reach"].sentence
        == "target: all 30 tokens are read, with other values in 1 parameter that is 0"
    )
    assert "other values" not in findings(causal=True, scale=0.3)["reach"].sentence


def test_a_leak_is_seen_though_its_branch_begins_at_0():
    found = findings(causal=False, scale=0.0)
    assert not found["causality"] and not found["truncation"]
    assert "moves the prediction at" in found["causality"].sentence
    assert found["causality"].sentence.endswith("with other values in 1 parameter that is 0")


def test_a_model_that_reads_nothing_at_any_weights_is_still_said_to():
    class Alone(Branch):
        def forward(self, ids: Tensor) -> Tensor:
            return self.head(self.words(ids) + self.scale)

    (found,) = audit_subject(subject_for(Alone(True, 0.0).eval()), ["reach"])
    assert found.passed is False and "says nothing" in found.sentence
