"""Ctrl-C and its kin: the first one asks politely, the second one leaves at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOPPING: tuple[int, ...] = tuple(
    int(getattr(signal, name)) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""The signals that mean "stop": from the terminal, from a scheduler, from a closed terminal."""


def exit_code(signum: int) -> int:
    """Return what a process that was stopped by the signal exits with, as shells count: 130, 143 or 129."""
    return 128 + signum


def _leave(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(exit_code(signum))


class StopRequest:
    """While entered, the first stopping signal is noted instead of raised; the second raises SystemExit.

    A loop that waits for file descriptors adds `fileno()` to them, so it wakes up the moment a signal is noted.
    Signals can only be caught in a program's main thread; elsewhere nothing is installed and `signum` stays None.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        """The first signal that came, if any."""
        self._before: dict[int, Any] = {}
        self._read, self._write = -1, -1

    def __enter__(self) -> StopRequest:
        self._read, self._write = os.pipe()
        if threading.current_thread() is threading.main_thread():
            self._before = {signum: signal.signal(signum, self._note) for signum in STOPPING}
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        os.close(self._read)
        os.close(self._write)

    def fileno(self) -> int:
        """Return a descriptor that becomes readable when the first signal comes, and stays so."""
        return self._read

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None:
            # A third signal, during the clean-up that this exception starts, ends the process without any.
            for each in STOPPING:
                signal.signal(each, signal.SIG_DFL)
            raise SystemExit(exit_code(signum))
        self.signum = signum
        os.write(self._write, b"!")


@contextmanager
def leaving_on_signals() -> Iterator[None]:
    """Inside, a stopping signal raises SystemExit with the signal's exit code: no traceback, and `finally` runs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.signal(signum, _leave) for signum in STOPPING}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextmanager
def held_back() -> Iterator[None]:
    """Inside, stopping signals wait; processes started inside have them blocked from their first instruction on.

    A terminal sends Ctrl-C, and a scheduler SIGTERM, to every process of the group. Only the parent decides what it
    means; the fork server must outlive it, or nobody would learn how the children end.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def accept(signum: int, handler: Callable[[int, FrameType | None], None]) -> None:
    """Handle one signal in a process that was started with it held back."""
    signal.signal(signum, handler)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signum})
