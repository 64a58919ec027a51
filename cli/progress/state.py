"""The state of an experiment in progress, and estimates of the remaining time; prints nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from maskbench.experiment.plan import PlannedRun, RunName
from maskbench.experiment.progress_events import RunEnd

if TYPE_CHECKING:
    from maskbench.training.job import Progress

Clock = Callable[[], float]
Arm = tuple[str | None, str]


@dataclass
class RunningRun:
    """The progress of a run that is training."""

    run: PlannedRun
    began: float
    state: str = "starting"
    step: int = 0
    total_steps: int = 0
    loss: float | None = None
    tokens_per_second: float | None = None

    @property
    def share(self) -> float:
        """The finished part of its training, in [0, 1]."""
        return self.step / self.total_steps if self.total_steps else 0.0


@dataclass
class ProgressState:
    """The progress of a whole experiment."""

    clock: Clock = time.monotonic
    activity: str = ""
    """The activity besides training; empty during training."""
    activity_share: float | None = None
    """The finished share of that activity, in [0, 1], where it is known."""
    workers: int = 1
    total: int = 0
    skipped: int = 0
    running: dict[RunName, RunningRun] = field(default_factory=dict)
    ended: list[RunEnd] = field(default_factory=list)
    _waiting: dict[RunName, Arm] = field(default_factory=dict)
    _seconds: dict[Arm, list[float]] = field(default_factory=dict)

    def planned(self, runs: Sequence[PlannedRun], workers: int) -> None:
        """Record the plan: which runs wait, and how many were finished before."""
        self.workers, self.total, self.activity = workers, len(runs), ""
        self.activity_share = None
        # Seeds may be added: what ended since the first plan is counted among what ended.
        ended = {ended.run.name for ended in self.ended}
        self.skipped = sum(not run.is_due and run.name not in ended for run in runs)
        self._waiting = {run.name: run.name[:2] for run in runs if run.is_due}

    def preparing(self, what: str) -> None:
        """Record an activity other than training."""
        self.activity, self.activity_share = what, None

    def downloading(self, name: str, received: int, size: int) -> None:
        """Record how much of a file has arrived."""
        self.activity, self.activity_share = (
            f"downloading {name}, {size / 1e6:.1f} MB",
            received / max(1, size),
        )

    def started(self, run: PlannedRun) -> None:
        """Move a run from waiting to running."""
        self.activity, self.activity_share = "", None
        self._waiting.pop(run.name, None)
        self.running[run.name] = RunningRun(run, self.clock())

    def progressed(self, run: PlannedRun, progress: Progress) -> None:
        """Record a run's step, loss and speed."""
        line = self.running[run.name]
        line.state, line.step, line.total_steps = progress.state, progress.step, progress.total_steps
        line.loss = progress.loss if progress.loss is not None else line.loss
        speed = progress.tokens_per_second
        line.tokens_per_second = speed if speed is not None else line.tokens_per_second

    def finished(self, ended: RunEnd) -> None:
        """Remove a run from the running ones, and record how long its arm takes."""
        self.running.pop(ended.run.name, None)
        self.ended.append(ended)
        # The time of a resumed run is not that of a whole one.
        if ended.state == "done" and ended.run.state == "new" and not ended.retries:
            self._seconds.setdefault(ended.run.name[:2], []).append(ended.seconds)

    @property
    def counts(self) -> Counter[str]:
        """How many runs ended in which state."""
        return Counter(ended.state for ended in self.ended)

    @property
    def n_over(self) -> int:
        """Runs that are over, those finished before this command included."""
        return self.skipped + len(self.ended)

    def remaining(self, line: RunningRun) -> float | None:
        """Return the seconds a running run still needs, or None while it is unknown.

        The estimate comes from finished runs of the same arm, since masks differ in cost; else from the run's own speed.
        """
        gone = self.clock() - line.began
        seen = self._seconds.get(line.run.name[:2])
        if seen:
            return max(0.0, sum(seen) / len(seen) - gone)
        return gone * (1 - line.share) / line.share if line.share > 0 else None

    def eta(self) -> float | None:
        """Return the seconds until every run is over, or None while it is unknown."""
        remaining = [self.remaining(line) for line in self.running.values()]
        usual = self._usual()
        if usual is None or (not self.running and not self._waiting):
            return None if self.running or self._waiting else 0.0
        left = sum(usual if seconds is None else seconds for seconds in remaining)
        for arm in self._waiting.values():
            seen = self._seconds.get(arm)
            left += sum(seen) / len(seen) if seen else usual
        return left / max(1, min(self.workers, len(self.running) + len(self._waiting)))

    def _usual(self) -> float | None:
        """Return the mean seconds of a run, from finished runs or else from running ones; None while it is unknown."""
        seen = [seconds for values in self._seconds.values() for seconds in values]
        if not seen:
            now = self.clock()
            seen = [(now - line.began) / line.share for line in self.running.values() if line.share > 0]
        return sum(seen) / len(seen) if seen else None
