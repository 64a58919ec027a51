"""The main function of a child process: leave signals to the parent, run one task, send how it ended.

This module is the first thing a child runs, whether it was forked from the fork server or spawned.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType

from maskbench.errors import MaskbenchError
from maskbench.executors import Message, Payload, TaskContext, TaskFunction, TaskState
from maskbench.executors.signals import STOP_SIGNALS, handle_blocked_signal

_stop = threading.Event()


class _PipeContext:
    """The `TaskContext` of a child process: messages go to its parent over a pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def report(self, message: object) -> None:
        """Send `message` to the parent."""
        self._pipe.send(message)

    def should_stop(self) -> bool:
        """Return whether the parent has asked this process to stop."""
        return _stop.is_set()


@dataclass(frozen=True, slots=True)
class TaskResult:
    """A child's last message to its parent: how the task's function ended."""

    state: TaskState
    message: str = ""


def main(
    function: TaskFunction[Payload, Message], payload: Payload, pipe: Connection, log: Path | None
) -> None:
    """Run one task in this process and send its result over the pipe; the entry point of a child."""
    _handle_signals()
    _exit_with_the_parent()
    _redirect_output(log)
    pipe.send(run_function(function, payload, _PipeContext(pipe)))
    pipe.close()
    _remove_if_empty(log)


def run_function(
    function: TaskFunction[Payload, Message], payload: Payload, context: TaskContext[Message]
) -> TaskResult:
    """Call a task's function and return how it ended; print the traceback of what it raises to stderr."""
    try:
        state = function(payload, context)
    except MaskbenchError as error:
        traceback.print_exc()
        return TaskResult("raised", str(error))
    except BaseException as error:
        # SystemExit among them: a strategy that calls exit() has failed, not finished.
        traceback.print_exc()
        return TaskResult("raised", f"{type(error).__name__}: {error}")
    return TaskResult("interrupted" if state == "interrupted" else "finished")


def _handle_signals() -> None:
    """Ignore the terminal's signals, and take SIGTERM as the parent's request to stop."""

    def set_stop(signum: int, frame: FrameType | None) -> None:
        _stop.set()

    for signum in STOP_SIGNALS:
        if signum != signal.SIGTERM:
            signal.signal(signum, signal.SIG_IGN)
    handle_blocked_signal(signal.SIGTERM, set_stop)


def _exit_with_the_parent() -> None:
    """Exit when the parent is gone, whatever ended it: its end of a pipe closes, even after SIGKILL.

    Exiting at once is safe because every file of a run is either whole or ignored.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def _redirect_output(log: Path | None) -> None:
    """Send this process's stdout and stderr, those of native code included, to the log."""
    if log is None:
        descriptor = os.open(os.devnull, os.O_WRONLY)
    else:
        log.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    faulthandler.enable(file=2)


def _remove_if_empty(log: Path | None) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    if log is not None and log.exists() and log.stat().st_size == 0:
        log.unlink()
