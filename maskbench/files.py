"""Files and folders that survive a kill: a reader finds the old contents or the new ones, never a mixture."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from maskbench.errors import ResourceError

UNFINISHED = ".tmp-"
"""How the names of files and folders begin that are not finished, or are being deleted."""


@contextmanager
def wrap_os_errors(action: str, path: Path) -> Iterator[None]:
    """Turn an `OSError` of the body into a `ResourceError` with the action, the path and the space left.

    Args:
        action: a verb that fits between "cannot" and the path, such as `write`.
    """
    try:
        yield
    except OSError as error:
        raise ResourceError(
            f"cannot {action} {path}: {error.strerror or error}{_space_left(path)}"
        ) from error


def _space_left(path: Path) -> str:
    place = next((p for p in (path, *path.parents) if p.exists()), None)
    if place is None:
        return ""
    return f" ({shutil.disk_usage(place).free / 1e6:.0f} MB free there)"


def sha256_of(path: Path) -> str:
    """Return the hex SHA-256 of a file's bytes.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_directory(path: Path) -> None:
    """Make renames inside `path` durable; do nothing where directories cannot be opened (Windows)."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_synced(path: Path, data: bytes) -> None:
    """Write a new file and wait until the disk has it; the caller renames it or its folder into place."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def replace_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a new file next to `path` that replaces `path` durably when the body ends.

    If the body raises, the new file is deleted and `path` stays as it was. The folder must exist.

    Raises:
        OSError: the disk is full, or the folder is not writable; `path` is then as it was.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f"{UNFINISHED}{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files private; results and corpora are meant to be read by others.
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, wholly or not at all, durably; make its folder if need be.

    Raises:
        ResourceError: the disk is full or the place is not writable; `path` is then as it was.
    """
    with wrap_os_errors("write", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as file:
            file.write(data)


@contextmanager
def unfinished_folder(target: Path) -> Iterator[Path]:
    """Yield a new folder next to `target`, which the body fills and renames to `target`.

    At the end the folder is deleted if it still has its first name.

    Raises:
        OSError: the folder cannot be made.
    """
    built = _unfinished_name(target)
    built.mkdir()
    try:
        yield built
    finally:
        shutil.rmtree(built, ignore_errors=True)


def remove_folder(path: Path) -> None:
    """Delete a folder so that no reader, and no kill halfway, leaves a part of it under its own name.

    Raises:
        OSError: the folder does not exist, or cannot be renamed or deleted.
    """
    doomed = _unfinished_name(path)
    os.rename(path, doomed)
    shutil.rmtree(doomed)


def _unfinished_name(path: Path) -> Path:
    return path.with_name(f"{UNFINISHED}{path.name}-{os.getpid()}-{secrets.token_hex(4)}")
