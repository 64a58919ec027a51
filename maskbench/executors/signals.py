"""Signals that stop the program: the first one asks for a graceful stop, the second one exits."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from maskbench.errors import StopSignal

STOP_SIGNALS: tuple[int, ...] = tuple(
    int(getattr(signal, name)) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""The signals that ask a process to stop: from the terminal, from a scheduler, from a closed terminal."""


def exit_code(signum: int) -> int:
    """Return what a process that was stopped by the signal exits with, as shells count: 130, 143 or 129."""
    return 128 + signum


def _exit(signum: int, frame: FrameType | None) -> None:
    raise StopSignal(exit_code(signum))


class StopRequest:
    """Inside, the first stop signal is recorded in `signum`; the second raises SystemExit.

    A loop that waits for file descriptors adds `fileno()` to them, so it wakes up the moment a signal comes.
    Signals can only be caught in a program's main thread; elsewhere nothing is installed and `signum` stays None.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        """The first stop signal, if one came."""
        self._before: dict[int, Any] = {}
        self._read, self._write = -1, -1

    def __enter__(self) -> StopRequest:
        self._read, self._write = os.pipe()
        if threading.current_thread() is threading.main_thread():
            self._before = {signum: signal.signal(signum, self._receive) for signum in STOP_SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        os.close(self._read)
        os.close(self._write)

    def fileno(self) -> int:
        """Return a descriptor that becomes readable when the first signal comes, and stays so."""
        return self._read

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None:
            # A third signal, during the clean-up that this exception starts, ends the process without any.
            for each in STOP_SIGNALS:
                signal.signal(each, signal.SIG_DFL)
            raise StopSignal(exit_code(signum))
        self.signum = signum
        os.write(self._write, b"!")


@contextmanager
def exit_on_stop_signals() -> Iterator[None]:
    """Inside, a stop signal raises SystemExit with the signal's exit code: no traceback, and `finally` runs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.signal(signum, _exit) for signum in STOP_SIGNALS}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextmanager
def block_stop_signals() -> Iterator[None]:
    """Inside, stop signals are blocked, also in processes started inside, from their first instruction on.

    A terminal sends Ctrl-C, and a scheduler SIGTERM, to every process of the group. Only the parent decides what to do;
    the fork server must not end by it, because it tells the parent how the children end.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def handle_blocked_signal(signum: int, handler: Callable[[int, FrameType | None], None]) -> None:
    """Handle one signal in a process that was started with it blocked."""
    signal.signal(signum, handler)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signum})
