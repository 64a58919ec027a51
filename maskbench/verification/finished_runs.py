"""The finished runs of a directory, and the choice of one that nobody can predict."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskbench.config.schema.experiment import ArmConfig
from maskbench.errors import ConfigError, MaskbenchError
from maskbench.records.collect import RecordedPlugin, describe_unplanned_runs, read_recorded_plugins
from maskbench.records.locate import find_panels
from maskbench.registry import CORPORA, MASKS, METRICS, did_you_mean
from maskbench.runs.directory import RunDirectory
from maskbench.runs.identity import RESULTS_VERSION
from maskbench.runs.json_files import canonical_json


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run with a result."""

    experiment: str
    panel: str | None
    arm: ArmConfig
    run: RunDirectory

    @property
    def name(self) -> str:
        """`arm/seed-3`, with the panel before it where there are panels."""
        place = f"{self.panel}/" if self.panel else ""
        return f"{place}{self.arm.name}/{self.run.path.name}"

    @property
    def record(self) -> Mapping[str, Any]:
        """The contents of run.json; empty where it is missing or damaged."""
        return _read(self.run.record)

    @property
    def result(self) -> Mapping[str, Any]:
        """The contents of result.json; empty where it is damaged."""
        return _read(self.run.result)

    @property
    def plugins(self) -> tuple[RecordedPlugin, ...]:
        """The plug-ins that run.json names; empty where it is damaged."""
        try:
            return read_recorded_plugins(self.record)
        except (LookupError, TypeError, AttributeError):
            return ()

    @property
    def results_version(self) -> int:
        """The results version of the program that made the run; 0 if it is not recorded."""
        identity = self.record.get("identity")
        version = identity.get("results_version") if isinstance(identity, dict) else None
        return version if isinstance(version, int) else 0

    @property
    def is_of_this_version(self) -> bool:
        """Whether this program computes the same numbers."""
        return self.results_version == RESULTS_VERSION


@dataclass(frozen=True, slots=True)
class ExperimentContents:
    """The runs in a directory of an experiment."""

    cells: tuple[FinishedRun, ...]
    unfinished: tuple[str, ...]
    """Names of runs that are planned, in progress, failed or diverged."""
    unplanned: tuple[str, ...]
    """A sentence for each arm that is there and not in the experiment file."""


def find_runs(directory: Path) -> ExperimentContents:
    """Return the runs of an experiment, or of one of its panels.

    Raises:
        ConfigError: there is no experiment.
    """
    finished, unfinished, others = [], [], []
    for found in find_panels(directory):
        others += describe_unplanned_runs(found)
        for arm in found.panel.arms:
            for seed in found.experiment.seeds:
                run = found.directory.run(arm.name, seed)
                cell = FinishedRun(found.experiment.name, found.panel.name, arm, run)
                if (run.path / "result.json").exists():
                    finished.append(cell)
                elif run.path.is_dir():
                    unfinished.append(cell.name)
    return ExperimentContents(tuple(finished), tuple(unfinished), tuple(others))


def find_by_name(cells: Sequence[FinishedRun], name: str) -> FinishedRun:
    """Return the finished run of that name.

    Raises:
        ConfigError: there is none.
    """
    found = next((cell for cell in cells if cell.name == name.strip("/")), None)
    if found is None:
        names = [cell.name for cell in cells]
        example = f" (for example {names[0]})" if names else ""
        raise ConfigError(f"no finished run is called {name!r}{did_you_mean(name, names)}{example}")
    return found


def refuse_missing_plugins(cells: Sequence[FinishedRun]) -> None:
    """Check that this process has what the runs take from plug-ins; nothing is loaded from their directories.

    Raises:
        ConfigError: a plug-in is missing; the message names the copy that the run keeps of it.
    """
    here = {f"{registry.kind} {name}" for registry in (MASKS, CORPORA, METRICS) for name in registry}
    for cell in cells:
        for plugin in cell.plugins:
            missing = [what for what in plugin.used_for or () if what not in here]
            if not missing:
                continue
            copy = f" (the run keeps a copy: {cell.run.path / plugin.copies[0]})" if plugin.copies else ""
            what = f"give --plugin {plugin.option}{copy}" if plugin.option else f"install {plugin.package}"
            raise ConfigError(
                f"{cell.name} takes the {', '.join(missing)} from the plug-in {plugin.name}, SHA-256 "
                f"{plugin.sha256[:12]}: {what}; a plug-in is code, so read it before you run it"
            )


def choose_by_hash(cells: Sequence[FinishedRun]) -> FinishedRun | None:
    """Return one of the runs made by this results version, chosen by a hash of all their results; None if none is.

    Whoever publishes runs cannot know the choice before all runs are finished, and everybody gets the same one.
    """
    candidates = sorted((cell for cell in cells if cell.is_of_this_version), key=lambda cell: cell.name)
    if not candidates:
        return None
    results = [[cell.name, str(cell.result.get("train_nll_sha256"))] for cell in candidates]
    digest = hashlib.sha256(canonical_json(results).encode("ascii")).digest()
    return candidates[int.from_bytes(digest, "big") % len(candidates)]


def _read(file: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
    """Return a JSON file's contents; empty if it is damaged, which the check of its hashes reports."""
    try:
        return file() or {}
    except MaskbenchError:
        return {}
