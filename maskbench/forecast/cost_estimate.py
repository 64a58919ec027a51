"""Estimate the cost of the runs of a plan: time, memory and disk."""

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
from maskbench.training.environment import compute_dtype, current_origin, peak_memory_mb, pick_device

StepTimeSource = Literal["own", "other", "tried", "assumed"]
"""Source of a step time: runs of this experiment (`own`) or of another one (`other`), steps taken just now
(`tried`), or another arm of this experiment, because the time for trial steps was over (`assumed`)."""

_FLOAT = 4


@dataclass(frozen=True, slots=True)
class StepTime:
    """The expected time of a training step of an arm."""

    seconds: float
    source: StepTimeSource
    where: str
    """Name of the experiment or the arm that the time is from; empty for steps taken just now."""
    count: int
    """Number of runs, or of steps, whose median the time is."""
    memory: int | None = None
    """Peak memory of a run in bytes: of those runs, or predicted from the steps; None if it was not measured."""


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """The expected cost of the runs of a plan that are due."""

    workers: int
    """Number of runs that train at the same time."""
    steps: Mapping[ArmName, StepTime]
    """The step time of every arm with due runs."""
    run_seconds: Mapping[ArmName, float]
    """Training time of one run from its first to its last step, in seconds."""
    seconds: float
    """Wall-clock seconds until all due runs are trained, without evaluation."""
    memory: int
    """Peak memory of the largest run, in bytes."""
    disk: int
    """Maximum size of all checkpoints, in bytes."""
    audit_memory: int = 0
    """Peak memory of the process that audits the arms before training, in bytes; 0 if no arm is due."""

    def more_seeds(self, seeds: int) -> float | None:
        """Return the wall-clock seconds of `seeds` more seeds of every due arm; None if none is due."""
        if not self.run_seconds:
            return None
        return makespan([s for s in self.run_seconds.values() for _ in range(seeds)], self.workers)


def estimate_costs(
    experiment: Experiment, rehearsal: DryRun, runs_dir: Path, executor: Executor
) -> CostEstimate:
    """Return the expected cost of the runs of a plan that are due.

    Args:
        experiment: the planned experiment.
        rehearsal: the plan, with corpora and arms built.
        runs_dir: the folder of all experiments; step times of finished runs are looked up in all of them.
        executor: the executor that would train the runs.
    """
    # The plan has just audited what `run` audits; the trial steps below do not count.
    audit_memory = round(1e6 * peak_memory_mb()) if rehearsal.built else 0
    due = [run for run in rehearsal.planned if run.is_due]
    arms = {run.name[:2]: run.arm for run in due}
    # What `run` decides by, before any step was taken.
    assumed = max((arm.memory for arm in rehearsal.built.values()), default=0)
    needs = [Resources(arm.config.train.threads, assumed) for arm in arms.values()]
    at_once = executor.count_workers(Resources.largest(needs))
    steps = _step_times(experiment, arms, rehearsal.corpora, runs_dir)
    totals = {name: _total_steps(arm, rehearsal.corpora, experiment.seeds[0]) for name, arm in arms.items()}
    ahead = [steps[run.name[:2]].seconds * _steps_ahead(run, totals[run.name[:2]]) for run in due]
    return CostEstimate(
        workers=min(at_once, len(due)) if due else at_once,
        steps=steps,
        run_seconds={name: steps[name].seconds * totals[name] for name in arms},
        seconds=makespan(ahead, at_once),
        memory=max((m for step in steps.values() if (m := step.memory) is not None), default=assumed),
        audit_memory=audit_memory,
        disk=sum(
            _disk(run.arm.config.train, rehearsal.built[run.name[:2]], totals[run.name[:2]]) for run in due
        ),
    )


def makespan(seconds: Sequence[float], workers: int) -> float:
    """Return the end time of the last job, if jobs start in order, each as soon as a worker is free."""
    free = [0.0] * workers
    for length in seconds:
        heapq.heapreplace(free, free[0] + length)
    return max(free)


def _step_times(
    experiment: Experiment, arms: Mapping[ArmName, ArmConfig], corpora: Mapping[str, Corpus], runs_dir: Path
) -> dict[ArmName, StepTime]:
    """Return every arm's step time: from recorded runs, else from trial steps, else from another arm."""
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
            found[name] = StepTime(
                recorded.seconds, source, recorded.experiment, recorded.runs, recorded.memory
            )
    groups = _alike({name: arm for name, arm in arms.items() if name not in found})
    firsts = {group[0]: arms[group[0]].config for group in groups}
    tried = try_steps(
        {name: (config, corpora[corpus_key(config.corpus)]) for name, config in firsts.items()},
        experiment.seeds[0],
    )
    for group in groups:
        if group[0] in tried:
            time = tried[group[0]]
            found |= dict.fromkeys(group, StepTime(time.seconds, "tried", "", time.steps, time.memory))
    known = dict(found)
    for name in arms:
        if name not in known:
            like = _most_like(name, known)
            found[name] = StepTime(known[like].seconds, "assumed", like[1], known[like].count)
    return {name: found[name] for name in arms}


def _alike(arms: Mapping[ArmName, ArmConfig]) -> list[list[ArmName]]:
    """Group the arms whose steps take equal time; corpora of one name count as equal, whatever their size."""
    groups: dict[str, list[ArmName]] = {}
    for name, arm in arms.items():
        identity = arm.config.identity()
        identity["corpus"] = arm.config.corpus.name
        groups.setdefault(step_kind(identity), []).append(name)
    return list(groups.values())


def _most_like(name: ArmName, known: Mapping[ArmName, StepTime]) -> ArmName:
    """Return an arm with a known step time, of the same panel if possible."""
    return next((other for other in known if other[0] == name[0]), next(iter(known)))


def _total_steps(arm: ArmConfig, corpora: Mapping[str, Corpus], seed: int) -> int:
    train = arm.config.train
    if train.epochs is None:
        return train.steps
    split = corpora[corpus_key(arm.config.corpus)].splits["train"]
    return BatchSchedule(split, train.batch_tokens, seed).steps_for_epochs(train.epochs)


def _steps_ahead(run: PlannedRun, total: int) -> int:
    """Return the number of steps a run has left after its last checkpoint."""
    names = (path.name.removeprefix("step-") for path in run.directory.checkpoints.glob("step-*"))
    done = max((int(name) for name in names if name.isdecimal()), default=0)
    return max(0, total - done)


def _disk(train: TrainConfig, arm: BuiltArm, total: int) -> int:
    """Return the maximum bytes of a run's checkpoints: the newest ones, the selected and the averaged."""
    saved = -(-total // min(train.save_every, train.valid_every))
    kept = min(saved, NEWEST_KEPT + max(1, train.average))
    # Weights and two moments, each of one float32 per parameter.
    return kept * 3 * _FLOAT * arm.parameters
