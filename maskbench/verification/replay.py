"""Trains finished runs again, from nothing and in a folder of their own, and compares the bytes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskbench.executors import End, Executor, Task
from maskbench.experiment.train_job import train
from maskbench.runs.directory import RunDirectory
from maskbench.runs.identity import RESULTS_VERSION, Origin
from maskbench.training.environment import moved
from maskbench.training.job import Progress, RunJob
from maskbench.verification.bytes import differences
from maskbench.verification.cells import Cell


@dataclass(frozen=True, slots=True)
class Replayed:
    """A run, and what came of training it again."""

    cell: Cell
    differences: tuple[str, ...] = ()
    """Sentences; empty if every byte is the same."""
    elsewhere: tuple[str, ...] = ()
    """What is not as it was when the run was made, such as `torch 2.12.0 -> 2.13.0`: reasons for other bytes."""

    @property
    def is_identical(self) -> bool:
        """Whether every byte that was compared is the same."""
        return not self.differences


def replay(
    cells: Sequence[Cell],
    folder: Path,
    cache_dir: Path,
    executor: Executor,
    *,
    plugins: Sequence[Path] = (),
    told: Callable[[str], None] = lambda what: None,
) -> tuple[list[Replayed], int | None]:
    """Train the runs again by the same job that trained them, and compare each with what it left behind.

    Args:
        cells: finished runs; nothing is written to their directories.
        folder: an empty folder for the repetitions; each is removed once it has been compared.
        cache_dir: where corpora are built.
        executor: who trains.
        plugins: files with strategies of their own.
        told: is told what is being done.

    Returns:
        What came of every run that was trained to its end, and the number of the signal that stopped the work, if one
        did.
    """
    files = tuple(file.resolve() for file in plugins)
    runs = {
        folder / str(number) / cell.arm.name / cell.run.path.name: cell for number, cell in enumerate(cells)
    }
    listener = _Comparer(runs, told)
    tasks = [
        Task(
            RunJob(
                experiment=cell.experiment,
                panel=cell.panel,
                arm=cell.arm.name,
                seed=cell.run.seed,
                config=cell.arm.config,
                directory=path,
                cache_dir=cache_dir,
                plugins=files,
            ),
            path / "error.log",
        )
        for path, cell in runs.items()
    ]
    signum = executor.execute(train, tasks, listener)
    return listener.found, signum


class _Comparer:
    """Hears when a repetition ends, compares it, and makes room for the next."""

    def __init__(self, runs: dict[Path, Cell], told: Callable[[str], None]) -> None:
        self._runs, self._told = runs, told
        self.found: list[Replayed] = []

    def started(self, task: Task[RunJob]) -> None:
        """Say which run is trained, and how long that took the first time."""
        cell = self._runs[task.payload.directory]
        cost = cell.result.get("cost")
        seconds = cost.get("seconds") if isinstance(cost, dict) else None
        took = f", which took {seconds:.0f} s of training" if isinstance(seconds, int | float) else ""
        self._told(f"replaying {cell.name}{took}")

    def reported(self, task: Task[RunJob], message: Progress) -> None:
        """Show nothing: how far a repetition is changes no byte."""

    def ended(self, task: Task[RunJob], end: End) -> None:
        """Compare what the repetition left behind."""
        path = task.payload.directory
        if end.state != "interrupted":
            self.found.append(_compared(self._runs[path], RunDirectory(path), end.message))
        shutil.rmtree(path, ignore_errors=True)


def _compared(cell: Cell, again: RunDirectory, message: str) -> Replayed:
    status = again.status()
    elsewhere = _elsewhere(cell, again)
    if status.state == "done":
        return Replayed(cell, tuple(differences(cell.run, again)), elsewhere)
    reason = message or str((status.error or {}).get("message", "")) or "its process ended without a word"
    return Replayed(cell, (f"the repetition did not finish ({status.state}): {reason}",), elsewhere)


def _elsewhere(cell: Cell, again: RunDirectory) -> tuple[str, ...]:
    """Say what is not as it was when the run was made."""
    before, here = cell.record, again.record() or {}
    now = Origin(here.get("versions", {}), here.get("environment", {}), here.get("plugins", {}))
    found = moved(before, now)
    commits = [str((record.get("git") or {}).get("commit") or "unknown")[:12] for record in (before, here)]
    if here and commits[0] != commits[1]:
        found.append(f"commit {commits[0]} -> {commits[1]}")
    if not cell.is_of_this_version:
        found.append(f"results version {cell.results_version} -> {RESULTS_VERSION}")
    return tuple(found)
