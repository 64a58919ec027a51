"""From an experiment to finished runs: plan, prepare, execute, measure cost.

Everything that can be refused is refused before the first step of the first run: directories that hold other runs,
corpora that cannot be read, arms that cannot be built. After that, a run that fails or diverges harms no other.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

from maskbench.config.load import dump_resolved
from maskbench.config.schema import ArmConfig, Experiment
from maskbench.costs import measure_costs
from maskbench.errors import ConfigError, CorpusError, LeakError, MaskbenchError, RunDirectoryError
from maskbench.executors import End, Executor, Task
from maskbench.executors.local import LocalExecutor
from maskbench.executors.machine import side_by_side
from maskbench.plan_log import plan_of, present_plan, record_plan
from maskbench.planning import CACHE, PlannedRun, corpus_key, plan, refuse_changed
from maskbench.records.plans import Plan
from maskbench.reporting import Ended, EndState, Outcome, Reporter, Silence
from maskbench.runs.directory import ExperimentDirectory
from maskbench.runs.files import explained, read_json, write_json

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
    with sole_writer(ExperimentDirectory.of(runs_dir, experiment.name).path):
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

    The caller holds the experiment's directory (`sole_writer`).
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
        found, corpora = _survey(experiment, self._runs_dir, self._told, self._corpora)
        self._corpora = corpora
        planned = tuple(filter(wanted, found))
        refuse_changed(planned)
        notes = [f"corpus {corpus.name}: {note}" for corpus in corpora.values() for note in corpus.notes]
        _build_each_arm(planned, corpora, self._told, self._built)
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


@dataclass(frozen=True, slots=True)
class BuiltArm:
    """What building an arm showed."""

    parameters: int
    memory: int
    """Bytes that one run of it needs to train, roughly."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What `run_experiment` would do."""

    planned: tuple[PlannedRun, ...]
    corpora: Mapping[str, Corpus]
    """By `corpus_key`."""
    built: Mapping[tuple[str | None, str], BuiltArm]
    """The arms that are due, by panel and name."""


def rehearse(experiment: Experiment, runs_dir: Path, reporter: Reporter | None = None) -> Rehearsal:
    """Return what `run_experiment` would do, after building the corpora and the arms that are due; train nothing.

    Runs that would be refused are in the plan, and say why.

    Raises:
        ConfigError, CorpusError: an arm or a corpus cannot be built.
        LeakError: an arm leaks and does not say so.
    """
    told = reporter or Silence()
    planned, corpora = _survey(experiment, runs_dir, told)
    built: dict[tuple[str | None, str], BuiltArm] = {}
    _build_each_arm(planned, corpora, told, built)
    return Rehearsal(planned, corpora, built)


def _survey(
    experiment: Experiment, runs_dir: Path, told: Reporter, known: Mapping[str, Corpus] | None = None
) -> tuple[tuple[PlannedRun, ...], dict[str, Corpus]]:
    """Return the plan, which knows the content of every corpus, and the corpora, `known` ones among them."""
    import maskbench.masks  # noqa: F401  registers the strategies

    corpora = _corpora(experiment, runs_dir, told, known or {})
    return plan(experiment, runs_dir, {key: corpus.sha256 for key, corpus in corpora.items()}), corpora


def _corpora(
    experiment: Experiment, runs_dir: Path, told: Reporter, known: Mapping[str, Corpus]
) -> dict[str, Corpus]:
    """Build every corpus once, into the cache from which the runs will load it."""
    from maskbench.data import load_corpus
    from maskbench.data.download import heard_by

    corpora = dict(known)
    for panel in experiment.panels:
        for arm in panel.arms:
            key = corpus_key(arm.config.corpus)
            if key not in corpora:
                told.preparing(f"preparing the corpus {arm.config.corpus.name}")
                try:
                    with heard_by(told.downloading):
                        corpora[key] = load_corpus(arm.config.corpus, runs_dir / CACHE)
                except CorpusError as error:
                    raise CorpusError(str(error), key="corpus.path") from error
    return corpora


def _build_each_arm(
    planned: Sequence[PlannedRun],
    corpora: Mapping[str, Corpus],
    told: Reporter,
    built: dict[tuple[str | None, str], BuiltArm],
) -> None:
    """Build and audit every arm that is due, so that an impossible or a leaking one fails now and not after hours.

    The reporter hears of arms that say themselves that they leak. Arms in `built` have passed before; others join them.

    Raises:
        LeakError: an arm leaks and does not say so.
    """
    from maskbench.training.environment import repeatable

    # Building and proving is a thousand small products, which several threads only slow down.
    with repeatable(1):
        _build_and_audit(planned, corpora, told, built)


