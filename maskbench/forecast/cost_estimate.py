"""Estimates what the runs of a plan cost: time, memory and disk."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from maskbench.config.schema.experiment import ArmConfig, Experiment, TrainConfig
from maskbench.data.batches import BatchSchedule
from maskbench.data.corpus import Corpus
from maskbench.executors import Executor, Resources
from maskbench.experiment.plan import PlannedRun, corpus_key
from maskbench.experiment.preparation import BuiltArm, DryRun
from maskbench.forecast.recorded_steps import StepRecords, step_kind
from maskbench.forecast.trial_steps import ArmName, try_steps
from maskbench.runs.checkpoint import NEWEST_KEPT
from maskbench.training.environment import compute_dtype, current_origin, pick_device

StepTimeSource = Literal["own", "other", "tried", "assumed"]
"""Where a step time comes from: runs of this experiment (`own`) or of another one (`other`), steps taken just now
(`tried`), or another arm of this experiment, because the time for trying was over (`assumed`)."""

_FLOAT = 4


@dataclass(frozen=True, slots=True)
class StepTime:
    """The expected time of a training step of an arm."""

    seconds: float
    source: StepTimeSource
    where: str
    """The experiment or the arm that the time is from; empty for steps taken just now."""
    count: int
    """The number of runs, or steps, of which the time is the median."""


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """The expected cost of the runs that are due."""

    workers: int
    """Runs that train at once."""
    steps: Mapping[ArmName, StepTime]
    """Of every arm that is due."""
    run_seconds: Mapping[ArmName, float]
    """Training time of one run from its first step to its last."""
    seconds: float
    """Wall-clock time until all are trained, without evaluation."""
    memory: int
    """Bytes that the largest run needs."""
    disk: int
    """Bytes of checkpoints, at most."""

    def more_seeds(self, seeds: int) -> float | None:
        """Return the wall-clock time of `seeds` more seeds of every arm that is due; None if none is."""
        if not self.run_seconds:
            return None
        return makespan([s for s in self.run_seconds.values() for _ in range(seeds)], self.workers)


def estimate_costs(
    experiment: Experiment, rehearsal: DryRun, runs_dir: Path, executor: Executor
) -> CostEstimate:
    """Return the expected cost of the runs of a plan that are due.

    Args:
        experiment: what is planned.
        rehearsal: the plan, with corpora and arms built.
        runs_dir: the folder that holds experiments; step times of finished runs are looked for in all of them.
        executor: would train the runs.
    """
    due = [run for run in rehearsal.planned if run.is_due]
    arms = {run.name[:2]: run.arm for run in due}
    memory = max((arm.memory for arm in rehearsal.built.values()), default=0)
    needs = [Resources(arm.config.train.threads, memory) for arm in arms.values()]
    at_once = executor.count_workers(Resources.largest(needs))
    steps = _step_times(experiment, arms, rehearsal.corpora, runs_dir)
    totals = {name: _total_steps(arm, rehearsal.corpora, experiment.seeds[0]) for name, arm in arms.items()}
    ahead = [steps[run.name[:2]].seconds * _steps_ahead(run, totals[run.name[:2]]) for run in due]
    return CostEstimate(
        workers=min(at_once, len(due)) if due else at_once,
        steps=steps,
        run_seconds={name: steps[name].seconds * totals[name] for name in arms},
        seconds=makespan(ahead, at_once),
        memory=memory,
        disk=sum(
            _disk(run.arm.config.train, rehearsal.built[run.name[:2]], totals[run.name[:2]]) for run in due
        ),
    )


def makespan(seconds: Sequence[float], workers: int) -> float:
    """Return when the last of some jobs ends, if each starts, in order, as soon as a worker is free."""
    free = [0.0] * workers
    for length in seconds:
        heapq.heapreplace(free, free[0] + length)
    return max(free)


def _step_times(
    experiment: Experiment, arms: Mapping[ArmName, ArmConfig], corpora: Mapping[str, Corpus], runs_dir: Path
) -> dict[ArmName, StepTime]:
    """Return every arm's step time: from runs if there are any, else from steps taken now, else from another arm."""
    if not arms:
        return {}
    config = next(iter(arms.values())).config
    dtype = compute_dtype(config.train.precision, config.model.d_model, pick_device())
    records = StepRecords(runs_dir, current_origin(config.train.threads, dtype, pick_device()).environment)
    found: dict[ArmName, StepTime] = {}
    for name, arm in arms.items():
        recorded = records.of(arm.config, experiment.name)
        if recorded is not None:
            source: StepTimeSource = "own" if recorded.experiment == experiment.name else "other"
            found[name] = StepTime(recorded.seconds, source, recorded.experiment, recorded.runs)
    groups = _alike({name: arm for name, arm in arms.items() if name not in found})
    firsts = {group[0]: arms[group[0]].config for group in groups}
    tried = try_steps(
        {name: (config, corpora[corpus_key(config.corpus)]) for name, config in firsts.items()},
        experiment.seeds[0],
    )
    for group in groups:
        if group[0] in tried:
            time = tried[group[0]]
            found |= dict.fromkeys(group, StepTime(time.seconds, "tried", "", time.steps))
    known = dict(found)
    for name in arms:
        if name not in known:
            like = _most_like(name, known)
            found[name] = StepTime(known[like].seconds, "assumed", like[1], known[like].count)
    return {name: found[name] for name in arms}


def _alike(arms: Mapping[ArmName, ArmConfig]) -> list[list[ArmName]]:
    """Return the arms whose steps take the same time, together; the size of a corpus makes no step longer."""
    groups: dict[str, list[ArmName]] = {}
    for name, arm in arms.items():
        identity = arm.config.identity()
        identity["corpus"] = arm.config.corpus.name
        groups.setdefault(step_kind(identity), []).append(name)
    return list(groups.values())


def _most_like(name: ArmName, known: Mapping[ArmName, StepTime]) -> ArmName:
    """Return a known arm of the same panel, or any."""
    return next((other for other in known if other[0] == name[0]), next(iter(known)))


def _total_steps(arm: ArmConfig, corpora: Mapping[str, Corpus], seed: int) -> int:
    train = arm.config.train
    if train.epochs is None:
        return train.steps
    split = corpora[corpus_key(arm.config.corpus)].splits["train"]
    return BatchSchedule(split, train.batch_tokens, seed).steps_for_epochs(train.epochs)


def _steps_ahead(run: PlannedRun, total: int) -> int:
    """Return how many steps a run has left after its last checkpoint."""
    names = (path.name.removeprefix("step-") for path in run.directory.checkpoints.glob("step-*"))
    done = max((int(name) for name in names if name.isdecimal()), default=0)
    return max(0, total - done)


def _disk(train: TrainConfig, arm: BuiltArm, total: int) -> int:
    """Return the bytes of the checkpoints a run keeps at most: the newest ones, the selected and the averaged."""
    saved = -(-total // min(train.save_every, train.valid_every))
    kept = min(saved, NEWEST_KEPT + max(1, train.average))
    # Weights and two moments.
    return kept * 3 * _FLOAT * arm.parameters
