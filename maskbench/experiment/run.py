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
from maskbench.errors import MaskbenchError
from maskbench.executors import End, Executor, Task
from maskbench.executors.local import LocalExecutor
from maskbench.executors.machine import side_by_side
from maskbench.experiment.cost_probe_stage import measure_costs
from maskbench.experiment.plan import CACHE, PlannedRun, plan, refuse_changed
from maskbench.experiment.plan_log import plan_of, present_plan, record_plan
from maskbench.experiment.preparation import BuiltArm, build_each_arm, survey
from maskbench.experiment.progress_events import Ended, EndState, Outcome, Reporter, Silence
from maskbench.records.plans import Plan
from maskbench.runs.directory import ExperimentDirectory
from maskbench.runs.locks import lock_experiment

if TYPE_CHECKING:
    from maskbench.data.corpus import Corpus
    from maskbench.training.job import Progress, RunJob

LOG = "error.log"
"""In a run's directory: what its process printed; absent if that was nothing."""

_STAYS_SEQUENTIAL = (
    "seeds of this experiment were once added after looking at results (--until-decided), so it stays under the rule "
    "that allows for that"
)


def run_experiment(
    experiment: Experiment,
    runs_dir: Path,
    *,
    whole: Experiment | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
    reporter: Reporter | None = None,
    plugins: Sequence[Path] = (),
) -> Outcome:
    """Train and evaluate every run that is due, then measure what each arm costs.

    Args:
        experiment: the loaded experiment, or the arms and seeds of it that are to be trained now.
        whole: the experiment that is written down, and so compared, where `experiment` is a part of it.
        runs_dir: the directory that holds experiments; made if need be.
        workers: how many runs train at once; None: as many as cores and memory allow.
        executor: who executes the runs; None: processes of this machine, `workers` at once.
        reporter: is told how it goes.
        plugins: files with strategies of their own; loaded here before, and by every process that trains.

    Returns:
        What became of every run. A run that fails or diverges raises nothing.

    Raises:
        RunDirectoryError: another process works on this experiment, or a directory holds another run.
        ConfigError, CorpusError: an arm or a corpus cannot be built.
        LeakError: an arm leaks and does not say so.
    """
    with lock_experiment(ExperimentDirectory.of(runs_dir, experiment.name).path):
        session = Session(runs_dir, workers=workers, executor=executor, reporter=reporter, plugins=plugins)
        outcome = session.prepare(experiment)
        planned = plan_of(whole or experiment, experiment, present_plan(runs_dir, experiment.name))
        write_plan(whole or experiment, runs_dir, planned)
        if planned.rule == "sequential":
            outcome.notes.append(_STAYS_SEQUENTIAL)
        session.train(experiment, outcome)
    return outcome


class Session:
    """Prepares and trains runs, in one round or in several: what was built and proved once is not proved again.

    The caller holds the experiment's directory (`lock_experiment`).
    """

    def __init__(
        self,
        runs_dir: Path,
        *,
        workers: int | None = None,
        executor: Executor | None = None,
        reporter: Reporter | None = None,
        plugins: Sequence[Path] = (),
    ) -> None:
        """Prepare nothing yet; see `run_experiment` for the arguments."""
        self._runs_dir, self._workers, self._executor = runs_dir, workers, executor
        self._told = reporter or Silence()
        self._plugins = tuple(file.resolve() for file in plugins)
        self._corpora: dict[str, Corpus] = {}
        self._built: dict[tuple[str | None, str], BuiltArm] = {}

    def prepare(
        self, experiment: Experiment, wanted: Callable[[PlannedRun], bool] = lambda run: True
    ) -> Outcome:
        """Return the runs of `experiment` that are wanted, none of them trained yet; refuse what cannot be run.

        Raises:
            RunDirectoryError: a directory holds another run.
            ConfigError, CorpusError: an arm or a corpus cannot be built.
            LeakError: an arm leaks and does not say so.
        """
        first_look = tuple(filter(wanted, plan(experiment, self._runs_dir)))
        refuse_changed(first_look)
        if any(run.is_due for run in first_look):
            (self._executor or LocalExecutor(1)).warm_up()
        found, corpora = survey(experiment, self._runs_dir, self._told, self._corpora)
        self._corpora = corpora
        planned = tuple(filter(wanted, found))
        refuse_changed(planned)
        notes = [f"corpus {corpus.name}: {note}" for corpus in corpora.values() for note in corpus.notes]
        build_each_arm(planned, corpora, self._told, self._built)
        return Outcome(planned, notes=notes)

    def train(self, experiment: Experiment, outcome: Outcome) -> None:
        """Train what is due of `outcome`, add to it how that ended, and measure what each arm costs."""
        executor = self._executor
        if executor is None:
            # Asked for now and not earlier, because only now is it known how much memory a run takes.
            need = max((arm.memory for arm in self._built.values()), default=1)
            executor = LocalExecutor(self._workers or side_by_side(_threads(experiment), need))
        _train_all(outcome, experiment.name, self._runs_dir / CACHE, executor, self._told, self._plugins)
        if outcome.signal is None:
            measure_costs(outcome, experiment, self._runs_dir, executor, self._told, self._plugins)
            _show_over_seeds(outcome, self._runs_dir / experiment.name)


