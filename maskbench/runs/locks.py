"""One writer for an experiment: a kernel lock on its directory, which dies with its holder."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

from maskbench.errors import RunDirectoryError
from maskbench.runs.files import explained, read_json, write_json


@contextmanager
def sole_writer(path: Path) -> Iterator[None]:
    """Hold an experiment's directory against a second `maskbench run`; reading needs no lock.

    Raises:
        RunDirectoryError: another process holds it; the message names it.
    """
    owner = path / ".owner.json"
    with explained("write", path):
        path.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path / ".lock", fallback_to_soft=False)
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            raise RunDirectoryError(_busy(path, owner)) from None
    try:
        write_json(owner, {"pid": os.getpid(), "host": platform.node()})
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()
        _remove_if_unused(path)


def _remove_if_unused(path: Path) -> None:
    """Remove the directory of an experiment that was refused before it left anything there."""
    with suppress(OSError):
        if {entry.name for entry in path.iterdir()} <= {".lock"}:
            (path / ".lock").unlink(missing_ok=True)
            path.rmdir()


def _busy(path: Path, owner: Path) -> str:
    try:
        found = read_json(owner) or {}
    except RunDirectoryError:
        found = {}
    holder = f" (pid {found['pid']} on {found['host']})" if {"pid", "host"} <= found.keys() else ""
    return f"{path} is busy: another maskbench run{holder} is working on it; wait for it, or stop it first"
