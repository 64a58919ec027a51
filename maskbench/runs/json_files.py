"""Reads and writes the JSON files of a run; writes are atomic and refuse NaN and infinity."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from maskbench.errors import RunDirectoryError
from maskbench.files import wrap_os_errors, write_atomically


@contextmanager
def wrap_corruption(path: Path) -> Iterator[None]:
    """Turn the body's errors about wrong JSON entries into a `RunDirectoryError` that names the file.

    Raises:
        RunDirectoryError: the body raised a lookup, attribute, type, value or arithmetic error.
    """
    try:
        yield
    except LookupError as error:
        raise RunDirectoryError(f"{path} is damaged: the entry {error} is missing") from error
    except (AttributeError, TypeError, ValueError, ArithmeticError) as error:
        raise RunDirectoryError(f"{path} is damaged: {error}") from error


def canonical_json(value: Any) -> str:
    """Return the canonical text of a JSON value: sorted keys, no spaces, ASCII, floats by `repr`.

    Raises:
        ValueError: the value holds NaN or an infinity.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def encode_json(value: Any) -> bytes:
    """Return a JSON file's bytes: indented by one space, keys in the order given, floats by `repr`.

    Raises:
        ValueError: the value holds NaN or an infinity.
    """
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object atomically.

    Raises:
        ValueError: the value holds NaN or an infinity.
        ResourceError: the file cannot be written.
    """
    write_atomically(path, encode_json(value))


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in `path`, or None if there is no such file.

    Raises:
        RunDirectoryError: the file is not a JSON object.
        ResourceError: the file cannot be read.
    """
    with wrap_os_errors("read", path):
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
