"""Runs tasks in processes of this machine, each task in a process of its own.

A pool would be marked broken as a whole when one of its workers dies, and would carry one task's state into the next.
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
from dataclasses import dataclass, field
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, Literal

from maskbench.executors import Listener, Message, Payload, Resources, Task, TaskEnd, TaskFunction
from maskbench.executors.machine import count_fitting
from maskbench.executors.signals import StopRequest, block_stop_signals
from maskbench.executors.worker import TaskResult, main

StartMethod = Literal["forkserver", "spawn"]

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
    result: TaskResult | None = None
    """The child's last message, once it has come."""
    open: bool = True
    """False once the pipe's other end is closed and everything sent has been read."""


@dataclass(frozen=True)
class LocalExecutor:
    """Runs at most `workers` processes at once."""

    workers: int | None = None
    """None: as many as cores and memory allow."""
    method: StartMethod = field(default_factory=default_method)
    retries: int = 1
    """How often a task is started again after its process died by a signal; an exception is never retried."""
    grace_seconds: float = 10.0
    """How long a child that was asked to stop may take before it is killed."""
    preload: Sequence[str] = ()
    """Modules that the fork server imports before it forks the first child; counts for the first executor of a process,
    which starts the server."""

    def warm_up(self) -> None:
        """Start the fork server now, so that it imports while the caller does something else."""
        if self.method != "forkserver":
            return
        forkserver.set_forkserver_preload(list(self.preload))
        # The tracker unblocks signals when it starts, so it has to be there before they are blocked.
        resource_tracker.ensure_running()
        before = {name: os.environ.get(name) for name in _ONE_THREAD}
        os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
        try:
            with block_stop_signals():
                forkserver.ensure_running()
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    def count_workers(self, resources: Resources) -> int:
        """Return `workers`, or how many tasks that need `resources` this machine can run at once."""
        return count_fitting(resources) if self.workers is None else self.workers

    def execute(
        self,
        function: TaskFunction[Payload, Message],
        tasks: Sequence[Task[Payload]],
        listener: Listener[Payload, Message],
    ) -> int | None:
        """Start the tasks in their order and return when all are over; see `maskbench.executors.Executor`.

        Without `workers`, as many run at once as would fit if each needed what the largest needs.

        On the first SIGINT, SIGTERM or SIGHUP the running children are asked to stop, and killed after the grace
        period; on the second they are killed and SystemExit is raised. Children also exit when this process dies.
        """
        self.warm_up()
        largest = Resources.largest(task.resources for task in tasks)
        with StopRequest() as stop:
            pool = _WorkerPool(self, self.count_workers(largest), function, listener, stop)
            try:
                pool.run(tasks)
            finally:
                pool.kill()
        return stop.signum


class _WorkerPool(Generic[Payload, Message]):
    """The children of one call of `execute`."""

    def __init__(
        self,
        executor: LocalExecutor,
        workers: int,
        function: TaskFunction[Payload, Message],
        listener: Listener[Payload, Message],
        stop: StopRequest,
    ) -> None:
        self._executor = executor
        self._workers = workers
        self._function = function
        self._listener = listener
        self._stop = stop
        self._children: list[_Child[Payload]] = []
        self._deadline: float | None = None
        """When children that were asked to stop are killed, by the monotonic clock."""

    def run(self, tasks: Sequence[Task[Payload]]) -> None:
        """Run all tasks."""
        waiting = deque((task, 0) for task in tasks)
        while True:
            stopping = self._stop.signum is not None
            while waiting and not stopping and len(self._children) < self._workers:
                self._start(*waiting.popleft())
                stopping = self._stop.signum is not None
            if not self._children and (stopping or not waiting):
                return
            if stopping:
                self._stop_children()
            self._wait()
            for child in [child for child in self._children if not child.process.is_alive()]:
                if self._reap(child):
                    waiting.appendleft((child.task, child.retries + 1))

    def kill(self) -> None:
        """Kill every child that is still there."""
        for child in self._children:
            child.process.kill()
        for child in self._children:
            child.process.join()
            child.pipe.close()
        self._children.clear()

    def _start(self, task: Task[Payload], retries: int) -> None:
        context: Any = multiprocessing.get_context(self._executor.method)
        receiver, sender = context.Pipe(duplex=False)
        arguments = (self._function, task.payload, sender, task.log)
        process = context.Process(target=main, args=arguments, daemon=True)
        self._listener.started(task)
        with block_stop_signals():
            process.start()
        sender.close()
        self._children.append(_Child(task, process, receiver, retries))

    def _wait(self) -> None:
        """Sleep until a child sends or ends, a signal comes, or the grace period is over; then read what was sent."""
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
                if isinstance(message, TaskResult):
                    child.result = message
                else:
                    self._listener.reported(child.task, message)
        except (EOFError, OSError):  # closed, or the child died in the middle of a message
            child.open = False

    def _stop_children(self) -> None:
        """Ask the children to stop; kill them once the grace period is over."""
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + self._executor.grace_seconds
            for child in self._children:
                child.process.terminate()
        elif now >= self._deadline:
            for child in self._children:
                child.process.kill()

    def _reap(self, child: _Child[Payload]) -> bool:
        """Collect a child that has ended; return True if its task is to be started again."""
        child.process.join()
        self._read(child)
        child.pipe.close()
        self._children.remove(child)
        stopping = self._stop.signum is not None
        code = child.process.exitcode or 0
        seconds = time.monotonic() - child.began
        if child.result is not None:
            end = TaskEnd(child.result.state, child.result.message, seconds, child.retries)
        elif stopping:
            end = TaskEnd("interrupted", "", seconds, child.retries)
        elif code < 0 and child.retries < self._executor.retries:
            return True
        else:
            end = TaskEnd("died", _describe_exit(code), seconds, child.retries)
        self._listener.ended(child.task, end)
        return False


def _describe_exit(code: int) -> str:
    """Say in one sentence why a process is gone that sent no result."""
    if code >= 0:
        return f"its process exited with code {code} before the work was done"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = " (most often the kernel, when memory runs out)" if name == "SIGKILL" else ""
    return f"its process was killed by {name}{hint}"
