"""Reads the state of every run of a panel while other processes write there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

from maskbench.config.schema.experiment import ArmConfig
from maskbench.errors import MaskbenchError
from maskbench.records.collect import read_run
from maskbench.records.locate import FoundPanel
from maskbench.runs.directory import RunDirectory, RunStateName

STATES: tuple[RunStateName, ...] = ("done", "running", "planned", "interrupted", "failed", "diverged")
"""In the order in which they are counted."""

assert set(STATES) == set(get_args(RunStateName))


@dataclass(frozen=True, slots=True)
class RunState:
    """One run."""

    arm: str
    seed: int
    state: RunStateName
    step: int | None = None
    """The last step that was logged; None before the first, and of a run that is done."""
    steps: int | None = None
    """How many there will be; None where `train.epochs` decides it."""
    pid: int | None = None
    host: str | None = None
    message: str = ""
    """Why it failed, diverged, or cannot be read."""


def read_states(found: FoundPanel) -> dict[str, list[RunState]]:
    """Return the state of every planned run by arm, in the order of the experiment's seeds.

    A folder that cannot be read is a run that failed, with the reason; nothing here raises for it.
    """
    return {
        arm.name: [_state(found.directory.run(arm.name, seed), arm) for seed in found.experiment.seeds]
        for arm in found.panel.arms
    }


def count_states(runs: Iterable[RunState]) -> dict[RunStateName, int]:
    """Return how many runs are in each state, states without one left out."""
    counts = Counter(run.state for run in runs)
    return {state: counts[state] for state in STATES if counts[state]}


def _state(run: RunDirectory, arm: ArmConfig) -> RunState:
    train = arm.config.train
    steps = train.steps if train.epochs is None else None
    try:
        status = run.status()
        if status.state == "done":
            # As `compare` has it: a result that cannot be used is none.
            cell = read_run(run, arm)
            state: RunStateName = "done" if cell.state == "done" else "failed"
            return RunState(arm.name, run.seed, state, steps=steps, message=cell.reason)
        message = str((status.error or {}).get("message", ""))
        running = status.state == "running"
        return RunState(
            arm.name,
            run.seed,
            status.state,
            _last_step(run),
            steps,
            status.pid if running else None,
            status.host if running else None,
            message.strip().split("\n")[-1],
        )
    except (MaskbenchError, OSError, ValueError, TypeError, AttributeError, LookupError) as error:
        return RunState(arm.name, run.seed, "failed", steps=steps, message=str(error))


def _last_step(run: RunDirectory) -> int | None:
    return max((line["step"] for line in run.metrics.read()), default=None)
