"""Files that survive a kill: a reader finds the old contents or the new ones, never something between.

JSON is written without NaN or infinity and read without executing anything. Every failure of the operating system
becomes a `ResourceError` that names the path, so that a full disk is one sentence and not a traceback.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from maskbench.errors import ResourceError, RunDirectoryError

_CHUNK = 1 << 20


@contextmanager
def explained(action: str, path: Path) -> Iterator[None]:
    """Turn an `OSError` of the body into a `ResourceError` that says what was tried, where, and the space left."""
    try:
        yield
    except OSError as error:
        raise ResourceError(
            f"cannot {action} {path}: {error.strerror or error}{_space_left(path)}"
        ) from error


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Turn what the body raises over a file of the right form and the wrong content into one sentence about the file.

    Raises:
        RunDirectoryError: it holds something else than it should.
    """
    try:
        yield
    except LookupError as error:
        raise RunDirectoryError(f"{path} is damaged: the entry {error} is missing") from error
    except (AttributeError, TypeError, ValueError, ArithmeticError) as error:
        raise RunDirectoryError(f"{path} is damaged: {error}") from error


def _space_left(path: Path) -> str:
    place = next((p for p in (path, *path.parents) if p.exists()), None)
    if place is None:
        return ""
    return f" ({shutil.disk_usage(place).free / 1e6:.0f} MB free there)"


def canonical_json(value: Any) -> str:
    """Return the one spelling of a JSON value: sorted keys, no spaces, ASCII, floats by `repr`.

    Raises:
        ValueError: the value holds NaN or an infinity.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def json_bytes(value: Any) -> bytes:
    """Return a JSON file's bytes: indented for people, in the order given, floats by `repr`.

    Raises:
        ValueError: the value holds NaN or an infinity.
    """
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def sync_directory(path: Path) -> None:
    """Make renames inside `path` durable; a no-op where directories cannot be opened (Windows)."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_synced(path: Path, data: bytes) -> None:
    """Write a new file and wait until the disk has it; the caller renames it or its directory into place."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, wholly or not at all, durably.

    Raises:
        ResourceError: the disk is full or the place is not writable; `path` is then as it was.
    """
    with explained("write", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".tmp-{path.name}-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            # mkstemp makes files private; results are meant to be read by others.
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        sync_directory(path.parent)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object atomically.

    Raises:
        ValueError: the value holds NaN or an infinity.
        ResourceError: the file cannot be written.
    """
    write_atomically(path, json_bytes(value))


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in `path`, or None where there is no such file.

    Raises:
        RunDirectoryError: the file is not a JSON object.
        ResourceError: the file cannot be read.
    """
    with explained("read", path):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RunDirectoryError(f"{path} is damaged: {error}") from error
    if not isinstance(value, dict):
        raise RunDirectoryError(f"{path} is damaged: it should hold a JSON object")
    return value


def sha256_of(path: Path) -> str:
    """Return the hex SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
