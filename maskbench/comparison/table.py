"""The comparison of a panel: one row per arm, with everything a reader needs to judge it.

Differences are raw, arm minus baseline, in the metric's own unit; only verdicts, wins and symbols know which
direction is better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskbench.comparison import provenance, signature
from maskbench.comparison.collect import Cell, Collected, collect
from maskbench.comparison.leak import alarms
from maskbench.comparison.locate import panels_in
from maskbench.comparison.results import (
    Choices,
    Comparison,
    Cost,
    Counts,
    Difference,
    OtherMetric,
    Row,
    Settings,
)
from maskbench.comparison.statistics import Interval, mean_and_sd, smallest_p
from maskbench.comparison.verdict import Decision, Pairs, decide
from maskbench.config.metrics import METRICS, MetricInfo, metric_name
from maskbench.config.schema import ArmConfig
from maskbench.errors import ConfigError
from maskbench.registry import did_you_mean


def compare(directories: Sequence[Path], choices: Choices) -> list[Comparison]:
    """Return a table for every panel in the directories.

    Raises:
        ConfigError: a directory holds no experiment, a choice names nothing there, or runs cannot be compared at all
            because they saw different data or computed the metric differently.
    """
    return [tabulate(collect(found), choices) for directory in directories for found in panels_in(directory)]


def tabulate(collected: Collected, choices: Choices) -> Comparison:
    """Return the table of one panel; see `compare`."""
    settings = _settings(collected, choices)
    cells = _with_metric(collected, settings.metric)
    provenance.refuse_mixtures(cells.values(), settings.metric)
    table = _Table(collected, cells, settings)
    rows = table.rows()
    pairs = [row.difference.n for row in rows if row.difference is not None]
    return Comparison(
        experiment=collected.found.experiment.name,
        panel=collected.found.panel.name,
        question=collected.found.experiment.question,
        settings=settings,
        smallest_p=smallest_p(max(pairs)) if any(pairs) else None,
        signature=signature.of(rows, cells.values(), settings),
        metric_signature=provenance.metric_signature(cells.values(), settings.metric),
        alarms=tuple(alarms(collected.found.panel.arms, collected.cells.values())),
        warnings=(
            *_choice_warnings(collected, choices),
            *provenance.warnings(cells.values(), settings.metric),
            *provenance.unfinished(collected.found.panel.arms, cells.values()),
            *collected.remarks,
        ),
        rows=rows,
    )


def _settings(collected: Collected, choices: Choices) -> Settings:
    declared, panel = collected.found.experiment.compare, collected.found.panel
    metric = choices.metric or declared.metric
    alpha = declared.alpha if choices.alpha is None else choices.alpha
    # What matters on one metric's scale says nothing on another's.
    min_effect = declared.min_effect if metric == declared.metric else None
    min_effect = min_effect if choices.min_effect is None else choices.min_effect
    if not 0 < alpha < 1:
        raise ConfigError(f"--alpha must lie between 0 and 1, got {alpha:g}")
    if min_effect is not None and not 0 < min_effect < float("inf"):
        raise ConfigError(f"--min-effect must be above 0, got {min_effect:g}")
    return Settings(
        metric,
        _metric_info(collected, metric),
        _baseline(panel.arms, choices, panel.baseline),
        alpha,
        min_effect,
    )


def _metric_info(collected: Collected, metric: str) -> MetricInfo:
    """Look the metric up, and check that somebody measured it."""
    name = metric_name(metric)
    done = [cell.outcome for cell in collected.cells.values() if cell.outcome is not None]
    measured = sorted({name for outcome in done for name in outcome.metrics})
    if name is None or name.metric not in METRICS or (measured and metric not in measured):
        known = measured or [f"test/{name}" for name in METRICS]
        hint = did_you_mean(metric, known)
        raise ConfigError(f"no run has measured the metric {metric!r}{hint} ({_listed(known)})")
    return name.info


def _listed(names: Sequence[str]) -> str:
    """Return of which splits and metrics names are made; written out they can be a thousand."""
    parts = [name for name in map(metric_name, names) if name]
    splits = dict.fromkeys(str(name.whole).partition("/")[0] for name in parts)
    return f"splits: {', '.join(splits)}; metrics: {', '.join(dict.fromkeys(name.metric for name in parts))}"


def _baseline(arms: Sequence[ArmConfig], choices: Choices, declared: str) -> str:
    wanted = choices.baseline
    if wanted is None:
        return declared
    found = next((arm.name for arm in arms if wanted in (arm.name, arm.title)), None)
    if found is None:
        names = [arm.name for arm in arms]
        raise ConfigError(f"no arm named {wanted!r}{did_you_mean(wanted, names)} (arms: {', '.join(names)})")
    return found


def _choice_warnings(collected: Collected, choices: Choices) -> list[str]:
    """Say where the question was changed after the answers were in."""
    declared, panel = collected.found.experiment.compare, collected.found.panel
    pairs = (
        ("metric", declared.metric, choices.metric),
        ("baseline", panel.baseline, choices.baseline and _baseline(panel.arms, choices, panel.baseline)),
        ("alpha", declared.alpha, choices.alpha),
        ("min_effect", declared.min_effect, choices.min_effect),
    )
    return [
        f"{name} {chosen} was chosen on the command line; the experiment declares {before}"
        for name, before, chosen in pairs
        if chosen is not None and chosen != before
    ]


def _with_metric(collected: Collected, metric: str) -> dict[tuple[str, int], Cell]:
    """Return the cells, those that are done without the metric turned into failed ones."""
    return {
        key: cell.failing(f"its result has no {metric}")
        if cell.outcome and metric not in cell.outcome.metrics
        else cell
        for key, cell in collected.cells.items()
    }


@dataclass(frozen=True, slots=True)
class _Table:
    collected: Collected
    cells: Mapping[tuple[str, int], Cell]
    settings: Settings

    def rows(self) -> tuple[Row, ...]:
        arms = self.collected.found.panel.arms
        others = [arm for arm in arms if arm.name != self.settings.baseline]
        pairs = [self._pairs(arm.name) for arm in others]
        decisions = decide(pairs, self.settings.alpha, self.settings.min_effect)
        decided = dict(zip((arm.name for arm in others), zip(pairs, decisions, strict=True), strict=True))
        return tuple(self._row(arm, *decided.get(arm.name, (None, None))) for arm in arms)

    def _row(self, arm: ArmConfig, pairs: Pairs | None, decision: Decision | None) -> Row:
        cells = self._of(arm.name)
        values = {cell.seed: self._value(cell) for cell in cells if cell.state == "done"}
        mean, sd = mean_and_sd(list(values.values()))
        return Row(
            arm=arm.name,
            title=arm.title,
            values=values,
            mean=mean,
            sd=sd,
            difference=self._difference(pairs, decision) if pairs and decision else None,
            verdict=decision.verdict if decision else None,
            seeds_needed=decision.seeds if decision else None,
            unsafe=any(placement.unsafe for placement in arm.config.masks),
            oracle=any(cell.outcome.oracle for cell in cells if cell.outcome),
            also_different=arm.also_different,
            cost=self._cost(arm.name),
            counts=Counts(
                *(sum(c.state == state for c in cells) for state in ("done", "failed", "diverged", "waiting"))
            ),
            notes=decision.notes if decision else (),
            other_metrics=self._other_metrics(arm.name),
        )

    def _of(self, arm: str) -> list[Cell]:
        return [self.cells[arm, seed] for seed in self.collected.found.experiment.seeds]

    def _value(self, cell: Cell) -> float:
        if cell.outcome is None:
            raise ValueError(f"{cell.arm}, seed {cell.seed}, is not done")
        return cell.outcome.metrics[self.settings.metric]

    def _pairs(self, arm: str) -> Pairs:
        """Match an arm's runs with the baseline's, seed by seed."""
        sign = 1 if self.settings.info.higher_is_better else -1
        couples = list(zip(self._of(arm), self._of(self.settings.baseline), strict=True))
        states = [(a.state, b.state) for a, b in couples]
        finished = [(a, b) for a, b in couples if a.outcome and b.outcome]
        failed = sum("failed" in state for state in states)
        return Pairs(
            differences=tuple(sign * (self._value(a) - self._value(b)) for a, b in finished),
            baseline_diverged=states.count(("done", "diverged")),
            arm_diverged=states.count(("diverged", "done")),
            both_diverged=states.count(("diverged", "diverged")),
            lost=failed,
            waiting=sum("waiting" in state and "failed" not in state for state in states),
            identical=bool(finished) and all(_same_bytes(a, b) for a, b in finished),
        )

    def _difference(self, pairs: Pairs, decision: Decision) -> Difference:
        """Turn an oriented decision back into arm minus baseline."""
        mean, _ = mean_and_sd(pairs.differences)
        limits = decision.interval
        if not self.settings.info.higher_is_better:
            mean = None if mean is None else 0.0 - mean
            limits = limits and Interval(0.0 - limits.high, 0.0 - limits.low, limits.method)
        return Difference(mean, limits, decision.p, decision.p_holm, pairs.wins, pairs.n)

    def _cost(self, arm: str) -> Cost:
        costs = self.collected.costs
        time, unit = (costs.relative_step_time.get(name) for name in (arm, self.settings.baseline))
        outcomes = [cell.outcome for cell in self._of(arm) if cell.outcome]
        memory = [o.peak_memory_mb for o in outcomes if o.peak_memory_mb is not None]
        return Cost(
            tokens_per_second=costs.tokens_per_second.get(arm),
            relative_step_time=time / unit if time and unit else None,
            peak_memory_mb=max(memory, default=None),
            parameters=outcomes[0].parameters if outcomes else None,
        )

    def _other_metrics(self, arm: str) -> dict[str, OtherMetric]:
        couples = list(zip(self._of(arm), self._of(self.settings.baseline), strict=True))
        own = [cell.outcome.metrics for cell, _ in couples if cell.outcome]
        both = [(a.outcome.metrics, b.outcome.metrics) for a, b in couples if a.outcome and b.outcome]
        names = provenance.comparable_metrics(self.cells.values())
        found = {}
        for name in names:
            mean, sd = mean_and_sd([metrics[name] for metrics in own if name in metrics])
            if name == self.settings.metric or mean is None:
                continue
            gaps = [a[name] - b[name] for a, b in both if name in a and name in b]
            gap, _ = mean_and_sd([] if arm == self.settings.baseline else gaps)
            pairs = () if arm == self.settings.baseline else tuple(gaps)
            found[name] = OtherMetric(mean, sd, sum(name in metrics for metrics in own), gap, pairs)
        return found


def _same_bytes(a: Cell, b: Cell) -> bool:
    """Whether two runs wrote the same translations and logged the same training losses; unknown counts as no."""
    if a.outcome is None or b.outcome is None:
        return False
    hashes = [(o.outputs_sha256, o.train_nll_sha256) for o in (a.outcome, b.outcome)]
    return hashes[0] == hashes[1] and None not in hashes[0]
