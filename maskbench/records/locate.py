"""Finds the panels of an experiment's or a panel's directory, and the newest experiment in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from maskbench.config.load import load_resolved
from maskbench.config.schema.experiment import Experiment, PanelConfig
from maskbench.errors import ConfigError
from maskbench.runs.directory import ExperimentDirectory

EXPERIMENT_FILE = "experiment.yaml"


@dataclass(frozen=True, slots=True)
class FoundPanel:
    """A panel, its experiment, and the directory that holds its arms."""

    directory: ExperimentDirectory
    experiment: Experiment
    panel: PanelConfig


def newest_experiment(runs_dir: Path) -> Path:
    """Return the experiment in `runs_dir` whose experiment.yaml or results changed last.

    Raises:
        ConfigError: `runs_dir` holds no experiment.
    """
    dated = [(when, path) for path in _subdirectories(runs_dir) if (when := _last_change(path)) is not None]
    if not dated:
        where = "is empty" if runs_dir.is_dir() else "does not exist"
        raise ConfigError(
            f"no experiment to compare: the runs folder {runs_dir} {where}; "
            "train one first with `maskbench run FILE`, or name a directory"
        )
    return max(dated)[1]


def find_panels(directory: Path) -> list[FoundPanel]:
    """Return the panels of an experiment's directory, or the one panel of a panel's directory.

    Raises:
        ConfigError: there is no experiment, or experiment.yaml is damaged; the message suggests a directory.
    """
    directory = Path(directory)
    if (directory / EXPERIMENT_FILE).is_file():
        experiment = load_resolved(directory / EXPERIMENT_FILE)
        own = [panel for panel in experiment.panels if panel.name == directory.resolve().name]
        if own and directory.resolve().parent.name == experiment.name:
            return [FoundPanel(ExperimentDirectory(directory), experiment, own[0])]
        return [_placed(directory, experiment, panel) for panel in experiment.panels]
    below = [path for path in _subdirectories(directory) if (path / EXPERIMENT_FILE).is_file()]
    loaded = [(path, load_resolved(path / EXPERIMENT_FILE)) for path in below]
    if loaded and all(experiment.name == directory.resolve().name for _, experiment in loaded):
        return [panel for path in below for panel in find_panels(path)]
    raise ConfigError(_nothing_here(directory, below))


def _placed(directory: Path, experiment: Experiment, panel: PanelConfig) -> FoundPanel:
    place = directory / panel.name if panel.name else directory
    return FoundPanel(ExperimentDirectory(place), experiment, panel)


def _nothing_here(directory: Path, below: list[Path]) -> str:
    if not directory.exists():
        return f"no such directory: {directory}; train an experiment first with `maskbench run FILE`"
    if not directory.is_dir():
        return f"{directory} is a file; name the directory of an experiment, such as runs/quickstart"
    if below:
        names = ", ".join(path.name for path in below)
        return f"{directory} holds several experiments ({names}); name one: maskbench compare {below[0]}"
    above = next((path for path in directory.resolve().parents if (path / EXPERIMENT_FILE).is_file()), None)
    if above is not None:
        return f"{directory} is part of an experiment; compare the whole: maskbench compare {above}"
    return (
        f"{directory} holds no experiment (no {EXPERIMENT_FILE}); train one first with `maskbench run FILE`"
    )


def _last_change(directory: Path) -> float | None:
    """Return the time of the experiment's last change in seconds; None if `directory` is no experiment."""
    files = [
        *(directory / EXPERIMENT_FILE, *directory.glob(f"*/{EXPERIMENT_FILE}")),
        *directory.glob("*/seed-*/result.json"),
        *directory.glob("*/*/seed-*/result.json"),
    ]
    if not any(path.name == EXPERIMENT_FILE and path.is_file() for path in files):
        return None
    return max(path.stat().st_mtime for path in files if path.is_file())


def _subdirectories(directory: Path) -> Iterator[Path]:
    if directory.is_dir():
        yield from (path for path in sorted(directory.iterdir()) if path.is_dir())
