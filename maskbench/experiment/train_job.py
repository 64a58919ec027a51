"""What the executor's processes do for an experiment: train one run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from maskbench.executors.worker import Interrupted, stop_requested, use_threads
from maskbench.plugins import load_plugins
from maskbench.training.job import Progress, RunJob
from maskbench.training.loop import train_run

_SECONDS_BETWEEN_REPORTS = 0.2


def train(job: RunJob, report: Callable[[Progress], None]) -> None:
    """Train and evaluate one run in this process."""
    use_threads(job.config.train.threads)
    load_plugins(job.plugins)
    train_run(job, Relay(report))


class Relay:
    """Passes progress on, steps not more often than a person can read; stops the run when the parent asks."""

    def __init__(
        self, report: Callable[[Progress], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._report = report
        self._clock = clock
        self._state = ""
        self._time = float("-inf")
        self._speed: float | None = None

    def __call__(self, progress: Progress) -> None:
        """Pass `progress` on if it is due, with the last known speed.

        Raises:
            Interrupted: the parent has asked this process to stop.
        """
        if stop_requested():
            raise Interrupted
        if progress.tokens_per_second is not None:
            self._speed = progress.tokens_per_second
        now = self._clock()
        is_news = progress.state != self._state or bool(progress.message)
        if is_news or now - self._time >= _SECONDS_BETWEEN_REPORTS:
            self._state, self._time = progress.state, now
            self._report(replace(progress, tokens_per_second=self._speed))
