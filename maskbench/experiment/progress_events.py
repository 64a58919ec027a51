"""The outcome of running an experiment, and the interface to which its progress is reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from maskbench.experiment.plan import PlannedRun

if TYPE_CHECKING:
    from maskbench.training.job import Progress

RunEndState = Literal["done", "failed", "diverged", "interrupted"]


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run that was due ended."""

    run: PlannedRun
    state: RunEndState
    message: str = ""
    """Why the run failed or diverged; else empty."""
    seconds: float = 0.0
    retries: int = 0


@dataclass(slots=True)
class ExperimentOutcome:
    """The outcome of running an experiment: its runs, how they ended, and what a person should know."""

    planned: tuple[PlannedRun, ...]
    ended: list[RunEnd] = field(default_factory=list)
    signal: int | None = None
    """The number of the signal that stopped the experiment, if one did."""
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What a person should know of the corpora and the plan."""

    @property
    def counts(self) -> dict[str, int]:
        """How many runs were `skipped` (finished before) and how many ended now as `done`, `failed`, ...

        A run that diverged before counts as diverged: it is still part of the experiment.
        """
        counts = Counter[str](ended.state for ended in self.ended)
        counts["skipped"] += sum(run.state == "finished" for run in self.planned)
        counts["diverged"] += sum(run.state == "diverged" for run in self.planned)
        return {word: counts[word] for word in ("done", "skipped", "failed", "diverged", "interrupted")}

    @property
    def is_sound(self) -> bool:
        """Whether no run failed or diverged."""
        return not self.counts["failed"] and not self.counts["diverged"]


class Reporter(Protocol):
    """Receives the progress of an experiment; the command line shows it."""

    def planned(self, runs: Sequence[PlannedRun], workers: int) -> None:
        """The runs that are due are about to start, `workers` at once."""

    def preparing(self, what: str) -> None:
        """Something other than training begins: `building the corpus toydeen`."""

    def downloading(self, name: str, received: int, size: int) -> None:
        """`received` of `size` bytes of a corpus file were downloaded; 0 at the start."""

    def warned(self, warning: str) -> None:
        """Something a person should know before training: an arm has a declared leak."""

    def started(self, run: PlannedRun) -> None:
        """A run's process is about to start."""

    def progressed(self, run: PlannedRun, progress: Progress) -> None:
        """A run reported a step."""

    def ended(self, ended: RunEnd) -> None:
        """A run is over."""

    def tested(self, sentence: str) -> None:
        """Seeds are added until every arm is decided; `sentence` says how the arms stand after the last seed."""


class NullReporter:
    """A reporter that shows nothing."""

    def planned(self, runs: Sequence[PlannedRun], workers: int) -> None:
        """Show nothing."""

    def preparing(self, what: str) -> None:
        """Show nothing."""

    def downloading(self, name: str, received: int, size: int) -> None:
        """Show nothing."""

    def warned(self, warning: str) -> None:
        """Show nothing."""

    def started(self, run: PlannedRun) -> None:
        """Show nothing."""

    def progressed(self, run: PlannedRun, progress: Progress) -> None:
        """Show nothing."""

    def ended(self, ended: RunEnd) -> None:
        """Show nothing."""

    def tested(self, sentence: str) -> None:
        """Show nothing."""
