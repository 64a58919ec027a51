"""The short audit that every arm must pass before training, in the run's number format and on its corpus.

It tests whether later target tokens, padding or other sentences of the batch influence a prediction. Shapes
are unchanged, so the comparison is exact in any number format. Truncating the target changes shapes, so that
test runs in float64. Masks must draw from keyed generators, which is tested first. `maskbench audit` runs more proofs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch

from maskbench.audit.arms import make_arm_subject
from maskbench.audit.generators import find_shared_draws, preserve_generators
from maskbench.audit.proofs.changes import with_other_mates, with_other_padding
from maskbench.audit.proofs.leaks import leak_limit, measure_future_leak, score_variants, truncation
from maskbench.audit.proofs.paths import attention_paths
from maskbench.audit.subject import AuditCase, largest_difference
from maskbench.config.schema.experiment import ArmConfig
from maskbench.data.batches import Batch
from maskbench.data.corpus import Corpus
from maskbench.errors import LeakError
from maskbench.model_audit.rounding import largest_score

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


def find_leaks(case: AuditCase) -> list[Leak]:
    """Return the leaks that the short audit measures; an empty list if there are none."""
    return [leak for leak in _measured(case) if leak.amount > leak.limit]


def _measured(case: AuditCase) -> list[Leak]:
    subject, clock, vocabulary = case.subject, case.subject.train, case.subject.sizes.vocab_size
    futures = [
        measure_future_leak(case, case.model, at, dropout=at is clock) for at in (clock, subject.evaluation)
    ]
    future, size = (max(found[i] for found in futures) for i in (0, 2))
    worst = {"padding": 0.0, "batch mates": 0.0}
    for moment in (clock, subject.evaluation):
        changed: list[tuple[int | None, Batch]] = [(None, with_other_padding(case.batch, vocabulary))]
        changed += [
            (row, with_other_mates(case.batch, row, vocabulary)) for row in range(len(case.batch.ids))
        ]
        for row, before, after in score_variants(
            case, case.model, changed, partial(case.answers, clock=moment)
        ):
            of = "padding" if row is None else "batch mates"
            moved = (
                largest_difference(after, before)
                if row is None
                else largest_difference(after[row], before[row])
            )
            worst[of] = max(worst[of], moved)
            size = max(size, largest_score(before))
    limit = leak_limit(case, size)
    # The proof measures training and evaluation; what is reported is the larger of both, once.
    cut_off = max(
        (
            Leak("the length", v.value or 0.0, v.limit or 0.0)
            for v in truncation(AuditCase(subject, torch.float64))
        ),
        key=lambda leak: leak.amount - leak.limit,
    )
    found = [Leak("the future", future, limit), cut_off]
    if subject.attention_paths.may_leave_dense:
        exact = attention_paths(AuditCase(subject, torch.float64))
        found += [Leak("the path", v.value, v.limit or 0.0) for v in exact if v.value is not None]
    return [*found, *(Leak(of, amount, limit) for of, amount in worst.items())]


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
