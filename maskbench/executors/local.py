"""Executes tasks in processes of this machine, each task in a process of its own.

A pool would be marked broken as a whole when one of its workers dies, and would carry one run's state into the next.
So a process is started for every task, and waited for by its sentinel. Where there is a fork server, the processes
are forked from one that has imported the heavy modules and run nothing: a start then takes milliseconds instead of
seconds, and no lock or thread pool can be inherited in a bad state. Elsewhere they are spawned; the results are the
same bytes.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, Literal

from maskbench.executors import End, Listener, Message, Payload, Target, Task
from maskbench.executors.signals import StopRequest, held_back
from maskbench.executors.worker import Word, main

StartMethod = Literal["forkserver", "spawn"]

PRELOAD = ("maskbench.experiment.preload",)
"""What the fork server imports before it forks the first child: everything that a run needs."""

# Thread pools of numerical libraries are sized when they are loaded; one that exists when the fork server forks would
# be inherited dead.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def default_method() -> StartMethod:
    """Return `forkserver` where the platform has one, else `spawn`."""
    return "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


@dataclass
class _Child(Generic[Payload]):
    """A task's process, while it runs."""

    task: Task[Payload]
    process: BaseProcess
    pipe: Connection
    retries: int
    began: float = field(default_factory=time.monotonic)
    word: Word | None = None
    """What the child said last, if it came to that."""
    open: bool = True
    """False once the pipe's other end is closed and everything sent has been read."""


@dataclass(frozen=True)
class LocalExecutor:
    """At most `workers` processes at once."""

    workers: int
    method: StartMethod = field(default_factory=default_method)
    retries: int = 1
    """How often a task is started again after its process died by a signal; an exception is never retried."""
    grace_seconds: float = 10.0
    """How long a child that was asked to stop may take before it is killed."""

    preload: tuple[str, ...] = PRELOAD
    """What the fork server imports; counts for the first executor of a process, which starts the server."""

    def warm_up(self) -> None:
        """Start the fork server now, so that it imports while the caller does something else."""
        if self.method != "forkserver":
            return
        forkserver.set_forkserver_preload(list(self.preload))
        # The tracker unblocks signals when it starts, so it has to be there before they are held back.
        resource_tracker.ensure_running()
        before = {name: os.environ.get(name) for name in _ONE_THREAD}
        os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
        try:
            with held_back():
                forkserver.ensure_running()
        finally:
            for name, value in before.items():
                _restore(name, value)

    def alone(self) -> LocalExecutor:
        """Return the same executor with one worker."""
        return replace(self, workers=1)

    def execute(
        self,
        target: Target[Payload, Message],
        tasks: Sequence[Task[Payload]],
        listener: Listener[Payload, Message],
    ) -> int | None:
        """Start the tasks in their order and return when all are over; see `maskbench.executors.Executor`.

        On the first SIGINT, SIGTERM or SIGHUP the running children are asked to stop, and killed after the grace
        period; on the second they are killed and SystemExit is raised. Children also leave when this process dies.
        """
        self.warm_up()
        with StopRequest() as stop:
            crew = _Crew(self, target, listener, stop)
            try:
                crew.work(tasks)
            finally:
                crew.kill()
        return stop.signum


class _Crew(Generic[Payload, Message]):
    """The children of one call of `execute`."""

    def __init__(
        self,
        executor: LocalExecutor,
        target: Target[Payload, Message],
        listener: Listener[Payload, Message],
        stop: StopRequest,
    ) -> None:
        self._executor = executor
        self._target = target
        self._listener = listener
        self._stop = stop
        self._children: list[_Child[Payload]] = []
        self._deadline: float | None = None

    def work(self, tasks: Sequence[Task[Payload]]) -> None:
        """Start, watch and bury children until there is nothing left to do."""
        waiting = deque((task, 0) for task in tasks)
        while True:
            stopping = self._stop.signum is not None
            while waiting and not stopping and len(self._children) < self._executor.workers:
                self._start(*waiting.popleft())
                stopping = self._stop.signum is not None
            if not self._children and (stopping or not waiting):
                return
            if stopping:
                self._ask_to_stop()
            self._wait()
            for child in [child for child in self._children if not child.process.is_alive()]:
                if self._bury(child):
                    waiting.appendleft((child.task, child.retries + 1))

    def kill(self) -> None:
        """End every child that is still there, without asking."""
        for child in self._children:
            child.process.kill()
        for child in self._children:
            child.process.join()
            child.pipe.close()
        self._children.clear()

    def _start(self, task: Task[Payload], retries: int) -> None:
        context: Any = multiprocessing.get_context(self._executor.method)
        ours, theirs = context.Pipe(duplex=False)
        arguments = (self._target, task.payload, theirs, task.log)
        process = context.Process(target=main, args=arguments, daemon=True)
        self._listener.started(task)
        with held_back():
            process.start()
        theirs.close()
        self._children.append(_Child(task, process, ours, retries))

    def _wait(self) -> None:
        """Sleep until a child speaks or ends, a signal comes, or the grace period is over; then read."""
        ready: list[Any] = [child.process.sentinel for child in self._children]
        ready += [child.pipe for child in self._children if child.open]
        timeout = None
        if self._deadline is None:
            ready.append(self._stop.fileno())
        else:
            timeout = max(0.0, self._deadline - time.monotonic())
        wait(ready, timeout)
        for child in self._children:
            self._read(child)

    def _read(self, child: _Child[Payload]) -> None:
        """Pass on everything the child has sent so far."""
        try:
            while child.open and child.pipe.poll():
                message = child.pipe.recv()
                if isinstance(message, Word):
                    child.word = message
                else:
                    self._listener.reported(child.task, message)
        except (EOFError, OSError):  # closed, or the child died in the middle of a message
            child.open = False

    def _ask_to_stop(self) -> None:
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + self._executor.grace_seconds
            for child in self._children:
                child.process.terminate()
        elif now >= self._deadline:
            for child in self._children:
                child.process.kill()

    def _bury(self, child: _Child[Payload]) -> bool:
        """Close the books on a child that has ended; return True when its task should be started again."""
        child.process.join()
        self._read(child)
        child.pipe.close()
        self._children.remove(child)
        stopping = self._stop.signum is not None
        code = child.process.exitcode or 0
        if child.word is None and code < 0 and child.retries < self._executor.retries and not stopping:
            return True
        self._listener.ended(child.task, _end(child, code, stopping))
        return False


def _end(child: _Child[Payload], code: int, stopping: bool) -> End:
    seconds = time.monotonic() - child.began
    if child.word is not None:
        return End(child.word.state, child.word.message, seconds, child.retries)
    if stopping:
        return End("interrupted", "", seconds, child.retries)
    return End("died", _cause(code), seconds, child.retries)


def _cause(code: int) -> str:
    """Say in one sentence why a process is gone that never said how its work ended."""
    if code >= 0:
        return f"its process exited with code {code} before the work was done"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = " (most often the kernel, when memory runs out)" if name == "SIGKILL" else ""
    return f"its process was killed by {name}{hint}"


def _restore(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
