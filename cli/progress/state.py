"""The state of an experiment in progress, and estimates of the remaining time; prints nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from maskbench.experiment.plan import PlannedRun, RunName
from maskbench.experiment.progress_events import Ended

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
    def part(self) -> float:
        """The finished part of its training, in [0, 1]."""
        return self.step / self.total_steps if self.total_steps else 0.0


@dataclass
class ProgressState:
    """The progress of a whole experiment."""

    clock: Clock = time.monotonic
    doing: str = ""
    """The activity besides training; empty during training."""
    share_done: float | None = None
    """The finished share of that activity, in [0, 1], where it is known."""
    workers: int = 1
    total: int = 0
    skipped: int = 0
    running: dict[RunName, RunningRun] = field(default_factory=dict)
    ended: list[Ended] = field(default_factory=list)
    _waiting: dict[RunName, Arm] = field(default_factory=dict)
    _seconds: dict[Arm, list[float]] = field(default_factory=dict)

    def planned(self, runs: Sequence[PlannedRun], workers: int) -> None:
        """Take the plan: which runs wait, and how many were finished before."""
        self.workers, self.total, self.doing = workers, len(runs), ""
        self.share_done = None
        # Seeds may be added: what ended since the first plan is counted among what ended.
        ended = {ended.run.name for ended in self.ended}
        self.skipped = sum(not run.is_due and run.name not in ended for run in runs)
        self._waiting = {run.name: run.name[:2] for run in runs if run.is_due}

    def preparing(self, what: str) -> None:
        """Note that something other than training is being done."""
        self.doing, self.share_done = what, None

    def downloading(self, name: str, received: int, size: int) -> None:
        """Note how much of a file has come."""
        self.doing, self.share_done = f"downloading {name}, {size / 1e6:.1f} MB", received / max(1, size)

    def started(self, run: PlannedRun) -> None:
        """Move a run from waiting to running."""
        self.doing, self.share_done = "", None
        self._waiting.pop(run.name, None)
        self.running[run.name] = RunningRun(run, self.clock())

    def progressed(self, run: PlannedRun, progress: Progress) -> None:
        """Note a run's step, loss and speed."""
        line = self.running[run.name]
        line.state, line.step, line.total_steps = progress.state, progress.step, progress.total_steps
        line.loss = progress.loss if progress.loss is not None else line.loss
        speed = progress.tokens_per_second
        line.tokens_per_second = speed if speed is not None else line.tokens_per_second

    def finished(self, ended: Ended) -> None:
        """Take a run off the board, and learn from it how long its arm takes."""
        self.running.pop(ended.run.name, None)
        self.ended.append(ended)
        # What a resumed run took says little about a whole one.
        if ended.state == "done" and ended.run.state == "new" and not ended.retries:
            self._seconds.setdefault(ended.run.name[:2], []).append(ended.seconds)

    @property
    def counts(self) -> Counter[str]:
        """How many runs ended in which state."""
        return Counter(ended.state for ended in self.ended)

    @property
    def n_over(self) -> int:
        """How many runs need nothing more, those finished before included."""
        return self.skipped + len(self.ended)

    def remaining(self, line: RunningRun) -> float | None:
        """Return the seconds a running run still needs, or None when nothing tells.

        Finished runs of the same arm know best, since masks differ in cost; else the run's own speed so far does.
        """
        gone = self.clock() - line.began
        seen = self._seconds.get(line.run.name[:2])
        if seen:
            return max(0.0, sum(seen) / len(seen) - gone)
        return gone * (1 - line.part) / line.part if line.part > 0 else None

    def eta(self) -> float | None:
        """Return the seconds until every run is over, or None when nothing tells yet."""
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
        """The seconds an average run takes, as far as is known."""
        seen = [seconds for values in self._seconds.values() for seconds in values]
        if not seen:
            now = self.clock()
            seen = [(now - line.began) / line.part for line in self.running.values() if line.part > 0]
        return sum(seen) / len(seen) if seen else None