def _threads(experiment: Experiment) -> int:
    return max(arm.config.train.threads for panel in experiment.panels for arm in panel.arms)


def write_plan(experiment: Experiment, runs_dir: Path, planned: Plan) -> None:
    """Write down what is planned: in plans.jsonl if it is something new, and as the experiment file of the runs."""
    record_plan(experiment, runs_dir, planned)
    write_experiment(experiment.model_copy(update={"seeds": planned.seeds}), runs_dir)


def write_experiment(experiment: Experiment, runs_dir: Path) -> None:
    """Write the resolved experiment file into the experiment's directory and into each of its panels'."""
    resolved = dump_resolved(experiment)
    for panel in (None, *(panel.name for panel in experiment.panels)):
        ExperimentDirectory.of(runs_dir, experiment.name, panel).write_experiment(resolved)


def _train_all(
    outcome: Outcome,
    experiment: str,
    cache_dir: Path,
    executor: Executor,
    told: Reporter,
    plugins: tuple[Path, ...] = (),
) -> None:
    from maskbench.experiment.train_job import train
    from maskbench.training.job import RunJob

    due = {run.directory.path: run for run in outcome.planned if run.is_due}
    if not due:
        return
    told.planned(outcome.planned, executor.workers)
    tasks = [
        Task(
            RunJob(
                experiment=experiment,
                panel=run.panel,
                arm=run.arm.name,
                seed=run.seed,
                config=run.arm.config,
                directory=run.directory.path,
                cache_dir=cache_dir,
                plugins=plugins,
            ),
            run.directory.path / LOG,
        )
        for run in due.values()
    ]
    outcome.signal = executor.execute(train, tasks, _Chronicler(outcome, due, told))


class _Chronicler:
    """Hears from the executor, keeps status.json true when a child cannot, and passes on to the reporter."""

    def __init__(self, outcome: Outcome, runs: Mapping[Path, PlannedRun], told: Reporter) -> None:
        self._outcome = outcome
        self._runs = runs
        self._told = told

    def started(self, task: Task[RunJob]) -> None:
        """Pass on that a run starts."""
        self._told.started(self._runs[task.payload.directory])

    def reported(self, task: Task[RunJob], message: Progress) -> None:
        """Pass on what a run reports."""
        self._told.progressed(self._runs[task.payload.directory], message)

    def ended(self, task: Task[RunJob], end: End) -> None:
        """Settle a run's state; its process is gone, so nobody else writes to its directory."""
        run = self._runs[task.payload.directory]
        state, message = _settle(run, end)
        ended = Ended(run, state, message, end.seconds, end.retries)
        self._outcome.ended.append(ended)
        self._told.ended(ended)


def _settle(run: PlannedRun, end: End) -> tuple[EndState, str]:
    """Return the state of a run whose process has ended, and why; write it down where the process did not."""
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
    # A run that raised has written down more than its message; one that died could not.
    if status.state != "failed" or end.state == "died":
        run.directory.write_status("failed", {"message": message})
    return "failed", message


def _show_over_seeds(outcome: Outcome, directory: Path) -> None:
    """Have TensorBoard show means over seeds; where that fails it is a warning, because no result depends on it."""
    from maskbench.tensorboard.refresh import refresh

    try:
        refresh(directory)
    except (MaskbenchError, OSError) as error:
        outcome.warnings.append(f"TensorBoard's means over seeds were not written: {error}")
