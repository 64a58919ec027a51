"""From an experiment to finished runs: plan, prepare, execute, measure cost.

Everything that can be refused is refused before the first step of the first run: directories that hold other runs,
corpora that cannot be read, arms that cannot be built. After that, a run that fails or diverges harms no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maskbench.config.load import dump_resolved
from maskbench.config.schema.experiment import Experiment
from maskbench.config.schema.metrics import metric_name, record_plugin_metrics
from maskbench.errors import ConfigError, MaskbenchError, StopSignal
from maskbench.executors import Executor, Resources, Task, TaskEnd, TaskFunction
from maskbench.executors.registry import build_executor
from maskbench.experiment import PRELOAD
from maskbench.experiment.cost_probe import measure_costs
from maskbench.experiment.plan import CACHE, PlannedRun, plan_runs, refuse_unusable_runs
from maskbench.experiment.plan_log import current_plan, extend_plan, record_plan
from maskbench.experiment.preparation import (
    BuiltArm,
    build_and_audit_arms,
    corpus_notes,
    plan_and_build_corpora,
    warn_of_untrained_positions,
)
from maskbench.experiment.progress_events import (
    ExperimentOutcome,
    NullReporter,
    Reporter,
    RunEnd,
    RunEndState,
)
from maskbench.records.plans import Plan
from maskbench.runs.directory import ExperimentDirectory
from maskbench.runs.locks import lock_experiment

if TYPE_CHECKING:
    from maskbench.data.corpus import Corpus
    from maskbench.training.job import Progress, RunJob


_STAYS_SEQUENTIAL = (
    "seeds of this experiment were once added after looking at results (--until-decided), so it stays under the rule "
    "that allows for that"
)


def run_experiment(
    experiment: Experiment,
    runs_dir: Path,
    *,
    whole: Experiment | None = None,
    executor: Executor | None = None,
    reporter: Reporter | None = None,
    plugins: Sequence[Path] = (),
) -> ExperimentOutcome:
    """Train and evaluate every run that is due, then measure what each arm costs.

    Args:
        experiment: the loaded experiment, or the arms and seeds of it that are to be trained now.
        whole: the experiment that is written down, and so compared, where `experiment` is a part of it.
        runs_dir: the directory that holds experiments; made if need be.
        executor: trains the runs; None: processes of this machine, as many at once as cores and memory allow.
        reporter: is told how the experiment proceeds.
        plugins: files that add strategies; the caller has loaded them, and every process that trains loads them.

    Returns:
        What became of every run. A run that fails or diverges raises nothing.

    Raises:
        RunDirectoryError: another process works on this experiment, or a directory holds another run.
        ConfigError, CorpusError: an arm or a corpus cannot be built.
        LeakError: an arm leaks and does not say so.
    """
    with lock_experiment(ExperimentDirectory.of(runs_dir, experiment.name).path):
        session = TrainingSession(runs_dir, executor=executor, reporter=reporter, plugins=plugins)
        outcome = session.prepare(experiment)
        planned = extend_plan(whole or experiment, experiment, current_plan(runs_dir, experiment.name))
        write_plan(whole or experiment, runs_dir, planned)
        if planned.rule == "sequential":
            outcome.notes.append(_STAYS_SEQUENTIAL)
        session.train(experiment, outcome)
    return outcome


class TrainingSession:
    """Prepares and trains runs, in one round or in several; an arm is built and audited once.

    The caller holds the lock of the experiment's directory (`lock_experiment`).
    """

    def __init__(
        self,
        runs_dir: Path,
        *,
        executor: Executor | None = None,
        reporter: Reporter | None = None,
        plugins: Sequence[Path] = (),
    ) -> None:
        """Keep the arguments, which are those of `run_experiment`."""
        self._runs_dir = runs_dir
        self._executor = executor or build_executor(preload=PRELOAD)
        self._reporter = reporter or NullReporter()
        self._plugins = tuple(file.resolve() for file in plugins)
        self._corpora: dict[str, Corpus] = {}
        self._built: dict[tuple[str | None, str], BuiltArm] = {}
        self._has_warned = False

    def prepare(
        self, experiment: Experiment, wanted: Callable[[PlannedRun], bool] = lambda run: True
    ) -> ExperimentOutcome:
        """Return an outcome with the runs of `experiment` that are `wanted`, none trained yet; refuse what cannot be run.

        Raises:
            RunDirectoryError: a directory holds another run.
            ConfigError, CorpusError: an arm or a corpus cannot be built.
            LeakError: an arm leaks and does not say so.
        """
        first_look = tuple(filter(wanted, plan_runs(experiment, self._runs_dir)))
        refuse_unusable_runs(first_look)
        if any(run.is_due for run in first_look):
            self._executor.warm_up()
        found, corpora = plan_and_build_corpora(experiment, self._runs_dir, self._reporter, self._corpora)
        self._corpora = corpora
        planned = tuple(filter(wanted, found))
        refuse_unusable_runs(planned)
        # --until-decided prepares once for every seed that it adds.
        if not self._has_warned:
            warn_of_untrained_positions(experiment, corpora, self._reporter)
            self._has_warned = True
        build_and_audit_arms(planned, corpora, self._reporter, self._built)
        return ExperimentOutcome(planned, notes=corpus_notes(corpora))

    def train(self, experiment: Experiment, outcome: ExperimentOutcome) -> None:
        """Train the runs of `outcome` that are due, add how they ended, and measure what a step of each arm costs."""
        self._train_due(experiment.name, outcome)
        if outcome.signal is None:
            measure_costs(outcome, experiment, self._runs_dir, self._executor, self._reporter, self._plugins)
            _show_over_seeds(outcome, self._runs_dir / experiment.name)

    def _train_due(self, experiment: str, outcome: ExperimentOutcome) -> None:
        from maskbench.experiment.train_job import train, train_task
        from maskbench.plugins.uses import used_code

        due = {run.directory.path: run for run in outcome.planned if run.is_due}
        if not due:
            return
        tasks = [
            train_task(
                experiment,
                run.panel,
                run.arm,
                path,
                seed=run.seed,
                cache_dir=self._runs_dir / CACHE,
                plugins=self._plugins,
                plugin_code=tuple((what, code.sha256) for what, code in used_code(run.arm.config).items()),
                memory=self._built[run.name[:2]].memory,
            )
            for path, run in due.items()
        ]
        largest = Resources.largest(task.resources for task in tasks)
        self._reporter.planned(outcome.planned, self._executor.count_workers(largest))
        listener = _StatusListener(outcome, due, self._reporter)
        outcome.signal = _execute(self._executor, train, tasks, listener)
        if outcome.signal is None:
            listener.end_forgotten()


def _execute(
    executor: Executor,
    function: TaskFunction[RunJob, Progress],
    tasks: Sequence[Task[RunJob]],
    listener: _StatusListener,
) -> int | None:
    """Call the executor; an installed one that exits has failed, not finished.

    Raises:
        ConfigError: it called `sys.exit`.
    """
    try:
        return executor.execute(function, tasks, listener)
    except StopSignal:
        raise
    except SystemExit as error:
        raise ConfigError(
            f"the executor {type(executor).__qualname__} called sys.exit({error.code!r}) before the work was done; what is "
            "finished is kept"
        ) from error


def write_plan(experiment: Experiment, runs_dir: Path, planned: Plan) -> None:
    """Write the plan to plans.jsonl, if it is new, and the experiment with the planned seeds to experiment.yaml."""
    record_plan(experiment, runs_dir, planned)
    write_experiment(experiment.model_copy(update={"seeds": planned.seeds}), runs_dir)


def write_experiment(experiment: Experiment, runs_dir: Path) -> None:
    """Write the resolved experiment file into the directories of the experiment and of its panels.

    With it goes a record of the metrics that plug-ins define, if the experiment uses any.
    """
    resolved = dump_resolved(experiment)
    configs = [arm.config for panel in experiment.panels for arm in panel.arms]
    measured = {name for config in configs for name in config.evaluate.metrics}
    selected = {name.metric for name in (metric_name(config.train.select) for config in configs) if name}
    records = record_plugin_metrics(measured | selected)
    for panel in (None, *(panel.name for panel in experiment.panels)):
        directory = ExperimentDirectory.of(runs_dir, experiment.name, panel)
        if records:
            directory.write_metrics(records)
        directory.write_experiment(resolved)


class _StatusListener:
    """Writes status.json for processes that died, and forwards events to the reporter."""

    def __init__(
        self, outcome: ExperimentOutcome, runs: Mapping[Path, PlannedRun], reporter: Reporter
    ) -> None:
        self._outcome = outcome
        self._runs = runs
        self._reporter = reporter

    def started(self, task: Task[RunJob]) -> None:
        """Forward that a run starts."""
        self._reporter.started(self._runs[task.payload.directory])

    def reported(self, task: Task[RunJob], message: Progress) -> None:
        """Forward what a run reports."""
        self._reporter.progressed(self._runs[task.payload.directory], message)

    def ended(self, task: Task[RunJob], end: TaskEnd) -> None:
        """Record a run's final state; its process has ended, so nobody else writes to its directory."""
        run = self._runs[task.payload.directory]
        state, message = _settle(run, end)
        ended = RunEnd(run, state, message, end.seconds, end.retries)
        self._outcome.ended.append(ended)
        self._reporter.ended(ended)

    def end_forgotten(self) -> None:
        """Count as failed every run of which the executor never said how it ended."""
        known = {ended.run.directory.path for ended in self._outcome.ended}
        for path, run in self._runs.items():
            if path not in known:
                state, message = _settle(run, TaskEnd("died", "its executor never said how it ended"))
                self._outcome.ended.append(RunEnd(run, state, message))


def _settle(run: PlannedRun, end: TaskEnd) -> tuple[RunEndState, str]:
    """Return the state of a run whose process has ended, and why; write status.json where the process did not."""
    status = run.directory.status()
    recorded = str((status.error or {}).get("message", ""))
    if status.state == "done":
        return "done", ""
    if status.state == "diverged":
        return "diverged", recorded or end.message
    if end.state == "interrupted":
        run.directory.write_status("interrupted")
        return "interrupted", ""
    message = end.message or recorded or "it ended without a result"
    # A run that raised has recorded more than its message; one that died could not.
    if status.state != "failed" or end.state == "died":
        run.directory.write_status("failed", {"message": message})
    return "failed", message


def _show_over_seeds(outcome: ExperimentOutcome, directory: Path) -> None:
    """Write the means over seeds for TensorBoard; a failure is a warning, because no result depends on it."""
    from maskbench.tensorboard.refresh import refresh_overview

    try:
        refresh_overview(directory)
    except (MaskbenchError, OSError) as error:
        outcome.warnings.append(f"TensorBoard's means over seeds were not written: {error}")
