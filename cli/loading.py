"""Reading an experiment file for a command: the plug-ins it may name, and problems shown where they stand."""

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
    """Return the experiment of `file`, checked against the strategies and corpora there are.

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
    """Inside, an error that names a key of the file is raised again as a problem at that key's place."""
    from maskbench.config.load import locate_error
    from maskbench.errors import LeakError, MaskbenchError

    try:
        yield
    except MaskbenchError as error:
        # A leak is no mistake in the file, and has an exit code of its own.
        if error.key is None or isinstance(error, LeakError):
            raise
        raise locate_error(file, error.key, str(error), overrides=list(overrides)) from None
