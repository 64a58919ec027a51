"""Which placements of an arm change nothing, measured before training on sentences of the corpus.

The arm's scores and loss weights are compared with those of the same model without the placement, at moments spread over
training, and in evaluation on every evaluated split, on the longest sentences and some others: splits may have longer
sentences than training, or annotations that training sentences lack. Learned masks have random values, so that those that
start as the identity act. A placement that makes no difference anywhere is one that cannot act in the run: a window wider
than every sentence, a ratio of 0, a schedule that stays at 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

import numpy as np
import torch
from torch import Tensor

from maskbench.audit.arms import make_arm_subject
from maskbench.audit.generators import preserve_generators
from maskbench.audit.subject import AuditCase
from maskbench.config.schema.experiment import CONTROLS, ArmConfig, PlacementConfig
from maskbench.data.batches import Batch, collate
from maskbench.data.corpus import Corpus, Split
from maskbench.errors import ConfigError
from maskbench.masks.base import Strategy
from maskbench.masks.clock import Clock
from maskbench.model_audit.case import PASS_BYTES
from maskbench.model_audit.rounding import difference
from maskbench.registry import MASKS
from maskbench.text import count_of

MOMENTS = 48
"""Number of steps of training that are looked at before a placement is said to change nothing."""
LONGEST, OTHERS = 4, 8
"""Number of sentence pairs of a split that are looked at: the longest, and some at equal distances in it."""
ROUNDING = 1e-9
"""Largest difference of float64 scores that counts as none; a normaliser of its own may round differently."""


@dataclass(slots=True)
class _KnownAnswers:
    """Answers of the whole arm in training, which every placement is compared with; `PASS_BYTES` of them are kept."""

    case: AuditCase
    kept: dict[tuple[int, Clock], Tensor] = field(default_factory=dict)
    n_bytes: int = 0

    def of(self, batches: tuple[Batch, ...], index: int, clock: Clock) -> Tensor:
        """Return `AuditCase.answers` of the arm for `batches[index]`."""
        found = self.kept.get((index, clock))
        if found is None:
            found = self.case.answers(self.case.model, batches[index], clock)
            if self.n_bytes + found.nbytes <= PASS_BYTES:
                self.kept[index, clock] = found
                self.n_bytes += found.nbytes
        return found


@dataclass(frozen=True, slots=True)
class _Looks:
    """The sentences and moments at which a placement may act."""

    case: AuditCase
    known: _KnownAnswers
    train: tuple[Clock, ...]
    trained: tuple[Batch, ...]
    """Sentences of the training split, in as many batches as the memory of a pass asks for."""
    evaluation: Clock
    evaluated: tuple[Batch, ...]
    """Sentences of the training split and of each evaluated one; they are looked at in evaluation."""


def find_idle(arm: ArmConfig, corpus: Corpus, seed: int) -> list[str]:
    """Return a sentence for every placement of an arm that changes nothing, and one if no token counts in the loss."""
    if not arm.config.masks:
        return []
    with preserve_generators():
        looks = _looks(arm, corpus, seed)
        return [*_without_loss(looks), *_idle_placements(arm, looks)]


def _looks(arm: ArmConfig, corpus: Corpus, seed: int) -> _Looks:
    subject = make_arm_subject(arm, corpus, seed)
    total, per_epoch = subject.train.total_steps, subject.train.steps_per_epoch
    steps = np.unique(np.linspace(0, total - 1, MOMENTS).astype(int)).tolist()
    clocks = [
        # Each moment has one stall more: a schedule that waits for them may act later.
        Clock("train", step, total, epoch=step // per_epoch, steps_per_epoch=per_epoch, stalls=stalls)
        for stalls, step in enumerate(steps)
    ]
    # The middle and the end come first, since most masks act there.
    order = sorted(
        clocks, key=lambda clock: (clock.step not in (steps[len(steps) // 2], steps[-1]), clock.step)
    )
    case = AuditCase(subject, torch.float64)
    trained = _batches(case, corpus.splits["train"])
    splits = [corpus.splits[name] for name in arm.config.evaluate.splits if name in corpus.splits]
    evaluated = (batch for split in splits if len(split) for batch in _batches(case, split))
    evaluation = Clock.evaluation(total, total, len(steps))
    return _Looks(case, _KnownAnswers(case), tuple(order), trained, evaluation, (*trained, *evaluated))


def _batches(case: AuditCase, split: Split) -> tuple[Batch, ...]:
    """Return the sentences of a split that are looked at, in one batch if a pass of the audit takes them all."""
    ids = _pick(split)
    whole = collate(split, ids)
    at_once = max(1, PASS_BYTES // case.bytes_of_pair(whole.src.shape[1], whole.tgt_in.shape[1]))
    if len(ids) <= at_once:
        return (whole.to(case.subject.device),)
    pieces = (ids[start : start + at_once] for start in range(0, len(ids), at_once))
    return tuple(collate(split, piece).to(case.subject.device) for piece in pieces)


def _pick(split: Split) -> np.ndarray:
    order = np.lexsort((np.arange(len(split)), -(split.src.lengths + split.tgt.lengths)))
    spread = np.linspace(0, len(split) - 1, OTHERS).astype(np.int64)
    return np.asarray(np.unique(np.concatenate([order[:LONGEST], spread])), dtype=np.int64)


def _without_loss(looks: _Looks) -> Iterator[str]:
    """Yield a sentence if the loss masks of the arm leave no target token at any moment looked at."""
    case = looks.case
    if case.plan.is_empty("loss"):
        return
    counts = (
        bool(looks.known.of(looks.trained, index, clock)[..., -1].any())
        for clock in looks.train
        for index in range(len(looks.trained))
    )
    if any(counts):
        return
    yield (
        f"no target token counts in the loss of {_where(looks)}, so nothing can be learned; let the masks at loss leave"
        " some tokens"
    )


def _idle_placements(arm: ArmConfig, looks: _Looks) -> Iterator[str]:
    placements = arm.config.masks
    for index, placement in enumerate(placements):
        if placement.mask in CONTROLS:
            continue
        strategy = MASKS.lookup(placement.mask)
        name = f"{placement.mask} at {placement.site}"
        phases = placement.phases or strategy.default_phases
        if arm.config.init_from is None and (why := _untrained(arm, looks, index, phases)):
            yield f"{name} has learned numbers that are never trained: {why}"
        placed = looks.case.plan.placed[index]
        # What neither moves nor draws does the same at every moment.
        moves = placed.moves_in_time or placed.strategy.stochastic
        moments = looks if moves else replace(looks, train=looks.train[:1])
        acts_in_train, acts_in_eval = _acts(placements[:index] + placements[index + 1 :], moments, phases)
        if acts_in_train or (acts_in_eval and "train" not in phases):
            continue
        if acts_in_eval:
            yield f"{name} changes nothing in training, only in evaluation: {_alike(moments)}"
        else:
            yield f"{name} changes nothing: {_alike(moments)}, nor in evaluation on any split"


def _untrained(arm: ArmConfig, looks: _Looks, index: int, phases: tuple[str, ...]) -> str:
    """Return why a learned mask's parameters keep their initial values; empty if it has none or they are trained."""
    placed = looks.case.plan.placed[index]
    assert isinstance(placed.strategy, Strategy)
    names = [f"masks.{placed.label}.{name}" for name, _ in placed.strategy.named_parameters()]
    if not names:
        return ""
    if "train" not in phases:
        return "it acts in evaluation only"
    patterns = arm.config.train_only
    if patterns is not None and not any(fnmatchcase(name, p) for name in names for p in patterns):
        return f"train_only ({', '.join(patterns)}) leaves them out"
    return ""


def _acts(others: tuple[PlacementConfig, ...], looks: _Looks, phases: tuple[str, ...]) -> tuple[bool, bool]:
    """Return whether the arm's scores differ from those with the other placements alone: in training, in evaluation."""
    case = looks.case
    try:
        without = case.build(others)
    except (ConfigError, ValueError):
        # Another placement needs this one, so it is not idle.
        return True, True

    def is_moved(batch: Batch, clock: Clock, whole: Tensor) -> bool:
        return difference(whole, case.answers(without, batch, clock)) > ROUNDING

    if "train" in phases and any(
        is_moved(batch, clock, looks.known.of(looks.trained, index, clock))
        for clock in looks.train
        for index, batch in enumerate(looks.trained)
    ):
        return True, False
    return False, "eval" in phases and any(
        is_moved(batch, looks.evaluation, case.answers(case.model, batch, looks.evaluation))
        for batch in looks.evaluated
    )


def _where(looks: _Looks) -> str:
    sentences, moments = sum(len(batch.ids) for batch in looks.trained), len(looks.train)
    return f"{sentences} sentences, the longest among them, at {count_of(moments, 'moment')} of training"


def _alike(looks: _Looks) -> str:
    return f"with and without it the model gives the same scores for {_where(looks)}"
