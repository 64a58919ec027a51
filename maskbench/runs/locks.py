"""Locks: one writer per run or experiment directory; the kernel frees a lock when its process ends."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

from maskbench.errors import RunDirectoryError
from maskbench.files import wrap_os_errors
from maskbench.runs.json_files import read_json, write_json


@contextmanager
def lock_directory(path: Path, describe_holder: Callable[[], str]) -> Iterator[None]:
    """Hold the lock of a directory; create the directory if it does not exist.

    Args:
        describe_holder: returns the end of the error message `PATH is busy: ...`.

    Raises:
        RunDirectoryError: another process holds the lock.
        ResourceError: the directory is not writable.
    """
    with wrap_os_errors("write", path):
        path.mkdir(parents=True, exist_ok=True)
        # No soft lock: a plain lock file would remain after its process was killed.
        lock = filelock.FileLock(path / ".lock", fallback_to_soft=False)
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            raise RunDirectoryError(f"{path} is busy: {describe_holder()}") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def lock_experiment(path: Path) -> Iterator[None]:
    """Lock an experiment's directory so that no second `maskbench run` writes to it; reading needs no lock.

    Removes the directory at the end if it is still empty because the experiment was refused.

    Raises:
        RunDirectoryError: another process holds the lock; the message names that process.
    """
    owner = path / ".owner.json"

    def describe_holder() -> str:
        try:
            found = read_json(owner) or {}
        except RunDirectoryError:
            found = {}
        holder = f" (pid {found['pid']} on {found['host']})" if {"pid", "host"} <= found.keys() else ""
        return f"another maskbench run{holder} is working on it; wait for it, or stop it first"

    with lock_directory(path, describe_holder):
        try:
            write_json(owner, {"pid": os.getpid(), "host": platform.node()})
            yield
        finally:
            owner.unlink(missing_ok=True)
            with suppress(OSError):
                if {entry.name for entry in path.iterdir()} <= {".lock"}:
                    (path / ".lock").unlink(missing_ok=True)
                    path.rmdir()
