"""The short audit that every arm must pass before training, in the run's number format and on its corpus.

It tests whether later target tokens, padding or other sentences of the batch influence a prediction. Shapes
are unchanged, so the comparison is exact in any number format. Truncating the target changes shapes, so that
test runs in float64. Masks must draw from keyed generators, which is tested first. `maskbench audit` runs more proofs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from maskbench.audit.arms import make_arm_subject
from maskbench.audit.generators import find_shared_draws, preserve_generators
from maskbench.audit.proofs.paths import attention_paths
from maskbench.audit.proofs.shared import ask_model
from maskbench.audit.subject import AuditCase
from maskbench.config.schema.experiment import ArmConfig
from maskbench.data.corpus import Corpus
from maskbench.errors import LeakError

_FOUND = {
    "the future": "target tokens move predictions that come before them",
    "the length": "where the target ends moves predictions before its end",
    "padding": "what stands in the padding moves predictions",
    "batch mates": "the other sentences of a batch move predictions",
    "the path": (
        "in blocks, as long sentences are computed, attention gives other predictions than as one matrix: a mask must"
        " answer for the positions that it is asked about (`model.attention: dense` never asks for a part)"
    ),
}
"""Message per kind of leak."""


@dataclass(frozen=True, slots=True)
class Leak:
    """A forbidden influence on predictions, with its size."""

    of: str
    """Source of the influence: `the future`, `the length`, `padding`, `batch mates` or `the path`."""
    amount: float
    """Largest absolute change of a score."""
    limit: float
    """Largest allowed change."""

    def __str__(self) -> str:
        return f"{_FOUND[self.of]} (by up to {self.amount:.3g}, allowed: {self.limit:.3g})"


MEASURED = (
    ("the future", "causality"),
    ("the length", "truncation"),
    ("padding", "padding content"),
    ("batch mates", "batch mates"),
)
"""Kinds of leak that every arm is measured for, and the proofs that measure them."""


def find_leaks(case: AuditCase) -> list[Leak]:
    """Return the leaks that the short audit measures; an empty list if there are none."""
    exact = AuditCase(case.subject, torch.float64)
    found = [
        (of, answer)
        for of, name in MEASURED
        for answer in ask_model(name, exact if name == "truncation" else case)
    ]
    if case.subject.attention_paths.may_leave_dense:
        found += [("the path", answer) for answer in attention_paths(exact)]
    worst: dict[str, Leak] = {}
    for of, answer in found:
        if answer.passed is False:
            leak = Leak(of, answer.value or 0.0, answer.limit or 0.0)
            worst[of] = max(leak, worst.get(of, leak), key=lambda one: one.amount - one.limit)
    return list(worst.values())


def check_before_training(arm: ArmConfig, corpus: Corpus, seed: int) -> str | None:
    """Raise if an arm leaks or draws from a shared generator; return a warning if it declares `unsafe: true`.

    An arm that draws from a shared generator is not measured for leaks: its predictions change with every
    shape, whatever they depend on.

    Returns:
        a warning with the faults of an arm with an `unsafe` placement; None if there are none.

    Raises:
        LeakError: the arm has a fault and none of its placements is declared `unsafe`.
    """
    subject = make_arm_subject(arm, corpus, seed)
    with preserve_generators():
        case = AuditCase(subject, subject.own_dtype)
        drawn = list(dict.fromkeys(name for clock in case.clocks for name in find_shared_draws(case, clock)))
        leaks = [] if drawn else find_leaks(case)
    if drawn:
        fault = f"draws random numbers from {' and '.join(drawn)}"
        said = "a mask draws from `ctx.draws` alone, whose numbers depend on seed, step and sentence only"
    elif leaks:
        fault, said = "leaks", "; ".join(map(str, leaks))
    else:
        return None
    if any(placement.unsafe for placement in arm.config.masks):
        return f"arm {arm.name} {fault}, as its `unsafe: true` admits: {said}"
    names = ", ".join(dict.fromkeys(f"{p.mask} at {p.site}" for p in arm.config.masks)) or "no masks"
    raise LeakError(
        f"arm {arm.name} {fault} and was not trained: {said}. Its result would mean nothing; the cause is in "
        f"{names} (`maskbench audit` on the experiment file says more)"
    )
