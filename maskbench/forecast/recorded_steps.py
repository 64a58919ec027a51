"""Read the time and memory of training steps from the runs of all experiments in the runs folder.

Only runs on the same kind of machine count. They were timed while other runs trained in parallel, as the next
runs will be.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskbench.config.schema.experiment import RunConfig
from maskbench.errors import MaskbenchError
from maskbench.runs.directory import ExperimentDirectory, RunDirectory
from maskbench.runs.json_files import canonical_json

_MACHINE = ("device", "capability", "machine", "system")
"""Keys of a run's environment that are equal for machines of one kind."""

_TRAIN = ("batch_tokens", "rdrop", "precision", "threads")
"""Keys of `train` that influence the time of a step."""


@dataclass(frozen=True, slots=True)
class RecordedStepTime:
    """The step time of one kind of step in one experiment."""

    experiment: str
    seconds: float
    """Seconds per step, the median over runs."""
    runs: int
    memory: int | None
    """Largest peak memory of the runs in bytes; None if it was not recorded."""


class StepRecords:
    """The step times found in a runs folder."""

    def __init__(self, runs_dir: Path, machine: Mapping[str, Any]) -> None:
        """Read all step times; skip damaged runs, since no result depends on them.

        Args:
            runs_dir: the folder of all experiments.
            machine: the fingerprint of this machine, as `training.environment.origin` gives it.
        """
        found: dict[str, dict[str, list[tuple[float, int | None]]]] = {}
        for experiment, run in _runs(runs_dir):
            timed = _timed(run, machine)
            if timed is not None:
                kind, seconds, memory = timed
                found.setdefault(kind, {}).setdefault(experiment, []).append((seconds, memory))
        self._found = found

    def of(self, config: RunConfig, experiment: str) -> RecordedStepTime | None:
        """Return the step time for these settings: in `experiment`, else where most such runs are."""
        kinds = self._found.get(step_kind(config.identity()), {})
        name = experiment if experiment in kinds else max(kinds, key=lambda e: len(kinds[e]), default=None)
        if name is None:
            return None
        runs = kinds[name]
        peaks = [memory for _, memory in runs if memory is not None]
        seconds = statistics.median(seconds for seconds, _ in runs)
        return RecordedStepTime(name, seconds, len(runs), max(peaks, default=None))


def step_kind(identity: Mapping[str, Any]) -> str:
    """Return the part of a run's configuration that decides the time of a training step, as JSON text."""
    train = {key: identity["train"].get(key) for key in _TRAIN}
    parts = {key: identity.get(key) for key in ("corpus", "model", "masks", "train_only")}
    return canonical_json({**parts, "train": train})


def seconds_per_step(run: RunDirectory) -> float | None:
    """Return the mean seconds per step of a run; None if no step was timed.

    A step that was repeated after a kill counts once.
    """
    by_step = {line["step"]: float(line["seconds"]) for line in run.timing.read()}
    steps = max(by_step, default=0)
    return sum(by_step.values()) / steps if steps else None


def _peak_memory(run: RunDirectory) -> int | None:
    """Return the largest peak memory that a run's process logged, in bytes."""
    peaks = [line.get("peak_memory_mb") for line in run.timing.read()]
    return max((round(float(peak) * 1e6) for peak in peaks if peak is not None), default=None)


def _runs(runs_dir: Path) -> Iterator[tuple[str, RunDirectory]]:
    """Yield every run in the folder with the name of its experiment."""
    for folder in sorted(path for path in runs_dir.glob("*") if path.is_dir()):
        for directory in (folder, *sorted(path.parent for path in folder.glob("*/experiment.yaml"))):
            for run in ExperimentDirectory(directory).runs():
                yield folder.name, run


def _timed(run: RunDirectory, machine: Mapping[str, Any]) -> tuple[str, float, int | None] | None:
    try:
        record = run.record()
        if record is None:
            return None
        here = record["environment"]
        if any(str(here.get(key)) != str(machine.get(key)) for key in _MACHINE):
            return None
        seconds = seconds_per_step(run)
        if seconds is None:
            return None
        return step_kind(record["identity"]["config"]), seconds, _peak_memory(run)
    except (MaskbenchError, OSError, LookupError, TypeError, ValueError, AttributeError):
        return None
