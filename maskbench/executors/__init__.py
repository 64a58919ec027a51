"""Who executes the runs: the contract an executor keeps, and the words it reports in.

An executor knows nothing about masks or training. It is given a function, a list of tasks and a listener; it calls
the function once for every task, in a process of its own, and tells the listener what happened to each. Local
processes are `maskbench.executors.local`; a cluster would be another module with the same `execute`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, Protocol, TypeVar

Payload = TypeVar("Payload")
"""What a task's function works on; picklable."""

Message = TypeVar("Message")
"""What a task's function reports while it works; picklable."""

Heard = TypeVar("Heard", contravariant=True)
"""A `Message`, as the one who hears it sees it."""

Target = Callable[[Payload, Callable[[Message], None]], None]
"""A function of a module's top level: does the work of one payload, and reports while it does.

It may poll `maskbench.executors.worker.stop_requested` and raise `maskbench.executors.worker.Interrupted`.
"""

EndState = Literal["finished", "raised", "died", "interrupted"]


@dataclass(frozen=True, slots=True)
class Task(Generic[Payload]):
    """One piece of work, and the file that receives what its process prints."""

    payload: Payload
    log: Path | None = None
    """Appended to; removed at the end of the work when it is empty. None: the output is dropped."""


@dataclass(frozen=True, slots=True)
class End:
    """How a task ended."""

    state: EndState
    """`finished`: the function returned; `raised`: it raised; `died`: its process went away without a word, by a
    signal or an exit of its own; `interrupted`: it was told to stop."""

    message: str = ""
    """One sentence for people; empty when the function returned."""

    seconds: float = 0.0
    """Wall-clock time of the last attempt."""

    retries: int = 0
    """How often the task was started again after its process had died by a signal."""


class Listener(Protocol[Payload, Heard]):
    """Hears, in the calling process, what happens to the tasks."""

    def started(self, task: Task[Payload]) -> None:
        """The task's process is being started (again, after a death that is retried)."""

    def reported(self, task: Task[Payload], message: Heard) -> None:
        """The task's function reported `message`."""

    def ended(self, task: Task[Payload], end: End) -> None:
        """The task is over; called exactly once for every task that was started."""


class Executor(Protocol):
    """Executes tasks, several at a time."""

    @property
    def workers(self) -> int:
        """How many tasks run at once."""

    def warm_up(self) -> None:
        """Get ready in the background for a call of `execute` that will come; may be called again."""

    def alone(self) -> Executor:
        """Return the same executor, but one task at a time."""

    def execute(
        self,
        target: Target[Payload, Message],
        tasks: Sequence[Task[Payload]],
        listener: Listener[Payload, Message],
    ) -> int | None:
        """Start the tasks in their order and return when all are over.

        Returns:
            None, or the number of the signal that stopped the work: no further task was started after it.
        """
