"""What a training step took in runs that lie in the runs folder, of this experiment and of others.

Only runs of the same machine count. They were timed as they trained, side by side with others, which is how the next
ones will train.
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
"""What of a run's environment says that it ran on a machine like this one."""

_TRAIN = ("batch_tokens", "rdrop", "precision", "threads")
"""What of `train` decides how long a step is, and not how many there are."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What steps of one kind took in one experiment."""

    experiment: str
    seconds: float
    """Of a step: the median over runs."""
    runs: int


class StepRecords:
    """The step times found in a runs folder."""

    def __init__(self, runs_dir: Path, machine: Mapping[str, Any]) -> None:
        """Read them; what is damaged is passed over, since nothing depends on it.

        Args:
            runs_dir: the folder that holds experiments.
            machine: the fingerprint of this machine, as `training.environment.origin` gives it.
        """
        found: dict[str, dict[str, list[float]]] = {}
        for experiment, run in _runs(runs_dir):
            timed = _timed(run, machine)
            if timed is not None:
                kind, seconds = timed
                found.setdefault(kind, {}).setdefault(experiment, []).append(seconds)
        self._found = found

    def of(self, config: RunConfig, experiment: str) -> Recorded | None:
        """Return what a step of these settings took: in this experiment, else in the one with the most such runs."""
        kinds = self._found.get(kind_of(config.identity()), {})
        name = experiment if experiment in kinds else max(kinds, key=lambda e: len(kinds[e]), default=None)
        if name is None:
            return None
        return Recorded(name, statistics.median(kinds[name]), len(kinds[name]))


def kind_of(identity: Mapping[str, Any]) -> str:
    """Return what decides how long a training step takes, of the configuration in a run's identity."""
    train = {key: identity["train"].get(key) for key in _TRAIN}
    parts = {key: identity.get(key) for key in ("corpus", "model", "masks", "train_only")}
    return canonical_json({**parts, "train": train})


def seconds_per_step(run: RunDirectory) -> float | None:
    """Return what a step of a run took on average; None if none was timed.

    A step that was done twice, before and after a kill, counts once.
    """
    by_step = {line["step"]: float(line["seconds"]) for line in run.timing.read()}
    steps = max(by_step, default=0)
    return sum(by_step.values()) / steps if steps else None


def _runs(runs_dir: Path) -> Iterator[tuple[str, RunDirectory]]:
    """Yield every run in the folder with the name of its experiment."""
    for folder in sorted(path for path in runs_dir.glob("*") if path.is_dir()):
        for directory in (folder, *sorted(path.parent for path in folder.glob("*/experiment.yaml"))):
            for run in ExperimentDirectory(directory).runs():
                yield folder.name, run


def _timed(run: RunDirectory, machine: Mapping[str, Any]) -> tuple[str, float] | None:
    try:
        record = run.record()
        if record is None:
            return None
        here = record["environment"]
        if any(str(here.get(key)) != str(machine.get(key)) for key in _MACHINE):
            return None
        seconds = seconds_per_step(run)
        return None if seconds is None else (kind_of(record["identity"]["config"]), seconds)
    except (MaskbenchError, OSError, LookupError, TypeError, ValueError, AttributeError):
        return None
