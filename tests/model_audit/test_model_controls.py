"""Every proof catches models that were broken on purpose, and none accuses a model that holds."""

from __future__ import annotations

import pytest
import torch
from controls import CAUGHT_BY, control

from maskbench.model_audit import audit_subject

SOUND = {
    "attention": {},
    "rms norm": {"norm": "rms"},
    "no norm": {"norm": "none"},
    "decoder": {"source": False},
    "decoder, rms norm": {"source": False, "norm": "rms"},
    "layers skipped in training": {"source": False, "layer_drop": 0.9},
    "gru": {"source": False, "cell": "gru"},
    "causal convolution": {"source": False, "cell": "conv"},
}


@pytest.mark.parametrize("fault", CAUGHT_BY)
def test_a_planted_fault_is_caught(fault):
    missed = [
        finding for finding in audit_subject(control(fault), CAUGHT_BY[fault]) if finding.passed is not False
    ]
    assert missed == []


FIRST = ("attention", "layers skipped in training", "gru")
"""Those whose first seed is in the fast tier; the others are like an architecture of `architectures.py`."""


@pytest.mark.parametrize(
    ("how", "seed"),
    [
        pytest.param(
            how, seed, id=f"{name}-{seed}", marks=[] if name in FIRST and not seed else [pytest.mark.slow]
        )
        for name, how in SOUND.items()
        for seed in range(20)
    ],
)
def test_a_model_that_holds_is_not_accused(how, seed):
    broken = [f for f in audit_subject(control(seed=seed, **how)) if f.passed is False]
    # A control of a recurrence or a convolution has an attention that it does not use.
    broken = [f for f in broken if not (f.proof == "every part works" and "cell" in how)]
    assert broken == []


def test_an_audit_leaves_the_model_and_the_generator_as_they_were():
    subject = control()
    before, state = {k: v.clone() for k, v in subject.module.state_dict().items()}, torch.get_rng_state()
    list(audit_subject(subject))
    assert torch.equal(torch.get_rng_state(), state)
    assert not subject.module.training
    assert all(torch.equal(before[k], v) for k, v in subject.module.state_dict().items())
