"""The contract of an executor: it runs tasks, several at a time, and reports what happens to each.

An executor knows nothing of masks or training. It is given a function, a list of tasks and a listener; it calls the
function once for every task, in a process of its own, and tells the listener when a task starts, reports and ends.
`maskbench.executors.local` runs processes of this machine. A cluster would be another module with the same methods and
one entry in `maskbench.executors.registry`; `tests/executors/conformance.py` checks any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Literal, Protocol, TypeVar

Payload = TypeVar("Payload")
"""What a task's function works on; picklable."""

Message = TypeVar("Message")
"""What a task's function reports while it works; picklable."""

SentMessage = TypeVar("SentMessage", contravariant=True)
"""A `Message`, as its sender and its receiver see it."""


class TaskContext(Protocol[SentMessage]):
    """What a task's function can ask of the executor that calls it."""

    def report(self, message: SentMessage) -> None:
        """Send `message` to the listener; raises if it cannot be pickled."""

    def should_stop(self) -> bool:
        """Return whether the work is to be stopped; a function that polls this returns early when it is True."""


FunctionEnd = Literal["finished", "interrupted"]
"""`interrupted`: the function returned early, because it was asked to stop."""

TaskFunction = Callable[[Payload, TaskContext[Message]], FunctionEnd]
"""A function at the top level of a module: does the work of one payload."""

TaskState = Literal["finished", "interrupted", "raised", "died"]


@dataclass(frozen=True, slots=True)
class Resources:
    """What a task needs while it runs."""

    threads: int = 1
    memory: int = 0
    """Bytes, roughly; 0: little."""

    @classmethod
    def largest(cls, needs: Iterable[Resources]) -> Resources:
        """Return the most threads and the most memory that any of `needs` has."""
        needs = [cls(), *needs]
        return cls(max(need.threads for need in needs), max(need.memory for need in needs))


@dataclass(frozen=True, slots=True)
class Task(Generic[Payload]):
    """One piece of work, and the file that receives what its process prints."""

    payload: Payload
    log: Path | None = None
    """Appended to; removed when the task's process ends if it is empty. None: the output is dropped."""
    resources: Resources = field(default_factory=Resources)


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """How a task ended."""

    state: TaskState
    """`finished`: the function did its work; `interrupted`: it returned early or was killed after a request to stop;
    `raised`: it raised; `died`: its process ended before the function returned, by a signal or an exit."""

    message: str = ""
    """One sentence for people; empty when the function returned."""

    seconds: float = 0.0
    """Wall-clock time of the last attempt."""

    retries: int = 0
    """How often the task was started again after its process had died by a signal."""


class Listener(Protocol[Payload, SentMessage]):
    """Is told, in the calling process, what happens to the tasks."""

    def started(self, task: Task[Payload]) -> None:
        """The task's process is about to start; called again for every retry."""

    def reported(self, task: Task[Payload], message: SentMessage) -> None:
        """The task's function reported `message`; the messages of a task arrive in their order."""

    def ended(self, task: Task[Payload], end: TaskEnd) -> None:
        """The task is over; called exactly once for every task that was started."""


class Executor(Protocol):
    """Runs tasks, several at a time."""

    def warm_up(self) -> None:
        """Prepare in the background for a call of `execute`; may be called again."""

    def count_workers(self, resources: Resources) -> int:
        """Return how many tasks that need `resources` this executor runs at once; at least 1."""

    def execute(
        self,
        function: TaskFunction[Payload, Message],
        tasks: Sequence[Task[Payload]],
        listener: Listener[Payload, Message],
    ) -> int | None:
        """Start the tasks in their order and return when all are over.

        A task whose process dies by a signal is started again, a limited number of times; one that raises is not. When
        this process receives a signal that means stop, no further task is started, and `TaskContext.should_stop` is
        True in those that run.

        Returns:
            None, or the number of the signal that stopped the work.
        """
