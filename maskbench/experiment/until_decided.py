"""Adds seeds until every arm is decided: train the next seed, test, continue with the arms that are still open.

Testing after every seed raises no false alarms, because the decision rule allows for it
(`maskbench.statistics.sequential`). An arm is closed when it is better, worse or identical, or when no further seeds up
to the limit could decide it. All state is on disk: the plan in plans.jsonl, the results in the runs. So a call that was
stopped continues where it was, and one for an experiment that is decided trains nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from maskbench.comparison.results import ArmResult, Comparison, ComparisonOptions
from maskbench.comparison.table import tabulate
from maskbench.config.schema.experiment import Experiment, PanelConfig
from maskbench.executors import Executor
from maskbench.experiment.plan import PlannedRun
from maskbench.experiment.plan_log import read_plan_history
from maskbench.experiment.progress_events import ExperimentOutcome, NullReporter, Reporter
from maskbench.experiment.run import TrainingSession, write_plan
from maskbench.records.collect import CollectedPanel, collect_panel
from maskbench.records.locate import FoundPanel
from maskbench.records.plans import Plan, find_seed_changes
from maskbench.runs.directory import ExperimentDirectory
from maskbench.runs.locks import lock_experiment
from maskbench.statistics.sequential import MIN_IDENTICAL_PAIRS, is_futile
from maskbench.text import count_of

MAX_SEEDS = 20
"""The default limit of seeds: enough to see a difference as large as its own standard deviation."""

DECIDED = ("better", "worse", "identical")
"""Verdicts that close an arm. `equivalent` is not among them: it comes from an interval that does not allow for testing
after every seed, so it may be reported at the end, but is no reason to stop."""


def run_until_decided(
    experiment: Experiment,
    runs_dir: Path,
    *,
    max_seeds: int = MAX_SEEDS,
    executor: Executor | None = None,
    reporter: Reporter | None = None,
    plugins: Sequence[Path] = (),
) -> ExperimentOutcome:
    """Train seed by seed until every arm of every panel is decided or futile, or there are `max_seeds` seeds.

    The seeds are those of the experiment, in their order, and then the smallest numbers that are not among them. If a
    run fails no further seed is added, since nobody knows yet why it did; the next call tries it again.

    An experiment that was begun with a fixed number of seeds may be continued: its seeds were chosen without looking
    at results, so they are the first looks, and evidence that allows for any number of looks allows for having skipped
    some. The other way round would not be sound; so once the rule is sequential it stays so (`plan_log.extend_plan`).

    Args:
        experiment: the loaded experiment, whole: the arms of a panel share its chance of a false alarm.
        runs_dir: the directory that holds experiments; made if need be.
        max_seeds: at least 1.
        executor, reporter, plugins: as of `run_experiment`.

    Returns:
        What became of every run that was planned.

    Raises:
        RunDirectoryError, ConfigError, CorpusError, LeakError: as `run_experiment`.
    """
    reporter = reporter or NullReporter()
    with lock_experiment(ExperimentDirectory.of(runs_dir, experiment.name).path):
        session = TrainingSession(runs_dir, executor=executor, reporter=reporter, plugins=plugins)
        planned = _initial_plan(experiment, runs_dir, read_plan_history(runs_dir, experiment.name), max_seeds)
        whole = ExperimentOutcome(())
        while True:
            now = experiment.model_copy(update={"seeds": planned.seeds})
            outcome = session.prepare(now, _IsPlanned(planned))
            write_plan(experiment, runs_dir, planned)
            analyses = [_analyse_panel(now, panel, runs_dir, planned) for panel in now.panels]
            closed = {one.panel or "": one.closed for one in analyses if one.closed}
            if closed != planned.closed:
                # An arm that was closed is not trained; one that a higher limit has opened again must catch up first.
                planned = replace(planned, closed=closed)
                continue
            _add_new_runs(whole, outcome)
            if any(run.is_due for run in outcome.planned):
                session.train(now, outcome)
                _add_results(whole, outcome)
                if outcome.signal is not None or outcome.counts["failed"]:
                    return whole
                continue
            for analysis in analyses:
                reporter.tested(analysis.sentence)
            if len(planned.seeds) >= max_seeds or not any(one.open for one in analyses):
                return whole
            planned = replace(planned, seeds=(*planned.seeds, _next_seed(experiment, planned.seeds)))


@dataclass(frozen=True, slots=True)
class _IsPlanned:
    """Tells whether a run belongs to a plan: its arm is open, or had this seed before it was closed."""

    plan: Plan

    def __call__(self, run: PlannedRun) -> bool:
        return run.seed in self.plan.closed_in(run.panel).get(run.arm.name, self.plan.seeds)


def _initial_plan(experiment: Experiment, runs_dir: Path, plans: Sequence[Plan], limit: int) -> Plan:
    """Return the plan to start from: every seed that was begun, or the first one.

    Seeds that were dropped once there were results come back, each in the place where it was first planned: the rule
    allows for looking at results, but not for choosing seeds by them.
    """
    if plans and plans[-1].rule == "sequential":
        before = plans[-1]
        names = {panel.name or "": {arm.name for arm in panel.arms} for panel in experiment.panels}
        closed = {
            panel: {arm: seeds for arm, seeds in arms.items() if arm in names.get(panel, ())}
            for panel, arms in before.closed.items()
        }
        return Plan(
            before.seeds, "sequential", limit, {panel: arms for panel, arms in closed.items() if arms}
        )
    ever = dict.fromkeys(seed for plan in plans for seed in plan.seeds)
    dropped = {s for change in find_seed_changes(plans) if change.kind == "dropped" for s in change.seeds}
    begun = tuple(seed for seed in ever if seed in dropped or _is_begun(experiment, runs_dir, seed))
    return Plan(begun or (_next_seed(experiment, ()),), "sequential", limit)


def _is_begun(experiment: Experiment, runs_dir: Path, seed: int) -> bool:
    directories = (
        ExperimentDirectory.of(runs_dir, experiment.name, panel.name).run(arm.name, seed)
        for panel in experiment.panels
        for arm in panel.arms
    )
    return any(run.record() is not None for run in directories)


def _next_seed(experiment: Experiment, seeds: Sequence[int]) -> int:
    """Return the next seed after `seeds`; it depends on no result."""
    return next(seed for seed in itertools.chain(experiment.seeds, itertools.count()) if seed not in seeds)


def _add_new_runs(whole: ExperimentOutcome, outcome: ExperimentOutcome) -> None:
    """Add new runs to the outcome of all rounds; a run keeps the state it had before anything was trained."""
    listed = {run.name: run for run in (*outcome.planned, *whole.planned)}
    whole.planned = tuple(listed.values())
    whole.notes = outcome.notes


def _add_results(whole: ExperimentOutcome, outcome: ExperimentOutcome) -> None:
    """Add the outcome of a round of training."""
    whole.ended += outcome.ended
    whole.warnings += outcome.warnings
    whole.signal = outcome.signal


@dataclass(frozen=True, slots=True)
class InterimAnalysis:
    """Which arms of a panel are decided by the results so far."""

    panel: str | None
    closed: Mapping[str, tuple[int, ...]]
    """Arms that get no more seeds, each with its seeds; the baseline is among them once no arm is open."""
    open: tuple[str, ...]
    """Arms beside the baseline that need more seeds."""
    sentence: str
    """The same as text for a person."""


def _analyse_panel(
    experiment: Experiment, panel: PanelConfig, runs_dir: Path, planned: Plan
) -> InterimAnalysis:
    """Return which arms of a panel are closed and which are still open.

    An arm with a run that is still to be trained stays as it is, so that no decision depends on when a run was stopped.
    """
    place = ExperimentDirectory.of(runs_dir, experiment.name, panel.name)
    collected = collect_panel(FoundPanel(place, experiment, panel))
    comparison = tabulate(collected, ComparisonOptions())
    rule = _StoppingRule(comparison, planned.limit or len(planned.seeds))
    before = planned.closed_in(panel.name)
    closed: dict[str, tuple[int, ...]] = {}
    for row in rule.rows:
        is_over = row.arm in before if _is_waiting(collected, row.arm) else rule.reason(row) != ""
        if is_over:
            closed[row.arm] = before.get(row.arm, planned.seeds)
    still_open = tuple(row.arm for row in rule.rows if row.arm not in closed)
    if not still_open:
        closed[panel.baseline] = before.get(panel.baseline, planned.seeds)
    return InterimAnalysis(panel.name, closed, still_open, rule.sentence(len(planned.seeds)))


def _is_waiting(collected: CollectedPanel, arm: str) -> bool:
    """Return whether a run of the arm, or the run of the baseline that it is paired with, is still to be trained."""
    ours = [cell for (name, _), cell in collected.runs.items() if name == arm]
    baseline = collected.found.panel.baseline
    theirs = [collected.runs.get((baseline, cell.seed)) for cell in ours]
    return any(cell is None or cell.state == "waiting" for cell in (*ours, *theirs))


class _StoppingRule:
    """Decides for each arm of a panel whether it needs more seeds."""

    def __init__(self, comparison: Comparison, limit: int) -> None:
        self.rows, self._baseline = comparison.judged, comparison.baseline
        self._comparison, self._limit = comparison, limit
        # By Holm's procedure an arm needs less evidence the more other arms are decided.
        retired = [one.row.verdict if one.row else None for one in comparison.retired if one.is_counted]
        verdicts = [*(row.verdict for row in self.rows), *retired]
        self._n_open = max(1, sum(verdict not in ("better", "worse") for verdict in verdicts))

    def reason(self, row: ArmResult) -> str:
        """Return the verdict that closes an arm, or `futile`; empty while it is open."""
        if row.verdict in DECIDED and not self._is_early(row):
            return str(row.verdict)
        wins, losses = self._sides(row)
        # Ties and failed pairs use up seeds and give no evidence.
        spent = row.counts.ended - wins - losses
        alpha = self._comparison.settings.alpha
        return "futile" if is_futile(wins, losses, self._limit - spent, self._n_open, alpha) else ""

    def _is_early(self, row: ArmResult) -> bool:
        """Return whether the pairs are too few to tell a mask that never acts from one that acts rarely."""
        return (
            row.verdict == "identical"
            and row.difference is not None
            and row.difference.n < MIN_IDENTICAL_PAIRS
        )

    def sentence(self, n_seeds: int) -> str:
        """Return how every arm stands after so many seeds."""
        place = f"{self._comparison.panel}: " if self._comparison.panel else ""
        seeds = count_of(n_seeds, "seed")
        return f"{place}after {seeds}: {'; '.join(map(self._standing, self.rows))}"

    def _standing(self, row: ArmResult) -> str:
        wins, losses = self._sides(row)
        evidence = 1.0 if row.difference is None or row.difference.e_value is None else row.difference.e_value
        seen = f"{wins} won, {losses} lost, E {evidence:.3g}"
        reason = self.reason(row)
        if reason == "futile":
            return f"{row.title} is given up ({seen}; {self._limit} seeds cannot decide it any more)"
        if reason:
            return f"{row.title} is {reason} ({seen})"
        return (
            f"{row.title} is open ({seen}; decided at {self._n_open / self._comparison.settings.alpha:.3g})"
        )

    def _sides(self, row: ArmResult) -> tuple[int, int]:
        """Return how many pairs the arm won and lost; ties are neither."""
        difference = row.difference
        if difference is None:
            return 0, 0
        ties = sum(self._baseline.values.get(seed) == value for seed, value in row.values.items())
        return difference.wins, difference.n - difference.wins - ties
