"""Writes and verifies checkpoints: safetensors and JSON files, and a manifest with the SHA-256 of each.

    checkpoints/
      step-000200/  model.safetensors  optimizer.safetensors  state.json  manifest.json
      best.json     the selected step, the metric and its value

A checkpoint is written to a temporary folder, the manifest last, synced, and renamed. An incomplete one is
ignored. The hashes detect flipped bits; neither zip archives nor safetensors check the bytes of a tensor.
There is no "latest" pointer: the newest checkpoint is the highest step that verifies. The same state always
gives the same bytes.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from maskbench.errors import MaskbenchError, ResourceError, RunDirectoryError
from maskbench.files import (
    UNFINISHED,
    remove_folder,
    sha256_of,
    sync_directory,
    unfinished_folder,
    wrap_os_errors,
    write_synced,
)
from maskbench.runs.json_files import encode_json, read_json, write_json

FORMAT_VERSION = 1
"""Version of the checkpoint format; increased when an older program could misread a newer checkpoint."""

NEWEST_KEPT = 2
"""Number of newest valid checkpoints that pruning keeps, in addition to the best one."""

_FILES = ("model.safetensors", "optimizer.safetensors", "state.json")
_STEP = re.compile(r"step-(\d{6,})")


class DeterminismAlarm(MaskbenchError):
    """The same step of the same run was computed twice with different bytes: a bug or a changed machine."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Training state after a step; a run that resumes from it computes the same as an uninterrupted run."""

    run: str
    """The hash of the run's identity."""
    step: int
    """Number of optimiser updates done."""
    model: Mapping[str, Tensor] = field(repr=False)
    optimizer: Mapping[str, Tensor] = field(repr=False)
    """Optimiser state by `exp_avg/<name>`, `exp_avg_sq/<name>` and `step/<name>`."""
    state: Mapping[str, Any]
    """The training loop's state as JSON. `state["best"]["step"]`: step of the best checkpoint, if any."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint on disk whose files match the hashes in its manifest."""

    path: Path
    run: str
    step: int
    state: Mapping[str, Any]

    @property
    def best_step(self) -> int | None:
        """Step of the best checkpoint at the time this one was written; None before the first validation."""
        found = self.state.get("best")
        return int(found["step"]) if found else None

    def read_model(self) -> dict[str, Tensor]:
        """Return the model's weights by parameter name."""
        return dict(load_file(self.path / "model.safetensors"))

    def load_into(self, model: torch.nn.Module) -> None:
        """Load the weights into `model`.

        Raises:
            RunDirectoryError: the model has other parameters, because another version wrote the checkpoint.
        """
        try:
            model.load_state_dict(self.read_model(), strict=True)
        except RuntimeError as error:
            raise RunDirectoryError(
                f"{self.path} does not fit the model this version builds; move the run directory away ({error})"
            ) from error

    def read_optimizer(self) -> dict[str, Tensor]:
        """Return the optimiser's moments and step counts by name."""
        return dict(load_file(self.path / "optimizer.safetensors"))


@dataclass(frozen=True, slots=True)
class CheckpointScan:
    """The valid and damaged checkpoints of a folder."""

    valid: tuple[Checkpoint, ...]
    """Verified checkpoints, newest first."""
    damaged: tuple[str, ...]
    """One error message for each unusable checkpoint folder, newest first."""

    @property
    def resumable(self) -> Checkpoint | None:
        """The newest valid checkpoint whose best checkpoint is valid too; None if there is none."""
        steps = {checkpoint.step for checkpoint in self.valid}
        return next((c for c in self.valid if c.best_step is None or c.best_step in steps), None)


def save_checkpoint(folder: Path, snapshot: Snapshot) -> Path:
    """Write a checkpoint, sync it to disk and return its folder.

    If a valid checkpoint of this step exists, its bytes must be the same. A damaged one is replaced.

    Raises:
        DeterminismAlarm: a valid checkpoint of this step holds other bytes.
        ResourceError: the disk is full or not writable; older checkpoints stay unchanged.
    """
    target = folder / f"step-{snapshot.step:06d}"
    with wrap_os_errors("write a checkpoint to", folder):
        folder.mkdir(parents=True, exist_ok=True)
        with unfinished_folder(target) as built:
            manifest = _build(built, snapshot)
            if target.exists() and _same_as_present(target, manifest):
                return target
            os.rename(built, target)
            sync_directory(folder)
    return target


def _build(place: Path, snapshot: Snapshot) -> dict[str, Any]:
    """Write the files of a checkpoint into an empty folder, the manifest last, and return the manifest."""
    contents = (_serialise(snapshot.model), _serialise(snapshot.optimizer), encode_json(snapshot.state))
    for name, data in zip(_FILES, contents, strict=True):
        write_synced(place / name, data)
    manifest = {
        "format": FORMAT_VERSION,
        "run": snapshot.run,
        "step": snapshot.step,
        "files": {
            name: {"size": len(data), "sha256": sha256_of(place / name)}
            for name, data in zip(_FILES, contents, strict=True)
        },
    }
    write_synced(place / "manifest.json", encode_json(manifest))
    sync_directory(place)
    return manifest


