"""An executor for tests: it runs tasks one after the other in the calling process."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from maskbench.executors import Listener, Resources, Task, TaskEnd, TaskFunction
from maskbench.executors.signals import StopRequest
from maskbench.executors.worker import run_function


class SerialExecutor:
    """Keeps the contract of an executor, but that a task which ends its process ends the caller's."""

    def warm_up(self) -> None:
        """Do nothing: there is no process to start."""

    def count_workers(self, resources: Resources) -> int:
        """Return 1."""
        return 1

    def execute(
        self, function: TaskFunction[Any, Any], tasks: Sequence[Task[Any]], listener: Listener[Any, Any]
    ) -> int | None:
        """Run the tasks in their order."""
        with StopRequest() as stop:
            for task in tasks:
                if stop.signum is None:
                    listener.started(task)
                    with _output_to(task.log):
                        result = run_function(function, task.payload, _DirectContext(task, listener, stop))
                    listener.ended(task, TaskEnd(result.state, result.message))
        return stop.signum


class _DirectContext:
    """Hands messages to the listener, those that another process could send."""

    def __init__(self, task: Task[Any], listener: Listener[Any, Any], stop: StopRequest) -> None:
        self._task, self._listener, self._stop = task, listener, stop

    def report(self, message: Any) -> None:
        pickle.dumps(message)
        self._listener.reported(self._task, message)

    def should_stop(self) -> bool:
        return self._stop.signum is not None


@contextlib.contextmanager
def _output_to(log: Path | None) -> Iterator[None]:
    path = log or Path("/dev/null")
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
    with (
        path.open("a", encoding="utf-8") as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        yield
    if log is not None and log.stat().st_size == 0:
        log.unlink()