def _build_and_audit(
    planned: Sequence[PlannedRun],
    corpora: Mapping[str, Corpus],
    told: Reporter,
    built: dict[tuple[str | None, str], BuiltArm],
) -> None:
    from maskbench.audit.gate import admit
    from maskbench.executors.memory import memory_need
    from maskbench.model.lent import lent_plans
    from maskbench.model.transformer import build_model
    from maskbench.training.warm_start import freeze_all_but, load_starting_weights

    asked = {run.name[:2] for run in planned if run.is_due}
    for run in planned:
        # Runs of one arm differ only in the weights they start from.
        if not run.is_due or (run.name[:2] in built and run.arm.config.init_from is None):
            continue
        is_first = run.name[:2] not in built
        told.preparing(f"building {run.arm.title}")
        corpus = corpora[corpus_key(run.arm.config.corpus)]
        with _about(run.arm.name):
            model = build_model(run.arm.config, corpus, run.seed)
        if run.arm.config.init_from is not None:
            with _about(run.arm.name, "init_from"):
                load_starting_weights(model, run.arm.config.init_from, run.seed, corpus.vocabulary)
        if run.arm.config.train_only is not None:
            with _about(run.arm.name, "train_only"):
                freeze_all_but(model, run.arm.config.train_only)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        need = memory_need(run.arm.config, parameters, len(corpus.vocabulary))
        built[run.name[:2]] = BuiltArm(parameters, need)
        if not is_first:
            continue
        lent_plans(run.arm.config, corpus, run.seed)
        # Masks that no arm due has are asked about once.
        others = [arm for arm in _under_others(run.arm) if (run.name[0], arm.name) not in asked]
        asked |= {(run.name[0], arm.name) for arm in others}
        for arm in (run.arm, *others):
            with _about(arm.name):
                warning = admit(arm, corpus, run.seed)
            if warning:
                told.warned(warning)


def _under_others(arm: ArmConfig) -> Iterator[ArmConfig]:
    """Yield the arm with each of the other masks that it is evaluated under as its own."""
    for name, masks in arm.config.under.items():
        config = arm.config.model_copy(update={"masks": masks, "under": {}})
        yield arm.model_copy(update={"name": name, "title": name, "config": config})


@contextmanager
def _about(arm: str, key: str = "") -> Iterator[None]:
    """Say of an error which arm, and which of its keys, it is about."""
    place, name = (f"arms.{arm}.{key}", f"{key}: ") if key else (f"arms.{arm}", "")
    try:
        yield
    except LeakError:  # it says which arm, and is no mistake in the file
        raise
    except MaskbenchError as error:
        raise type(error)(f"arm {arm}: {name}{error}", key=place) from error
    except ValueError as error:
        raise ConfigError(f"arm {arm} cannot be built: {name}{error}", key=place) from error


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
    from maskbench.executors.jobs import train
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


@contextmanager
def sole_writer(path: Path) -> Iterator[None]:
    """Hold an experiment's directory against a second `maskbench run`; reading needs no lock.

    Raises:
        RunDirectoryError: another process holds it; the message names it.
    """
    owner = path / ".owner.json"
    with explained("write", path):
        path.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path / ".lock", fallback_to_soft=False)
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            raise RunDirectoryError(_busy(path, owner)) from None
    try:
        write_json(owner, {"pid": os.getpid(), "host": platform.node()})
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()
        _remove_if_unused(path)


def _remove_if_unused(path: Path) -> None:
    """Remove the directory of an experiment that was refused before it left anything there."""
    with suppress(OSError):
        if {entry.name for entry in path.iterdir()} <= {".lock"}:
            (path / ".lock").unlink(missing_ok=True)
            path.rmdir()


def _busy(path: Path, owner: Path) -> str:
    try:
        found = read_json(owner) or {}
    except RunDirectoryError:
        found = {}
    holder = f" (pid {found['pid']} on {found['host']})" if {"pid", "host"} <= found.keys() else ""
    return f"{path} is busy: another maskbench run{holder} is working on it; wait for it, or stop it first"