def _serialise(tensors: Mapping[str, Tensor]) -> bytes:
    # Copy each tensor: safetensors refuses tied weights, which share storage.
    return save({name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()})


def _same_as_present(target: Path, manifest: Mapping[str, Any]) -> bool:
    """Return whether `target` already holds this checkpoint; rename a damaged one."""
    try:
        verify_checkpoint(target)
    except RunDirectoryError:
        os.rename(target, target.with_name(f".damaged-{target.name}-{secrets.token_hex(4)}"))
        return False
    present = read_json(target / "manifest.json") or {}
    differing = [name for name in _FILES if present["files"][name] != manifest["files"][name]]
    if differing or present["run"] != manifest["run"]:
        raise DeterminismAlarm(
            f"{target} was computed again with other bytes in {', '.join(differing) or 'the run it belongs to'}: "
            "the program or the machine is not deterministic; move the run directory away and run again"
        )
    return True


def verify_checkpoint(path: Path) -> Checkpoint:
    """Check every file of a checkpoint against the manifest and return the checkpoint.

    Raises:
        RunDirectoryError: a file is missing or differs from the manifest, or the manifest has another format.
    """
    try:
        return _verified(path)
    except (OSError, ResourceError) as error:
        raise RunDirectoryError(f"{path} cannot be read: {error}") from error


def _verified(path: Path) -> Checkpoint:
    manifest = read_json(path / "manifest.json")
    if manifest is None:
        raise RunDirectoryError(f"{path} has no manifest.json")
    if manifest.get("format") != FORMAT_VERSION:
        raise RunDirectoryError(
            f"{path} has format {manifest.get('format')!r}; this version reads {FORMAT_VERSION}"
        )
    for name in _FILES:
        file, entry = path / name, manifest.get("files", {}).get(name, {})
        if not file.is_file():
            raise RunDirectoryError(f"{path} has no {name}")
        if file.stat().st_size != entry.get("size") or sha256_of(file) != entry.get("sha256"):
            raise RunDirectoryError(f"{file} differs from its checksum")
    state = read_json(path / "state.json") or {}
    found = _STEP.fullmatch(path.name)
    if found is None or manifest.get("step") != int(found[1]):
        raise RunDirectoryError(f"{path} holds step {manifest.get('step')}, not the one in its name")
    return Checkpoint(path, str(manifest.get("run")), int(found[1]), state)


def scan_checkpoints(folder: Path, run: str | None = None) -> CheckpointScan:
    """Verify every checkpoint in a folder and return the valid and the damaged ones.

    Args:
        folder: `checkpoints/` of a run; it need not exist.
        run: hash of a run's identity; if given, checkpoints of other runs count as damaged.
    """
    valid, damaged = [], []
    for path in _step_folders(folder):
        try:
            checkpoint = verify_checkpoint(path)
            if run is not None and checkpoint.run != run:
                raise RunDirectoryError(f"{path} belongs to another run ({checkpoint.run}, not {run})")
            valid.append(checkpoint)
        except RunDirectoryError as error:
            damaged.append(str(error))
    return CheckpointScan(tuple(valid), tuple(damaged))


def write_best(folder: Path, step: int, metric: str, value: float) -> None:
    """Write best.json, which names the selected checkpoint."""
    write_json(folder / "best.json", {"step": step, "metric": metric, "value": value})


def load_best(folder: Path) -> Checkpoint:
    """Return the selected checkpoint.

    Raises:
        RunDirectoryError: none is selected, or the selected one is damaged.
    """
    selected = read_json(folder / "best.json")
    if selected is None:
        raise RunDirectoryError(f"{folder} has no best.json: no checkpoint has been selected yet")
    return verify_checkpoint(folder / f"step-{int(selected['step']):06d}")


def prune_checkpoints(folder: Path, also: Collection[int] = ()) -> None:
    """Delete old checkpoints; keep the newest two that verify, the best ones they name, and the selected one.

    Counts and deletes only checkpoints that verify: incomplete ones never displace a valid one, and damaged
    ones are kept for inspection.

    Args:
        also: further steps whose checkpoints are kept.
    """
    valid = scan_checkpoints(folder).valid
    newest = valid[:NEWEST_KEPT]
    needed = {c.step for c in newest} | {c.best_step for c in newest} | set(also)
    needed.add((read_json(folder / "best.json") or {}).get("step"))
    with wrap_os_errors("prune", folder):
        for checkpoint in valid:
            if checkpoint.step not in needed:
                remove_folder(checkpoint.path)


def remove_unfinished_checkpoints(folder: Path) -> None:
    """Delete the unfinished checkpoint folders of a killed process; the caller holds the run's lock."""
    for path in folder.glob(f"{UNFINISHED}*"):
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)


def _step_folders(folder: Path) -> list[Path]:
    found = [p for p in folder.glob("step-*") if _STEP.fullmatch(p.name)]
    return sorted(found, key=lambda p: int(p.name.removeprefix("step-")), reverse=True)
