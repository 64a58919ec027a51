"""Where the weights lie that a run starts from: the selected checkpoint of a finished run.

Nothing here needs torch, so that planning can tell whether those weights have changed.
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
    """Its folder; nobody has verified its bytes yet."""
    sha256: str
    """Of its manifest, which holds the hash of every file."""
    vocabulary_sha256: str | None
    """Of the vocabulary it was trained with; None where its run did not record that."""


def find_starting_point(init_from: str, seed: int) -> StartingPoint:
    """Return where a run of this seed starts.

    Args:
        init_from: the folder of an arm, of which the run with the same seed is taken, or that of a run, which is
            then every seed's. A relative path counts from the current directory.
        seed: of the run that is to start.

    Raises:
        ConfigError: there is no such run, or it is not finished; the message says what is there.
        RunDirectoryError: what is there is damaged.
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
    """Say what is there in place of a run of this seed."""
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
