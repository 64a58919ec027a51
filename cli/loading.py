"""Loads an experiment file with its plug-ins, and gives errors their place in the file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .options import RUNS

if TYPE_CHECKING:
    from maskbench.config.schema.experiment import Experiment


def load(
    file: Path,
    overrides: Sequence[str],
    seeds: str | None = None,
    arms: Sequence[str] = (),
    quick: bool = False,
    plugins: Sequence[Path] = (),
    runs_dir: Path = RUNS,
) -> Experiment:
    """Return the experiment of `file`, validated against the registered strategies and corpora.

    Args:
        runs_dir: where a run may have recorded the plug-in of a name that is unknown now.

    Raises:
        ConfigError: the file, an option of the command line or a plug-in is wrong.
    """
    # The checker asks the registries; importing these fills them.
    import maskbench.data
    import maskbench.masks  # noqa: F401
    from maskbench.config.load import load_experiment
    from maskbench.plugins import load_plugins

    load_plugins(plugins)
    with hint_at_plugins(runs_dir):
        return load_experiment(file, overrides=list(overrides), seeds=seeds, arms=list(arms), quick=quick)


@contextmanager
def hint_at_plugins(runs_dir: Path = RUNS) -> Iterator[None]:
    """Inside, an error about an unknown name also says which plug-in had it, if a run in `runs_dir` used one."""
    from maskbench.errors import ConfigError
    from maskbench.records.recorded_plugins import find_recorded_plugin

    try:
        yield
    except ConfigError as error:
        hints = []
        for name in dict.fromkeys(re.findall(r"\bno (?:[a-z ,]+ named|metric) '([^']+)'", str(error))):
            found = find_recorded_plugin(runs_dir, name)
            if found is not None:
                hints.append(f"{name!r} {found}")
        if not hints:
            raise
        raise ConfigError("\n".join([str(error), *hints]), key=error.key) from error


@contextmanager
def locate_problems(file: Path, overrides: Sequence[str]) -> Iterator[None]:
    """Inside, re-raise an error that names a key of the file as a problem with the line and column of that key."""
    from maskbench.config.load import locate_error
    from maskbench.errors import LeakError, MaskbenchError

    try:
        yield
    except MaskbenchError as error:
        # A leak is not an error in the file, and has its own exit code.
        if error.key is None or isinstance(error, LeakError):
            raise
        raise locate_error(file, error.key, str(error), overrides=list(overrides)) from None


def print_hints(file: Path, overrides: Sequence[str]) -> None:
    """Print a line on stderr for every setting of a valid file that has no effect."""
    import typer

    from maskbench.config.load import find_hints
    from maskbench.text import sanitize

    for hint in find_hints(file, overrides=list(overrides)):
        typer.echo(sanitize(f"hint: {hint}"), err=True)
