"""Trains finished runs again, from the start and in a folder of their own, and compares the bytes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskbench.errors import MaskbenchError
from maskbench.executors import Executor, Task, TaskEnd
from maskbench.experiment.train_job import train, train_task
from maskbench.runs.checkpoint import Checkpoint, scan_checkpoints
from maskbench.runs.directory import RunDirectory
from maskbench.runs.identity import RESULTS_VERSION, SoftwareEnvironment
from maskbench.runs.json_files import read_json
from maskbench.training.environment import environment_changes
from maskbench.training.job import Progress, RunJob
from maskbench.verification.finished_runs import FinishedRun

_SHOWN = 60


def compare_runs(run: RunDirectory, again: RunDirectory) -> list[str]:
    """Return a sentence for every file of a finished run whose bytes differ in its repetition.

    Compared are the logged numbers, the translations, the counts of their sentences, and the weights of every checkpoint
    that both kept, the selected one among them. A file that an earlier version did not write is not compared.
    """
    found = list(_compare_lines(run.metrics.path, again.metrics.path, "metrics.jsonl"))
    for folder in ("translations", "sentences"):
        for file in sorted((run.path / folder).glob("*.jsonl")):
            found += _compare_lines(file, again.path / folder / file.name, f"{folder}/{file.name}")
    return [*found, *_compare_weights(run, again)]


def _compare_lines(file: Path, other: Path, name: str) -> Iterator[str]:
    if not other.exists():
        yield f"{name} was not written again"
        return
    ours, theirs = file.read_bytes(), other.read_bytes()
    if ours == theirs:
        return
    rows, others = ours.split(b"\n"), theirs.split(b"\n")
    pairs = zip(rows, others, strict=False)
    at = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(rows), len(others)))
    yield f"{name} differs from line {at + 1} on: {_line(rows, at)} here, {_line(others, at)} when replayed"


def _line(rows: list[bytes], at: int) -> str:
    """Return a line, cut to a length that can be read."""
    if at >= len(rows) or (at == len(rows) - 1 and not rows[at]):
        return "nothing"
    text = rows[at].decode("utf-8", "replace")
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _compare_weights(run: RunDirectory, again: RunDirectory) -> Iterator[str]:
    ours, theirs = ({c.step: c for c in scan_checkpoints(one.checkpoints).valid} for one in (run, again))
    selected, other = (_selected(one) for one in (run, again))
    if selected != other:
        yield f"another checkpoint was selected: step {selected} here, step {other} when replayed"
    elif selected not in ours:
        yield f"the selected checkpoint, step {selected}, is not there whole, so its weights cannot be compared"
    # A run that was interrupted has saved where it stood, so the two may have kept different steps.
    for step in sorted(ours.keys() & theirs.keys()):
        yield from _compare_tensors(ours[step], theirs[step])


def _selected(run: RunDirectory) -> object:
    try:
        return (read_json(run.checkpoints / "best.json") or {}).get("step")
    except MaskbenchError:  # damaged, as the check of the hashes says
        return None


def _compare_tensors(ours: Checkpoint, theirs: Checkpoint) -> Iterator[str]:
    name = "model.safetensors"
    if (ours.path / name).read_bytes() == (theirs.path / name).read_bytes():
        return
    here, there = ours.read_model(), theirs.read_model()
    place = f"the weights of {ours.path.name}"
    if {k: v.shape for k, v in here.items()} != {k: v.shape for k, v in there.items()}:
        yield f"{place} differ in their names or shapes"
        return
    gaps = {
        key: float((here[key].double() - there[key].double()).abs().max())
        for key in here
        if here[key].numel()
    }
    differing = [key for key, gap in gaps.items() if gap]
    if differing:
        largest = max(gaps.values())
        yield f"{place} differ in {len(differing)} of {len(here)} tensors, first {differing[0]}, by at most {largest:.2g}"
    else:
        yield f"{place} are stored in other bytes, though every number is the same"


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """A run, and the result of training it again."""

    cell: FinishedRun
    differences: tuple[str, ...] = ()
    """Sentences; empty if every byte is the same."""
    changes: tuple[str, ...] = ()
    """What has changed since the run was made, such as `torch 2.12.0 -> 2.13.0`: reasons for other bytes."""

    @property
    def is_identical(self) -> bool:
        """Whether every byte that was compared is the same."""
        return not self.differences


def replay(
    cells: Sequence[FinishedRun],
    folder: Path,
    cache_dir: Path,
    executor: Executor,
    *,
    plugins: Sequence[Path] = (),
    notify: Callable[[str], None] = lambda what: None,
) -> tuple[list[ReplayResult], int | None]:
    """Train the runs again by the same job that trained them, and compare each with what it left behind.

    Args:
        cells: finished runs; nothing is written to their directories.
        folder: an empty folder for the repetitions; each is removed once it has been compared.
        cache_dir: where corpora are built.
        executor: trains the runs.
        plugins: files that add strategies, metrics or corpora.
        notify: receives a sentence on what is being done.

    Returns:
        The result of every run that was trained to its end, and the number of the signal that stopped the work, or None.
    """
    files = tuple(file.resolve() for file in plugins)
    runs = {
        folder / str(number) / cell.arm.name / cell.run.path.name: cell for number, cell in enumerate(cells)
    }
    listener = _ReplayListener(runs, notify)
    tasks = [
        train_task(
            cell.experiment,
            cell.panel,
            cell.arm,
            path,
            seed=cell.run.seed,
            cache_dir=cache_dir,
            plugins=files,
        )
        for path, cell in runs.items()
    ]
    signum = executor.execute(train, tasks, listener)
    return listener.found, signum


class _ReplayListener:
    """Compares each repetition when it ends, and removes it."""

    def __init__(self, runs: dict[Path, FinishedRun], notify: Callable[[str], None]) -> None:
        self._runs, self._told = runs, notify
        self.found: list[ReplayResult] = []

    def started(self, task: Task[RunJob]) -> None:
        """Say which run is trained, and how long that took the first time."""
        cell = self._runs[task.payload.directory]
        cost = cell.result.get("cost")
        seconds = cost.get("seconds") if isinstance(cost, dict) else None
        took = f", which took {seconds:.0f} s of training" if isinstance(seconds, int | float) else ""
        self._told(f"replaying {cell.name}{took}")

    def reported(self, task: Task[RunJob], message: Progress) -> None:
        """Do nothing."""

    def ended(self, task: Task[RunJob], end: TaskEnd) -> None:
        """Compare the repetition with its run."""
        path = task.payload.directory
        if end.state != "interrupted":
            self.found.append(_compare_replay(self._runs[path], RunDirectory(path), end.message))
        shutil.rmtree(path, ignore_errors=True)


def _compare_replay(cell: FinishedRun, again: RunDirectory, message: str) -> ReplayResult:
    status = again.status()
    changes = _environment_changes(cell, again)
    if status.state == "done":
        return ReplayResult(cell, tuple(compare_runs(cell.run, again)), changes)
    reason = message or str((status.error or {}).get("message", "")) or "its process ended without a word"
    return ReplayResult(cell, (f"the repetition did not finish ({status.state}): {reason}",), changes)


def _environment_changes(cell: FinishedRun, again: RunDirectory) -> tuple[str, ...]:
    """Return what has changed since the run was made."""
    before, here = cell.record, again.record() or {}
    now = SoftwareEnvironment(
        here.get("versions", {}),
        here.get("environment", {}),
        here.get("plugins", {}),
        tuple(here.get("plugin_files", ())),
    )
    found = environment_changes(before, now)
    commits = [str((record.get("git") or {}).get("commit") or "unknown")[:12] for record in (before, here)]
    if here and commits[0] != commits[1]:
        found.append(f"commit {commits[0]} -> {commits[1]}")
    if not cell.is_of_this_version:
        found.append(f"results version {cell.results_version} -> {RESULTS_VERSION}")
    return tuple(found)
