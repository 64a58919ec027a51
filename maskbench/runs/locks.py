"""One writer at a time for a run's or an experiment's directory: a kernel lock that ends with its process."""

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
    """Hold the lock of a directory, which is made if need be.

    Args:
        describe_holder: returns the end of the sentence `PATH is busy: ...`.

    Raises:
        RunDirectoryError: another process holds the lock.
        ResourceError: the directory is not writable.
    """
    with wrap_os_errors("write", path):
        path.mkdir(parents=True, exist_ok=True)
        # A lock that is a mere file would outlive a killed holder, so none is better than that one.
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
    """Hold an experiment's directory against a second `maskbench run`; reading needs no lock.

    A directory that is still empty at the end, because the experiment was refused, is removed.

    Raises:
        RunDirectoryError: another process holds it; the message names it.
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
