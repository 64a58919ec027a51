"""Runs proofs on subjects and collects the findings."""

from __future__ import annotations

import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from maskbench.audit.catalogue import make_catalogue_subjects
from maskbench.audit.generators import preserve_generators
from maskbench.audit.proofs.registry import Proof, ProofFamily, ProofResult, proofs_in_order
from maskbench.audit.subject import AuditCase, Subject
from maskbench.errors import PluginError
from maskbench.plugins import load_plugins, plugin_errors


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one proof for one subject in one number format."""

    kind: Literal["arm", "strategy"]
    name: str
    site: str
    proof: str
    family: ProofFamily
    dtype: str
    passed: bool | None
    """None: the proof does not apply; `detail` gives the reason."""
    value: float | None
    """Measured number."""
    limit: float | None
    """Largest allowed value (smallest, if `detail` says so)."""
    detail: str

    @property
    def where(self) -> str:
        """The subject's name and site."""
        return f"{self.name} at {self.site}" if self.site else self.name

    def document(self) -> dict[str, Any]:
        """Return the finding as a dict of JSON values."""
        return {
            self.kind: self.name,
            "site": self.site,
            "proof": self.proof,
            "dtype": self.dtype,
            "passed": self.passed,
            # JSON has no infinity.
            "value": None if self.value is None else min(self.value, sys.float_info.max),
            "limit": self.limit,
            "detail": self.detail,
        }


def audit(subjects: Iterable[Subject], proofs: Sequence[Proof] | None = None) -> Iterator[list[Finding]]:
    """Yield one list of findings per subject, in the order of the proofs.

    The state of shared random number generators is restored before each list is yielded.
    """
    for subject in subjects:
        with preserve_generators():
            found = list(examine_subject(subject, proofs or proofs_in_order()))
        yield found


def examine_subject(subject: Subject, proofs: Sequence[Proof]) -> Iterator[Finding]:
    """Yield the findings of one subject, per proof and number format."""
    exact, own = AuditCase(subject, torch.float64), AuditCase(subject, subject.own_dtype)
    for proof in proofs:
        cases = {"exact": [exact], "both": [exact, own], "own": [own]}[proof.formats]
        for case in cases:
            for verdict in run_proof(proof.ask, case):
                yield Finding(
                    subject.kind,
                    subject.name,
                    subject.site,
                    proof.name,
                    proof.family,
                    str(case.dtype).removeprefix("torch."),
                    verdict.passed,
                    verdict.value,
                    verdict.limit,
                    verdict.detail,
                )


def run_proof(ask: Callable[[AuditCase], Iterable[ProofResult]], case: AuditCase) -> list[ProofResult]:
    """Return at most one result: the failure with the largest value, else such a pass, else a skip."""
    try:
        verdicts = list(ask(case))
    except PluginError as error:
        verdicts = [ProofResult(False, detail=str(error))]
    except Exception as error:  # a strategy that raises fails the proof; the remaining proofs still run
        where = traceback.extract_tb(error.__traceback__)[-1]
        verdicts = [
            ProofResult(False, detail=f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})")
        ]
    failed = [v for v in verdicts if v.passed is False]
    passed = [v for v in verdicts if v.passed]
    return [max(failed or passed, key=lambda v: v.value or 0.0)] if failed or passed else verdicts[:1]


def is_sound(findings: Iterable[Finding]) -> bool:
    """Whether no finding failed; skipped proofs do not count."""
    return all(finding.passed is not False for finding in findings)


def audit_names(wanted: Sequence[str], plugins: Sequence[Path]) -> Iterator[list[Finding]]:
    """Yield one list of findings per site of every named strategy and preset, in the order of `wanted`.

    Args:
        wanted: names of strategies and presets in the catalogue.
        plugins: files that register strategies; every process loads them.
    """
    files = [file.resolve() for file in plugins]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), context, initializer=_begin, initargs=(files,)) as pool:
        for found in pool.map(_audit, wanted):
            yield from found


def _begin(plugins: list[Path]) -> None:
    import maskbench.masks  # noqa: F401  registers the strategies

    load_plugins(plugins)


def _audit(name: str) -> list[list[Finding]]:
    # The models have a few thousand weights; more threads would be slower.
    torch.set_num_threads(1)
    with plugin_errors():
        return list(audit(make_catalogue_subjects([name])))
