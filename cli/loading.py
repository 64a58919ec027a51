"""Loads an experiment file with its plug-ins, and gives errors their place in the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maskbench.config.schema.experiment import Experiment


def load(
    file: Path,
    overrides: Sequence[str],
    seeds: str | None = None,
    arms: Sequence[str] = (),
    quick: bool = False,
    plugins: Sequence[Path] = (),
) -> Experiment:
    """Return the experiment of `file`, validated against the registered strategies and corpora.

    Raises:
        ConfigError: the file, an option of the command line or a plug-in is wrong.
    """
    # The checker asks the registries; importing these fills them.
    import maskbench.data
    import maskbench.masks  # noqa: F401
    from maskbench.config.load import load_experiment
    from maskbench.plugins import load_plugins

    load_plugins(plugins)
    return load_experiment(file, overrides=list(overrides), seeds=seeds, arms=list(arms), quick=quick)


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
