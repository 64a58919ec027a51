"""Assertions for the tests of any sequence model: it is causal, does not read padding, and decodes the same with its cache.

    from maskbench.testing import assert_causal

    def test_my_decoder_is_causal():
        assert_causal(MyDecoder())

A model is a `torch.nn.Module` of a known kind (see `maskbench audit --help`) or a `ModelSubject` that says how it is called.
Of other packages torch, jaxtyping and numpy are imported, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from maskbench.model_audit import Inputs, ModelFinding, ModelSubject, PaddedTokens, audit_subject
from maskbench.model_audit.proofs.registry import Family, model_proofs_in_order
from maskbench.model_audit.target import subject_for

__all__ = [
    "Inputs",
    "ModelFinding",
    "ModelSubject",
    "PaddedTokens",
    "assert_cache_exact",
    "assert_causal",
    "assert_padding_invariant",
    "audit_model",
]


def audit_model(
    model: nn.Module | ModelSubject, proofs: Sequence[str] | str | None = None, **how: Any
) -> list[ModelFinding]:
    """Return one finding per proof.

    Args:
        proofs: names of proofs; None: all.
        how: what `ModelSubject` takes, for a module.

    Raises:
        TypeError: it is no model.
        ValueError: it is not known how the module is called, it cannot be called, or a proof is unknown.
    """
    if not isinstance(model, nn.Module | ModelSubject):
        raise TypeError(
            f"a model is a torch.nn.Module or a ModelSubject, not {type(model).__name__}; give what your function returns"
        )
    subject = model if isinstance(model, ModelSubject) else subject_for(model, **how)
    return list(audit_subject(subject, [proofs] if isinstance(proofs, str) else proofs))


def assert_causal(model: nn.Module | ModelSubject, **how: Any) -> None:
    """Assert that no prediction depends on later target tokens, and that the earlier ones are read.

    Raises:
        AssertionError: one does; the message says which token moves which prediction, by how much, and the first module.
        ValueError: see `audit_model`.
    """
    _hold(audit_model(model, [*_of("future"), *_of("reach")], **how), ("future",))


def assert_padding_invariant(model: nn.Module | ModelSubject, **how: Any) -> None:
    """Assert that predictions do not depend on what padding holds, or on how much there is.

    Raises:
        AssertionError: they do.
        ValueError: see `audit_model`.
    """
    _hold(audit_model(model, [*_of("padding"), *_of("batch")], **how), ("padding",))


def assert_cache_exact(model: nn.Module | ModelSubject, **how: Any) -> None:
    """Assert that decoding with a cache gives the scores of a whole pass.

    Raises:
        AssertionError: it does not.
        ValueError: see `audit_model`.
    """
    _hold(audit_model(model, _of("cache"), **how), ("cache",))


def _of(family: Family) -> list[str]:
    return [proof.name for proof in model_proofs_in_order() if proof.family == family]


FAULTS: Mapping[str, str] = {
    "future": "is not causal",
    "padding": "reads padding",
    "batch": "mixes rows",
    "cache": "decodes differently with its cache",
    "reach": "does not read what it may",
}
"""What is said of a model, by the family of the first broken proof."""


def _hold(findings: Iterable[ModelFinding], asked: Sequence[Family]) -> None:
    """Raise if a finding failed, or if no check of the families that were asked for was made."""
    found = list(findings)
    broken = [finding for finding in found if finding.passed is False]
    if broken:
        lines = [f"{finding.proof} ({finding.dtype}): {finding.sentence}" for finding in broken]
        raise AssertionError(
            f"the model {FAULTS[broken[0].family]}:\n" + "\n".join(f"  {line}" for line in lines)
        )
    if not any(finding.passed for finding in found if finding.family in asked):
        reasons = dict.fromkeys(reason for finding in found for reason in finding.not_made)
        raise AssertionError("no check could be made: " + "; ".join(reasons))
