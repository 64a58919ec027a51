"""Compares the settings of experiments that were run with their files; `--set` can make the two differ."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from maskbench.config.load import load_resolved
from maskbench.config.resolve.panels import flatten_settings
from maskbench.config.schema.experiment import ArmConfig, Experiment
from maskbench.errors import MaskbenchError


class ExperimentFiles:
    """The experiment files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def differences(self, run: Experiment) -> tuple[str, ...]:
        """Return a phrase for each difference between an experiment that was run and its file.

        Empty if there is no difference or no file of that name. Masks are not compared, because the file
        names them in short form.
        """
        written = self._files.get(run.name)
        return () if written is None else tuple(dict.fromkeys(_differences(run, written)))

    @cached_property
    def _files(self) -> dict[str, Experiment]:
        """The readable experiments by name; files that cannot be read are left out."""
        found = {}
        for path in sorted(self._folder.glob("*.yaml")):
            try:
                experiment = load_resolved(path)
            except (MaskbenchError, OSError):
                continue
            found[experiment.name] = experiment
        return found


def _differences(run: Experiment, written: Experiment) -> Iterator[str]:
    missing = len(set(written.seeds) - set(run.seeds))
    if missing:
        yield f"{missing} of {len(written.seeds)} seeds are missing"
    arms = {(panel.name, arm.name): arm for panel in run.panels for arm in panel.arms}
    for panel in written.panels:
        for arm in panel.arms:
            own = arms.get((panel.name, arm.name))
            yield from [f"no arm {arm.name}"] if own is None else _settings(own, arm)


def _settings(own: ArmConfig, written: ArmConfig) -> Iterator[str]:
    """Yield a phrase for each differing setting; corpus options that the file leaves out are not compared."""
    ours, theirs = flatten_settings(own.config), flatten_settings(written.config)
    for key, value in theirs.items():
        if key in ours and ours[key] != value:
            yield f"{key} {ours[key]} instead of {value}"
