"""What a child process does: leave signals to the parent, work on one payload, say how it ended.

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
from maskbench.executors import EndState, Message, Payload, Target
from maskbench.executors.signals import STOPPING, accept

_stop = threading.Event()


class Interrupted(BaseException):
    """Raised by a task's function to say that it stopped because it was asked to.

    Not an `Exception`, so that no error handling on the way takes it for a failure.
    """


def stop_requested() -> bool:
    """Return True in a child whose parent has asked it to stop."""
    return _stop.is_set()


def use_threads(threads: int) -> None:
    """Compute with so many threads in this process; called before its first tensor operation."""
    import torch

    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)


@dataclass(frozen=True, slots=True)
class Word:
    """A child's last message to its parent: how the task's function ended."""

    state: EndState
    message: str = ""


def main(target: Target[Payload, Message], payload: Payload, pipe: Connection, log: Path | None) -> None:
    """Run one task in this process and send its end over the pipe; the entry point of a child."""
    _listen_to_the_parent()
    _end_with_the_parent()
    _redirect_output(log)
    pipe.send(_word(target, payload, pipe))
    pipe.close()
    _drop_empty(log)


def _word(target: Target[Payload, Message], payload: Payload, pipe: Connection) -> Word:
    try:
        target(payload, pipe.send)
    except Interrupted:
        return Word("interrupted")
    except MaskbenchError as error:
        traceback.print_exc()
        return Word("raised", str(error))
    except (
        BaseException
    ) as error:  # SystemExit among them: a strategy that calls exit() has failed, not finished
        traceback.print_exc()
        return Word("raised", f"{type(error).__name__}: {error}")
    return Word("finished")


def _listen_to_the_parent() -> None:
    """Let the terminal's signals pass by, and take SIGTERM as the parent's request to stop."""

    def note(signum: int, frame: FrameType | None) -> None:
        _stop.set()

    for signum in STOPPING:
        if signum != signal.SIGTERM:
            signal.signal(signum, signal.SIG_IGN)
    accept(signal.SIGTERM, note)


def _end_with_the_parent() -> None:
    """Leave when the parent is gone, whatever took it: its end of a pipe closes, even after SIGKILL.

    Leaving at once is safe because every file of a run is either whole or ignored.
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


def _drop_empty(log: Path | None) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    if log is not None and log.exists() and log.stat().st_size == 0:
        log.unlink()
