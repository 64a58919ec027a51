"""Writes output files atomically; refuses to overwrite the files of an experiment."""

from __future__ import annotations

import os
from pathlib import Path

PROTECTED_FILES = ("experiment.yaml", "plans.jsonl", "cost.json")
"""Files of an experiment's folder that no output may replace."""


def save_output(written: bytes, output: Path) -> None:
    """Write a file atomically; a link is followed, and a pipe or device is written to directly.

    Raises:
        ConfigError: the file belongs to an experiment.
        ResourceError: there is no such folder, it cannot be written, or the file is read-only.
    """
    from maskbench.files import wrap_os_errors, write_atomically

    refuse_output(output)
    if output.exists() and not output.is_file():
        # Never replace a pipe or a device by a file.
        with wrap_os_errors("write", output), output.open("wb") as stream:
            stream.write(written)
    else:
        write_atomically(output.resolve(), written)


def refuse_output(output: Path) -> None:
    """Raise what `save_output` would raise for this path, so that a command can check before its work.

    Raises:
        ConfigError, ResourceError: as of `save_output`.
    """
    from maskbench.errors import ConfigError, ResourceError

    target = output.resolve()
    if _is_of_experiment(target):
        raise ConfigError(f"cannot write {output}: it belongs to an experiment; give another name")
    if output.is_file():
        # `os.access` allows a superuser everything, so the mode is checked as well.
        if not output.stat().st_mode & 0o222 or not os.access(output, os.W_OK):
            raise ResourceError(f"cannot write {output}: it is read-only; give another name, or change that")
    elif not output.exists() and not target.parent.is_dir():
        raise ResourceError(f"cannot write {output}: there is no folder {target.parent}")


def _is_of_experiment(target: Path) -> bool:
    """Whether a file is one of `PROTECTED_FILES` of an experiment, or lies in the folder of a run."""
    if target.name in PROTECTED_FILES and (target.parent / PROTECTED_FILES[0]).is_file():
        return True
    runs = (folder for folder in target.parents if folder.name.startswith("seed-"))
    return any((run.parent.parent / PROTECTED_FILES[0]).is_file() for run in runs)
