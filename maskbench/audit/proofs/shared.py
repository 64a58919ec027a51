"""The proofs on any model that arms are held to as well, each under its name there.

`maskbench.audit.arm_model` says how an arm is called. Shapes are the same before and after a change of words, so scores must
be bit-identical in every number format; see `ArmModel.rounding` for the exceptions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch

import maskbench.model_audit  # noqa: F401  (registers the proofs on any model)
from maskbench.audit.arm_model import make_model_case
from maskbench.audit.proofs.registry import PROOFS, Formats, Proof, ProofFamily
from maskbench.audit.subject import AuditCase
from maskbench.model_audit.proofs.registry import ProofResult, add_proof, model_proofs_in_order


def turns_on_rounding(case: AuditCase) -> str:
    """Return why low precision cannot decide if shapes change; an empty string if it can."""
    chooses = sorted({p.name for p in case.plan.placed if "input" in p.strategy.depends_on})
    if case.dtype == torch.float64 or not chooses:
        return ""
    return f"what {', '.join(chooses)} chooses may turn on a rounding; float64 decides"


def recomputes_the_prefix(case: AuditCase) -> str:
    """Return why an arm decodes without a cache; an empty string if it has one."""
    names = sorted({p.name for p in case.plan.placed if not p.strategy.cacheable})
    return "" if case.plan.cacheable else f"{', '.join(names)}: decoding recomputes the prefix, as declared"


def is_for_unit_scale(case: AuditCase) -> str:
    """Return why scores are not enlarged; an empty string if they are."""
    return "renormalise is declared for scores of unit scale" if case.renormalises() else ""


def _never(_case: AuditCase) -> str:
    return ""


SHARED: tuple[tuple[str, ProofFamily, Formats, Callable[[AuditCase], str]], ...] = (
    ("causality", "leaks", "both", _never),
    ("truncation", "leaks", "exact", _never),
    ("large scores", "leaks", "both", is_for_unit_scale),
    ("padding content", "invariance", "both", _never),
    ("padding amount", "invariance", "both", turns_on_rounding),
    ("batch mates", "invariance", "both", _never),
    ("batch order", "invariance", "both", turns_on_rounding),
    ("alone", "invariance", "both", turns_on_rounding),
    ("gradient mode", "invariance", "both", _never),
    ("cached decoding", "decoding", "exact", recomputes_the_prefix),
    ("several tokens a step", "decoding", "exact", recomputes_the_prefix),
    ("evaluation repeats", "decoding", "both", _never),
    ("no trace", "decoding", "exact", _never),
)
"""Name of the proof, its family and formats for arms, and why an arm is not held to it."""


_KNOWN = {proof.name: proof for proof in model_proofs_in_order()}


def ask_model(name: str, case: AuditCase) -> Iterable[ProofResult]:
    """Return the answers of a proof on any model for an arm."""
    return _KNOWN[name].ask(make_model_case(case))


def _share(name: str, family: ProofFamily, formats: Formats, exemption: Callable[[AuditCase], str]) -> None:
    def ask(case: AuditCase) -> Iterable[ProofResult]:
        reason = exemption(case)
        return [ProofResult.skipped(reason)] if reason else ask_model(name, case)

    add_proof(PROOFS, Proof(name, family, formats, _KNOWN[name].question, ask))


for _entry in SHARED:
    _share(*_entry)
