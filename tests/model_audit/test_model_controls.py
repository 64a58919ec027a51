"""Every proof catches models that were broken on purpose, and none accuses a model that holds."""

from __future__ import annotations

import pytest
import torch
from controls import control

from maskbench.model_audit import audit_subject
from maskbench.model_audit.proofs.registry import model_proofs_in_order

CAUGHT_BY = {
    "causal mask forgotten": ("causality", "truncation", "future gradients", "cached decoding"),
    "causal mask transposed": ("causality", "truncation", "future gradients"),
    "causal mask shifted": ("causality", "truncation", "future gradients"),
    "mean of the target": ("causality", "truncation", "future gradients", "cached decoding"),
    "conv": ("causality", "truncation", "future gradients"),
    "fill -5": ("causality", "padding content", "padding gradients"),
    "no mask in training": ("causality", "training mode"),
    "no mask with gradients": ("causality", "gradient mode"),
    "source mask forgotten": ("padding content", "padding amount", "padding gradients", "alone"),
    "source mask inverted": ("padding content", "padding gradients", "reach"),
    "source mask shifted": ("padding content", "padding gradients", "alone"),
    "padding by id": ("padding content",),
    "mean of padding": ("padding content", "padding amount", "alone"),
    "positions from the end": ("padding amount", "alone"),
    "mean of the batch": ("batch mates", "alone"),
    "cache forgets": ("cached decoding", "several tokens a step"),
    "cache counts from 0": ("cached decoding", "several tokens a step"),
    "cache one late": ("cached decoding", "several tokens a step"),
    "scale by gradients": ("gradient mode",),
    "scale by mode": ("training mode",),
    "skips in training": ("training mode",),
    "dropout in evaluation": ("evaluation repeats",),
    "noise": ("evaluation repeats",),
    "counts its calls": ("no trace",),
    "counts in a buffer": ("no trace",),
    "evaluation turns dropout off": ("no trace",),
    "another door": ("one function, many doors",),
    "source unread": ("reach", "every part works"),
    "only itself": ("reach",),
    "blind to the first": ("reach",),
    "fill -100": ("large scores",),
    "fill -1e4": ("large scores",),
    "no guard": ("empty rows",),
    "idle layer": ("every part works",),
    "idle parameter": ("every part works",),
    "cut off": ("every part works",),
}
"""Faults, and proofs that must catch them."""

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


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 20))])
@pytest.mark.parametrize("how", SOUND.values(), ids=SOUND)
def test_a_model_that_holds_is_not_accused(how, seed):
    broken = [f for f in audit_subject(control(seed=seed, **how)) if f.passed is False]
    # A control of a recurrence or a convolution has an attention that it does not use.
    broken = [f for f in broken if not (f.proof == "every part works" and "cell" in how)]
    assert broken == []


def test_every_proof_has_a_fault_that_it_catches():
    caught = {proof for proofs in CAUGHT_BY.values() for proof in proofs}
    elsewhere = {"batch order", "padding side", "prompts padded on the left", "implementations", "formats"}
    elsewhere |= {"declared structure", "generation", "draws"}
    assert {proof.name for proof in model_proofs_in_order()} - caught == elsewhere


def test_an_audit_leaves_the_model_and_the_generator_as_they_were():
    subject = control()
    before, state = {k: v.clone() for k, v in subject.module.state_dict().items()}, torch.get_rng_state()
    list(audit_subject(subject))
    assert torch.equal(torch.get_rng_state(), state)
    assert not subject.module.training
    assert all(torch.equal(before[k], v) for k, v in subject.module.state_dict().items())
