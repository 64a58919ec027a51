"""Runs that are killed: what a process leaves behind that vanishes between two instructions."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from maskbench.training.job import Progress, RunJob
from maskbench.training.loop import train_run


class Killed(BaseException):
    """Ends a run in this process."""


def train_until_killed(
    job: RunJob, stop_after: int | None, report: Callable[[Progress], None] = lambda progress: None
) -> None:
    """Train a run; with `stop_after`, leave its directory as it stood at the end of that step, before it was reported.

    What the run does while it is torn down is undone, since a killed process does nothing any more.
    """
    if stop_after is None:
        train_run(job, report)
        return
    copy = job.directory.with_name(f"{job.directory.name}-at-the-kill")

    def kill(progress: Progress) -> None:
        if progress.state == "training" and progress.step == stop_after:
            shutil.copytree(job.directory, copy)
            raise Killed
        report(progress)

    with pytest.raises(Killed):
        train_run(job, kill)
    shutil.rmtree(job.directory)
    copy.rename(job.directory)
