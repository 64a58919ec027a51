"""Runs every proof on a model, in float64 and float32, and finds the module where a broken promise is first seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from maskbench.model_audit.case import ModelCase, said_by
from maskbench.model_audit.comparable import is_repeatable
from maskbench.model_audit.dormant import awakened, count_unread, wave_of
from maskbench.model_audit.locate import first_broken_module, first_module_without_numbers
from maskbench.model_audit.proofs.reach import other_weights
from maskbench.model_audit.proofs.registry import Family, ModelProof, ProofResult, model_proofs_in_order
from maskbench.model_audit.reproduction import smallest_change
from maskbench.model_audit.rounding import difference
from maskbench.model_audit.subject import ModelSubject

NOISES = 32
"""Allowed change, in changes that one rounding of every weight is seen to make; every operation rounds as well."""
FORMATS = (torch.float64, torch.float32)


@dataclass(frozen=True, slots=True)
class ModelFinding:
    """The worst answer of one proof on a model, over all number formats."""

    proof: str
    family: Family
    question: str
    dtype: str
    answer: ProofResult
    module: str | None = None
    """Where a broken promise is first seen, in the order in which modules finish; None: not known."""
    weights: str = ""
    """Which weights were changed before the proof was made; empty: none."""
    not_made: tuple[str, ...] = ()
    """Checks of the proof that were not made, and why."""

    def __bool__(self) -> bool:
        """Whether the promise is not broken, so that `all(findings)` says what it seems to say."""
        return self.passed is not False

    @property
    def passed(self) -> bool | None:
        """Whether the promise is kept; None: no check was made."""
        return self.answer.passed

    @property
    def verdict(self) -> str:
        """One word: `holds`, `broken` or `not checked`; or the proof's own, such as `routed`."""
        words = {True: "holds", False: "broken", None: "not checked"}
        return self.answer.verdict or words[self.passed]

    @property
    def sentence(self) -> str:
        """What happened, and where it is first seen."""
        where = f"; first seen in {self.module}" if self.module else ""
        return f"{self.answer.detail}{where}{self.weights if self.passed is False else ''}"


def audit_subject(
    subject: ModelSubject,
    proofs: Sequence[str] | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> Iterator[ModelFinding]:
    """Yield one finding per proof.

    Args:
        proofs: names of the proofs to run; None: all.
        told: called with the name of each proof before it runs.

    Raises:
        ValueError: an unknown proof, or a model that cannot be called (`ModelCallError`).
    """
    known = {proof.name: proof for proof in model_proofs_in_order()}
    wanted = list(known) if proofs is None else list(proofs)
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(f"no proof is called {unknown[0]!r}; there are: {', '.join(known)}")
    cases = _cases(subject)
    cases[0].check_call()
    if (other := awakened(subject)) is not None:
        awake = _cases(other)
        if awake[0].is_finite and count_unread(awake[0]) <= count_unread(cases[0]):
            cases = awake
    for name in wanted:
        told(name)
        # What a token moves may be lost to rounding; that it moves nothing in the widest format is what counts.
        yield _examine(known[name], cases[:1] if name == "reach" else cases)


def _cases(subject: ModelSubject) -> list[ModelCase]:
    """Return the subject in all formats; one that does not compute in float64, such as one with a fill of float32, in float32."""
    cases = [ModelCase(subject, dtype) for dtype in FORMATS]
    able = [case for case in cases if case.is_finite] or cases[-1:]
    if len(able) == len(FORMATS):
        _observe_noise(*able)
    return able


def _observe_noise(wide: ModelCase, narrow: ModelCase) -> None:
    """Let a model that amplifies rounding, such as a recurrence over many steps, move scores as far as it is seen to.

    Weights that differ by a rounding of the narrow format move the scores of the wide one so far; a rounding of the wide format
    does as much less as its numbers are finer.
    """
    if not is_repeatable(wide, wide.evaluation):
        return
    moved = ModelCase(wide.untouched, wide.dtype, wide.inputs)
    fine, coarse = (torch.finfo(case.dtype).eps for case in (wide, narrow))
    with torch.no_grad():
        for parameter in moved.subject.module.parameters():
            if parameter.is_floating_point():
                parameter.mul_(1 + coarse * wave_of(parameter))
    real = wide.inputs.target.real
    if moved.is_finite:
        before, after = (case.unchanged()[real].nan_to_num(neginf=0.0) for case in (wide, moved))
        seen = NOISES * difference(after, before)
        narrow.noise, wide.noise = seen, seen * fine / coarse


def _examine(proof: ModelProof, cases: Sequence[ModelCase]) -> ModelFinding:
    """Return the worst answer of a proof over all formats: the failure with the largest value, else such a pass."""
    found: list[tuple[ModelCase, ProofResult]] = []
    for case in cases:
        found += [(case, answer) for answer in _answers(proof, case)]
    missing = tuple(dict.fromkeys(answer.detail for _, answer in found if answer.passed is None))
    ranked = [pair for pair in found if pair[1].passed is False] or [pair for pair in found if pair[1].passed]
    if not ranked:
        case, answer = found[0] if found else (cases[0], ProofResult.skipped("nothing to check"))
        return ModelFinding(proof.name, proof.family, proof.question, _name(case), answer, not_made=missing)
    # What an evaluation shows is easier to see again than what training shows.
    case, answer = max(
        ranked, key=lambda pair: (not _in_training(pair[1]), bool(pair[1].verdict), _excess(pair[1]))
    )
    module = answer.module
    if answer.passed is False and answer.change is not None:
        limit, change = answer.limit or 0.0, answer.change
        try:
            change = smallest_change(case, change, limit)
            module = first_broken_module(case, change, limit)
        except Exception:  # a model may refuse the smaller inputs; the broken promise stands
            module = None
        answer = replace(answer, change=change)
    weights = other_weights(case.subject)
    return ModelFinding(
        proof.name, proof.family, proof.question, _name(case), answer, module, weights, missing
    )


def _answers(proof: ModelProof, case: ModelCase) -> list[ProofResult]:
    found: list[ProofResult] = []
    try:
        found.extend(proof.ask(case))
    except Exception as error:
        # A model that raises fails the proof; what was found before stands, and the other proofs are made.
        broken = [answer for answer in found if answer.passed is False]
        return [*broken, ProofResult(False, detail=said_by(error))]
    if case.is_finite or all(answer.passed is None for answer in found):
        return found
    where = first_module_without_numbers(case)
    detail = "scores are NaN or infinite" + (f", first in the output of {where}" if where else "")
    return [answer if answer.passed is None else ProofResult(False, detail=detail) for answer in found]


def _in_training(answer: ProofResult) -> bool:
    return answer.change is not None and answer.change.mode.training


def _excess(answer: ProofResult) -> float:
    """Return how many times its limit a value is."""
    if answer.value is None:
        return float("inf") if answer.passed is False else 0.0
    return answer.value / answer.limit if answer.limit else answer.value


def _name(case: ModelCase) -> str:
    return str(case.dtype).removeprefix("torch.")
