"""The task that an executor runs for an experiment: train one run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from maskbench.config.schema.experiment import ArmConfig
from maskbench.errors import PluginError
from maskbench.executors import FunctionEnd, Resources, Task, TaskContext
from maskbench.plugins import load_plugins
from maskbench.plugins.uses import used_code
from maskbench.training.environment import use_threads
from maskbench.training.job import ERROR_LOG, Progress, RunJob
from maskbench.training.loop import train_run

_SECONDS_BETWEEN_REPORTS = 0.2


def train_task(
    experiment: str,
    panel: str | None,
    arm: ArmConfig,
    directory: Path,
    *,
    seed: int,
    cache_dir: Path,
    plugins: tuple[Path, ...],
    plugin_code: tuple[tuple[str, str], ...] = (),
    memory: int = 0,
) -> Task[RunJob]:
    """Return the task, for `train`, of training an arm with a seed.

    Args:
        directory: of the run.
        cache_dir: where corpora are built.
        plugins: files that add strategies, metrics or corpora.
        plugin_code: see `RunJob.plugin_code`.
        memory: bytes that the run needs, roughly; 0: not known.
    """
    job = RunJob(
        experiment=experiment,
        panel=panel,
        arm=arm.name,
        seed=seed,
        config=arm.config,
        directory=directory,
        cache_dir=cache_dir,
        plugins=plugins,
        plugin_code=plugin_code,
    )
    return Task(job, directory / ERROR_LOG, Resources(arm.config.train.threads, memory))


def train(job: RunJob, context: TaskContext[Progress]) -> FunctionEnd:
    """Train and evaluate one run in this process."""
    use_threads(job.config.train.threads)
    load_plugins(job.plugins)
    _refuse_other_code(job)
    state = train_run(job, ThrottledReport(context.report), context.should_stop)
    return "interrupted" if state == "interrupted" else "finished"


def _refuse_other_code(job: RunJob) -> None:
    """Refuse to train with another version of a plug-in than the one with which the experiment began.

    Raises:
        PluginError: a plug-in's file was edited in the meantime.
    """
    here = used_code(job.config)
    for what, sha256 in job.plugin_code:
        code = here.get(what)
        if code is None or code.sha256 != sha256:
            now = "is gone" if code is None else f"is {code.sha256[:12]} now"
            raise PluginError(
                f"the plug-in's code of the {what} was edited while the experiment ran: it was {sha256[:12]} when the arm "
                f"was built and {now}, so this run was not trained; put the file back, or move the finished runs of the "
                "old code away, and give the same command again"
            )


class ThrottledReport:
    """Passes on every new state and message, and steps not more often than a person can read."""

    def __init__(
        self, report: Callable[[Progress], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._report = report
        self._clock = clock
        self._state = ""
        self._time = float("-inf")
        self._speed: float | None = None

    def __call__(self, progress: Progress) -> None:
        """Pass `progress` on if it is due, with the last known speed."""
        if progress.tokens_per_second is not None:
            self._speed = progress.tokens_per_second
        now = self._clock()
        is_news = progress.state != self._state or bool(progress.message)
        if is_news or now - self._time >= _SECONDS_BETWEEN_REPORTS:
            self._state, self._time = progress.state, now
            self._report(replace(progress, tokens_per_second=self._speed))
