"""The comparison of a panel: one row per arm, with checks, verdicts, costs and other metrics.

Differences are raw, arm minus baseline, in the metric's own unit; only verdicts, wins and symbols depend on
which direction is better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskbench.comparison.checks import failures, provenance
from maskbench.comparison.checks.borrowed_masks import missing_masks
from maskbench.comparison.checks.idle_masks import idle_alarms, untrained_position_warnings
from maskbench.comparison.checks.leak_alarm import leak_alarms
from maskbench.comparison.checks.misuse import check_misuse
from maskbench.comparison.checks.plan_changes import plan_change_alarms
from maskbench.comparison.checks.retired import retired_warnings, was_planned
from maskbench.comparison.checks.unmeasured import describe_unmeasured
from maskbench.comparison.matching import match_pairs, metric_value
from maskbench.comparison.noise import MIN_SEEDS, split_noise
from maskbench.comparison.results import (
    ArmCost,
    ArmResult,
    Comparison,
    ComparisonOptions,
    ComparisonSettings,
    Difference,
    NoiseShares,
    OtherMetric,
    PairedMeans,
    RetiredResult,
    RunCounts,
    TestKind,
)
from maskbench.comparison.settings import changed_settings as settings_warnings
from maskbench.comparison.settings import resolve_settings
from maskbench.comparison.text.signature import format_signature
from maskbench.config.schema.experiment import ArmConfig, RetiredArm
from maskbench.records.collect import CollectedPanel, CollectedRun, RunResult, collect_panel
from maskbench.records.locate import find_panels
from maskbench.records.sentences import SentenceReader
from maskbench.statistics import effect, sequential
from maskbench.statistics.effect import RatioEstimate, geometric_mean_ratio
from maskbench.statistics.paired import EXACT_UP_TO, Interval, mean_and_sd, smallest_p
from maskbench.statistics.pairs import PairedRuns
from maskbench.statistics.sequential import Rule
from maskbench.statistics.verdict import Decision, decide, interval_level


def compare(directories: Sequence[Path], choices: ComparisonOptions) -> list[Comparison]:
    """Return a table for every panel in the directories.

    Raises:
        ConfigError: a directory holds no experiment, a choice names nothing there, or runs cannot be compared at all
            because they saw different data or computed the metric differently.
    """
    return [
        tabulate(collect_panel(found), choices)
        for directory in directories
        for found in find_panels(directory)
    ]


def tabulate(collected: CollectedPanel, choices: ComparisonOptions) -> Comparison:
    """Return the table of one panel; see `compare`."""
    settings = resolve_settings(collected, choices)
    cells = _with_metric(collected.runs, settings.metric)
    provenance.refuse_incomparable(cells.values(), settings.metric)
    retired_cells = provenance.mark_incomparable(
        _with_metric(collected.retired_runs, settings.metric), cells.values(), settings.metric
    )
    misuse = check_misuse(collected.found.panel, cells.values(), settings.metric, settings.baseline)
    sentences = SentenceReader(collected.found.directory, settings.metric)
    table = _Table(
        collected,
        {**cells, **retired_cells},
        settings,
        sentences,
        provenance.comparable_metrics(cells.values()),
    )
    rows, retired = table.rows()
    n_comparisons = len(rows) - 1 + sum(one.is_counted for one in retired)
    pairs = [row.difference.n for row in rows if row.difference is not None]
    plan_alarms = plan_change_alarms(collected)
    masks_alarms, masks_warnings = missing_masks(collected.found.panel.arms, cells.values(), settings.metric)
    return Comparison(
        experiment=collected.found.experiment.name,
        panel=collected.found.panel.name,
        question=collected.found.experiment.question,
        settings=settings,
        smallest_p=_smallest_p(max(pairs), collected.rule) if any(pairs) else None,
        signature=format_signature(
            rows, collected.found.panel.arms, cells.values(), settings, collected.rule, n_comparisons
        ),
        metric_signature=provenance.metric_signature(cells.values(), settings.metric),
        alarms=(
            *leak_alarms(collected.found.panel.arms, collected.runs.values()),
            *idle_alarms(collected.found.panel.arms, collected.runs.values()),
            *misuse.alarms,
            *masks_alarms,
            *plan_alarms,
        ),
        warnings=(
            *settings_warnings(collected, choices),
            *misuse.warnings,
            *masks_warnings,
            *untrained_position_warnings(collected.found.panel.arms, collected.runs.values()),
            *provenance.left_out_metrics(cells.values(), settings.metric),
            *describe_unmeasured(collected.found.panel.arms, collected.runs.values()),
            *provenance.unfinished_runs(collected.found.panel.arms, cells.values()),
            *failures.failure_sentences(rows, settings.baseline),
            *retired_warnings(collected, retired),
            *collected.remarks,
            *sentences.remarks,
        ),
        rows=rows,
        rule=collected.rule,
        plan_change_alarms=plan_alarms,
        retired=retired,
    )


def _smallest_p(n_pairs: int, rule: Rule) -> float:
    """Return the smallest p that so many pairs can reach."""
    return smallest_p(n_pairs) if rule == "fixed" else 1 / sequential.e_value(n_pairs, 0)


def _test(pairs: PairedRuns, decision: Decision) -> TestKind | None:
    if decision.p is None:
        return None
    if decision.e_value is not None:
        return "sequential"
    if pairs.diverged:
        return "sign"
    return "exact sign-flip" if pairs.n <= EXACT_UP_TO else "random sign-flip"


def _with_metric(
    runs: Mapping[tuple[str, int], CollectedRun], metric: str
) -> dict[tuple[str, int], CollectedRun]:
    """Return the runs; those that are done without the metric become failed ones."""
    return {
        key: cell.failing(_without_metric(cell.result, metric))
        if cell.result and metric not in cell.result.metrics
        else cell
        for key, cell in runs.items()
    }


def _without_metric(result: RunResult, metric: str) -> str:
    reason = result.undefined.get(metric)
    return f"its result has no {metric}" + (f", which is undefined there: {reason}" if reason else "")


@dataclass(frozen=True, slots=True)
class _Table:
    collected: CollectedPanel
    cells: Mapping[tuple[str, int], CollectedRun]
    settings: ComparisonSettings
    sentences: SentenceReader
    metrics: Sequence[str]
    """Those whose numbers may stand side by side."""

    def rows(self) -> tuple[tuple[ArmResult, ...], tuple[RetiredResult, ...]]:
        """Return the rows of the table and the retired arms.

        Retired arms are tested together with the others, so retiring an arm changes no number of another one.
        """
        arms, retired = self.collected.found.panel.arms, self.collected.found.experiment.retired
        counted = [
            arm for arm in retired if self._has_ended(arm.name) or was_planned(self.collected, arm.name)
        ]
        others = [arm.name for arm in arms if arm.name != self.settings.baseline]
        others += [arm.name for arm in counted]
        pairs = [match_pairs(self._couples(name), self.settings) for name in others]
        decisions = decide(
            pairs,
            self.settings.alpha,
            self.settings.min_effect,
            self.collected.rule,
            limit=self.collected.limit,
            simultaneous=self.settings.simultaneous,
        )
        decided = dict(zip(others, zip(pairs, decisions, strict=True), strict=True))
        listed = tuple(
            RetiredResult(
                arm.name,
                arm.title,
                arm.reason,
                self._row(arm, *decided[arm.name]) if self._has_ended(arm.name) else None,
                arm in counted,
            )
            for arm in retired
        )
        return tuple(self._row(arm, *decided.get(arm.name, (None, None))) for arm in arms), listed

    def _has_ended(self, arm: str) -> bool:
        return any(cell.state != "waiting" for cell in self._of(arm))

    def _row(
        self, arm: ArmConfig | RetiredArm, pairs: PairedRuns | None, decision: Decision | None
    ) -> ArmResult:
        cells, config = self._of(arm.name), arm if isinstance(arm, ArmConfig) else None
        values = {cell.seed: metric_value(cell, self.settings) for cell in cells if cell.state == "done"}
        mean, sd = mean_and_sd(list(values.values()))
        return ArmResult(
            arm=arm.name,
            title=arm.title,
            values=values,
            mean=mean,
            sd=sd,
            difference=self._difference(arm.name, pairs, decision) if pairs and decision else None,
            verdict=decision.verdict if decision else None,
            seeds_needed=decision.seeds if decision else None,
            unsafe=config is not None and any(placement.unsafe for placement in config.config.masks),
            oracle=any(cell.result.oracle for cell in cells if cell.result),
            also_different=config.also_different if config else (),
            cost=self._cost(arm.name),
            counts=RunCounts(
                *(sum(c.state == state for c in cells) for state in ("done", "failed", "diverged", "waiting"))
            ),
            notes=decision.notes if decision else (),
            other_metrics=self._other_metrics(arm.name),
        )

    def _of(self, arm: str) -> list[CollectedRun]:
        seeds = self.collected.found.experiment.seeds
        return [self.cells[arm, seed] for seed in seeds if (arm, seed) in self.cells]

    def _couples(self, arm: str) -> list[tuple[CollectedRun, CollectedRun]]:
        """Return pairs of the arm's and the baseline's run, for the seeds planned for both."""
        baseline = {cell.seed: cell for cell in self._of(self.settings.baseline)}
        return [(cell, baseline[cell.seed]) for cell in self._of(arm) if cell.seed in baseline]

    def _difference(self, arm: str, pairs: PairedRuns, decision: Decision) -> Difference:
        """Return the difference as arm minus baseline; the decision has it turned so that positive is better."""
        mean, _ = mean_and_sd(pairs.differences)
        limits = decision.interval
        if not self.settings.info.higher_is_better:
            mean = None if mean is None else 0.0 - mean
            limits = limits and Interval(0.0 - limits.high, 0.0 - limits.low, limits.method)
        scores = {
            a.seed: (metric_value(a, self.settings), metric_value(b, self.settings))
            for a, b in self._couples(arm)
            if a.result and b.result
        }
        own, baseline = [a for a, _ in scores.values()], [b for _, b in scores.values()]
        return Difference(
            mean,
            limits,
            decision.p,
            decision.p_holm,
            pairs.wins,
            pairs.n,
            win_rate=effect.win_rate(pairs.wins, pairs.n),
            relative=effect.relative_difference(own, baseline),
            # Excluding diverged pairs would understate the spread.
            d_z=None if pairs.diverged else effect.d_z(own, baseline),
            pairing_gain=None if pairs.diverged else effect.pairing_gain(own, baseline),
            e_value=decision.e_value,
            noise=None if pairs.diverged else self._noise(arm, scores, limits),
            test=_test(pairs, decision),
            paired_means=self._paired_means(arm, self.settings.metric),
        )

    def _paired_means(self, arm: str, metric: str) -> PairedMeans | None:
        """Return the means over the seeds of both sides, None where neither side has the metric of other seeds."""
        sides = [
            {
                cell.seed: cell.result.metrics[metric]
                for cell in self._of(name)
                if cell.result is not None and metric in cell.result.metrics
            }
            for name in (arm, self.settings.baseline)
        ]
        own, baseline = sides
        shared = [seed for seed in own if seed in baseline]
        if own.keys() == baseline.keys() or not shared:
            return None
        (mean, _), (base, _) = (mean_and_sd([side[seed] for seed in shared]) for side in sides)
        return None if mean is None or base is None else PairedMeans(mean, base, len(shared))

    def _noise(
        self, arm: str, scores: Mapping[int, tuple[float, float]], limits: Interval | None
    ) -> NoiseShares | None:
        """Return the sources of the difference's uncertainty, from the same pairs as its mean."""
        if len(scores) < MIN_SEEDS:
            return None
        counts = self.sentences.paired(arm, self.settings.baseline, scores)
        retired = self.collected.found.experiment.retired
        counted = [a for a in retired if self._has_ended(a.name) or was_planned(self.collected, a.name)]
        n_arms, settings = len(self.collected.found.panel.arms) - 1 + len(counted), self.settings
        level = interval_level(n_arms, settings.alpha, simultaneous=settings.simultaneous)
        return counts and split_noise(self.sentences.metric, *counts, level, limits)

    def _cost(self, arm: str) -> ArmCost:
        costs = self.collected.costs
        names = (arm, self.settings.baseline)
        time, unit = (costs.relative_step_time.get(name) for name in names)
        measured = geometric_mean_ratio(*(costs.log_step_seconds.get(name, ()) for name in names))
        if measured is None and time and unit:
            measured = RatioEstimate(time / unit, None, None)
        limited = measured is not None and arm != self.settings.baseline
        outcomes = [cell.result for cell in self._of(arm) if cell.result]
        memory = [o.peak_memory_mb for o in outcomes if o.peak_memory_mb is not None]
        return ArmCost(
            tokens_per_second=costs.tokens_per_second.get(arm),
            relative_step_time=measured.value if measured else None,
            peak_memory_mb=max(memory, default=None),
            parameters=outcomes[0].parameters if outcomes else None,
            step_time_low=measured.low if measured and limited else None,
            step_time_high=measured.high if measured and limited else None,
        )

    def _other_metrics(self, arm: str) -> dict[str, OtherMetric]:
        couples = self._couples(arm)
        own = [cell.result.metrics for cell in self._of(arm) if cell.result]
        both = [(a.result.metrics, b.result.metrics) for a, b in couples if a.result and b.result]
        diverged = any("diverged" in (a.state, b.state) for a, b in couples)
        found = {}
        for name in self.metrics:
            mean, sd = mean_and_sd([metrics[name] for metrics in own if name in metrics])
            if name == self.settings.metric or mean is None:
                continue
            gaps = [a[name] - b[name] for a, b in both if name in a and name in b]
            gap, _ = mean_and_sd([] if arm == self.settings.baseline else gaps)
            # Excluding diverged pairs would make the interval too narrow.
            pairs = () if arm == self.settings.baseline or diverged else tuple(gaps)
            n, means = sum(name in metrics for metrics in own), self._paired_means(arm, name)
            found[name] = OtherMetric(mean, sd, n, gap, pairs, means)
        return found
