"""Finds the weights that a run starts from: the selected checkpoint of a finished run.

Does not import torch, so that planning can check whether those weights have changed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from maskbench.errors import ConfigError
from maskbench.files import sha256_of, wrap_os_errors
from maskbench.runs.directory import RunDirectory
from maskbench.runs.json_files import read_json

_RUN = re.compile(r"seed-\d+")
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class StartingPoint:
    """The selected checkpoint of a finished run."""

    run: RunDirectory
    checkpoint: Path
    """The checkpoint's folder; its bytes are not verified here."""
    sha256: str
    """SHA-256 of the checkpoint's manifest, which holds the hash of every file."""
    vocabulary_sha256: str | None
    """SHA-256 of the vocabulary it was trained with; None where its run did not record it."""


def find_starting_point(init_from: str, seed: int) -> StartingPoint:
    """Return the checkpoint that a run with this seed starts from.

    Args:
        init_from: an arm's folder (the run with the same seed is used) or a run's folder (used for every
            seed). A relative path counts from the current directory.
        seed: seed of the run that is to start.

    Raises:
        ConfigError: there is no such run, or it is not finished; the message lists the folders found.
        RunDirectoryError: a file of that run is damaged.
    """
    place = Path(init_from)
    run = RunDirectory(place if _RUN.fullmatch(place.name) else place / f"seed-{seed}")
    if not run.path.is_dir():
        raise ConfigError(_nothing_there(place, seed))
    state = run.status().state
    if state != "done":
        raise ConfigError(f"{run.path} has not finished ({state}), so it has no weights to start from yet")
    selected = read_json(run.checkpoints / "best.json") or {}
    checkpoint = run.checkpoints / f"step-{int(selected.get('step', 0)):06d}"
    manifest = checkpoint / "manifest.json"
    if not manifest.is_file():
        raise ConfigError(f"{run.path} has lost its selected checkpoint; move it away and train it again")
    with wrap_os_errors("read", manifest):
        sha256 = sha256_of(manifest)
    vocabulary = (run.record() or {}).get("vocabulary_sha256")
    return StartingPoint(run, checkpoint, sha256, None if vocabulary is None else str(vocabulary))


def _nothing_there(place: Path, seed: int) -> str:
    """Return an error message that lists the folders in `place`, which has no run of this seed."""
    if not place.is_dir():
        return f"there is no folder {place} (relative paths count from {Path.cwd()})"
    folders = sorted(path.name for path in place.iterdir() if path.is_dir() and path.name[0] != ".")
    runs = sorted((name for name in folders if _RUN.fullmatch(name)), key=lambda n: int(n[len("seed-") :]))
    if runs:
        return f"{place} has no run of seed {seed} (it has {_listed(runs)})"
    there = f"it has {_listed(folders)}" if folders else "it is empty"
    return f"{place} is not the folder of an arm or of a run ({there})"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
