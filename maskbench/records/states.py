"""Reads the state of every run of a panel, also while other processes write to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

from maskbench.config.schema.experiment import ArmConfig, RetiredArm
from maskbench.errors import MaskbenchError
from maskbench.records.collect import read_run
from maskbench.records.locate import FoundPanel
from maskbench.runs.directory import RunDirectory, RunStateName

STATES: tuple[RunStateName, ...] = ("done", "running", "planned", "interrupted", "failed", "diverged")
"""All run states, in the order in which `count_states` lists them."""

assert set(STATES) == set(get_args(RunStateName))


@dataclass(frozen=True, slots=True)
class RunState:
    """State and progress of one run."""

    arm: str
    seed: int
    state: RunStateName
    step: int | None = None
    """Last logged step; None before the first, and for a finished run."""
    steps: int | None = None
    """Total number of training steps; None if `train.epochs` sets the length."""
    pid: int | None = None
    host: str | None = None
    message: str = ""
    """Reason why it failed, diverged or cannot be read; empty otherwise."""


def read_states(found: FoundPanel) -> dict[str, list[RunState]]:
    """Return the states of all planned runs by arm, in the order of the experiment's seeds.

    A folder that cannot be read counts as a failed run, with the reason; it raises no error.
    """
    return {
        arm.name: [_state(found.directory.run(arm.name, seed), arm) for seed in found.experiment.seeds]
        for arm in found.panel.arms
    }


def read_retired_states(found: FoundPanel) -> list[tuple[RetiredArm, list[RunState]]]:
    """Return a panel's retired arms with the states of the runs they have; seeds never begun are left out."""
    runs = found.directory.runs()
    return [
        (arm, [_state(run, None) for run in runs if run.arm == arm.name]) for arm in found.experiment.retired
    ]


def count_states(runs: Iterable[RunState]) -> dict[RunStateName, int]:
    """Return the number of runs in each state; states without runs are left out."""
    counts = Counter(run.state for run in runs)
    return {state: counts[state] for state in STATES if counts[state]}


def _state(run: RunDirectory, arm: ArmConfig | None) -> RunState:
    train = arm.config.train if arm else None
    steps = train.steps if train and train.epochs is None else None
    try:
        status = run.status()
        if status.state == "done":
            # As in `compare`: a run with an unusable result counts as failed.
            cell = read_run(run, arm)
            state: RunStateName = "done" if cell.state == "done" else "failed"
            return RunState(run.arm, run.seed, state, steps=steps, message=cell.reason)
        message = str((status.error or {}).get("message", ""))
        running = status.state == "running"
        return RunState(
            run.arm,
            run.seed,
            status.state,
            _last_step(run),
            steps,
            status.pid if running else None,
            status.host if running else None,
            message.strip().split("\n")[-1],
        )
    except (MaskbenchError, OSError, ValueError, TypeError, AttributeError, LookupError) as error:
        return RunState(run.arm, run.seed, "failed", steps=steps, message=str(error))


def _last_step(run: RunDirectory) -> int | None:
    return max((line["step"] for line in run.metrics.read()), default=None)
