"""Forecast the power of an experiment: the smallest possible p-value and detectable difference.

The detectable difference depends on the spread of the differences between paired runs. It is unknown before
the first run, so it is taken from an earlier experiment with the same metric, if there is one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from maskbench.config.schema.experiment import Experiment, PanelConfig, RetiredArm
from maskbench.errors import MaskbenchError
from maskbench.experiment.plan import PlannedRun
from maskbench.forecast.cost_estimate import CostEstimate
from maskbench.records.collect import CollectedPanel, collect_panel, retired_with_results
from maskbench.records.locate import EXPERIMENT_FILE, FoundPanel, find_panels
from maskbench.runs.directory import ExperimentDirectory
from maskbench.statistics.paired import least_seeds, mean_and_sd, smallest_p
from maskbench.statistics.power import Family, SeedRange, detectable_effect, seeds_needed


@dataclass(frozen=True, slots=True)
class Spread:
    """The spread of a metric's paired differences over seeds in an earlier experiment."""

    sd: float
    """Standard deviation of the differences, pooled over the arms, in the metric's unit."""
    pairs: int
    """Number of pairs of the arm with the most pairs."""
    experiment: str


@dataclass(frozen=True, slots=True)
class PowerForecast:
    """The statistical power of a panel's seeds."""

    panel: str | None
    n_seeds: int
    n_arms: int
    """Number of arms that are corrected for, without the baseline."""
    alpha: float
    smallest_p: float
    least_seeds: int
    """Smallest number of seeds with which an arm can get a verdict."""
    effect: float | None
    """The smallest true difference that is detected with 80 % power, in standard deviations of the
    differences; None if there are too few seeds for a verdict."""
    spread: Spread | None
    needed: SeedRange | None
    """Number of seeds that detects `min_effect` with 80 % power; None without a spread or a `min_effect`."""
    n_retired: int = 0
    """Number of retired arms among `n_arms`."""

    @property
    def can_decide(self) -> bool:
        """Whether these seeds can give any arm a verdict."""
        return self.n_seeds >= self.least_seeds

    @property
    def difference(self) -> float | None:
        """The smallest difference that is detected with 80 % power, in the metric's unit."""
        return self.effect * self.spread.sd if self.effect is not None and self.spread else None


def forecast_power(experiment: Experiment, runs_dir: Path) -> list[PowerForecast]:
    """Return the power of the seeds in each panel with at least two arms.

    Args:
        experiment: the planned experiment.
        runs_dir: the folder of all experiments, in which an earlier spread is looked up.
    """
    return [
        _outlook(
            experiment,
            panel,
            find_earlier_spread(experiment, panel, runs_dir),
            len(find_counted_retired(experiment, panel, runs_dir)),
        )
        for panel in experiment.panels
        if len(panel.arms) > 1
    ]


def find_counted_retired(experiment: Experiment, panel: PanelConfig, runs_dir: Path) -> list[RetiredArm]:
    """Return the retired arms whose results in a panel are corrected for."""
    place = ExperimentDirectory.of(runs_dir, experiment.name, panel.name)
    return retired_with_results(FoundPanel(place, experiment, panel))


def _outlook(
    experiment: Experiment, panel: PanelConfig, spread: Spread | None, n_retired: int
) -> PowerForecast:
    n, arms, compared = len(experiment.seeds), len(panel.arms) - 1 + n_retired, experiment.compare
    floor = least_seeds(arms, compared.alpha)
    wanted = compared.min_effect
    return PowerForecast(
        panel=panel.name,
        n_seeds=n,
        n_arms=arms,
        n_retired=n_retired,
        alpha=compared.alpha,
        smallest_p=smallest_p(n),
        least_seeds=floor,
        effect=detectable_effect(n, compared.alpha / arms) if n >= floor else None,
        spread=spread,
        needed=seeds_needed(spread.sd, spread.pairs, wanted, Family(arms, compared.alpha))
        if spread and wanted
        else None,
    )


def find_earlier_spread(experiment: Experiment, panel: PanelConfig, runs_dir: Path) -> Spread | None:
    """Return the compared metric's spread in finished pairs of this panel, else of the most similar one."""
    metric = experiment.compare.metric
    known = [
        (_likeness(experiment.name, panel, found), spread)
        for found in _panels(runs_dir, metric)
        if (spread := pooled_spread(found, metric)) is not None
    ]
    return max(known, key=lambda one: (one[0], one[1].pairs), default=(None, None))[1]


def pooled_spread(collected: CollectedPanel, metric: str) -> Spread | None:
    """Return the pooled spread of a panel's differences to its baseline; None if no arm has any spread."""
    baseline = collected.found.panel.baseline
    squares, freedom, most = 0.0, 0, 0
    for arm in collected.found.panel.arms:
        differences = list(_differences(collected, arm.name, metric)) if arm.name != baseline else []
        _, sd = mean_and_sd(differences)
        # An arm equal to the baseline has no spread and is left out.
        if sd:
            squares += (len(differences) - 1) * sd**2
            freedom += len(differences) - 1
            most = max(most, len(differences))
    if not freedom:
        return None
    return Spread(math.sqrt(squares / freedom), most, collected.found.experiment.name)


def _differences(collected: CollectedPanel, arm: str, metric: str) -> Iterator[float]:
    for seed in collected.found.experiment.seeds:
        # An arm that was closed early has no runs of later seeds.
        cells = [collected.runs.get((name, seed)) for name in (arm, collected.found.panel.baseline)]
        outcomes = [None if cell is None else cell.result for cell in cells]
        own, base = (None if outcome is None else outcome.metrics.get(metric) for outcome in outcomes)
        if own is not None and base is not None:
            yield own - base


def _panels(runs_dir: Path, metric: str) -> Iterator[CollectedPanel]:
    """Yield every panel of the runs folder that compares this metric; skip what cannot be read."""
    for path in sorted(runs_dir.glob("*")):
        try:
            if path.is_dir() and _may_compare(path, metric):
                yield from (
                    collect_panel(found)
                    for found in find_panels(path)
                    if found.experiment.compare.metric == metric
                )
        except (MaskbenchError, OSError):
            continue


def _may_compare(path: Path, metric: str) -> bool:
    """Return whether an experiment's file contains the metric's name; faster than parsing the file."""
    files = [path / EXPERIMENT_FILE, *path.glob(f"*/{EXPERIMENT_FILE}")]
    return any(
        metric in file.read_text(encoding="utf-8", errors="replace") for file in files if file.is_file()
    )


def _likeness(name: str, panel: PanelConfig, found: CollectedPanel) -> tuple[bool, int]:
    """Return whether the found panel is this one, and how many of corpus, model and training are equal."""
    ours, theirs = panel.arms[0].config, found.found.panel.arms[0].config
    same = [ours.corpus == theirs.corpus, ours.model == theirs.model, ours.train == theirs.train]
    itself = found.found.experiment.name == name and found.found.panel.name == panel.name
    return itself and all(same), sum(same)


def to_json(
    experiment: Experiment,
    runs: Sequence[PlannedRun],
    expected: CostEstimate,
    prospects: Sequence[PowerForecast],
    plugins: Sequence[Mapping[str, Any]] = (),
    attention: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Return the forecast as JSON; times in seconds, sizes in bytes, differences in the metric's unit.

    Args:
        plugins: what run.json would say of the plug-ins that the runs use.
        attention: how the attention of long sentences is computed (`forecast.attention_paths`).
    """
    document = {
        "experiment": experiment.name,
        "due": sum(run.is_due for run in runs),
        "seconds": expected.seconds,
        "workers": expected.workers,
        "memory_bytes": {
            "run": expected.memory,
            "all": expected.memory * expected.workers,
            "audit": expected.audit_memory,
        },
        "disk_bytes": expected.disk,
        "runs": [_run_entry(run) for run in runs],
        "steps": [
            {"panel": panel, "arm": arm, **asdict(step), "run_seconds": expected.run_seconds[panel, arm]}
            for (panel, arm), step in expected.steps.items()
        ],
        "metric": experiment.compare.metric,
        "min_effect": experiment.compare.min_effect,
        "seeds": [_outlook_entry(outlook, expected) for outlook in prospects],
        "retired": [{"arm": arm.name, "reason": arm.reason} for arm in experiment.retired],
        "plugins": [dict(plugin) for plugin in plugins],
        "attention": [dict(entry) for entry in attention],
    }
    # ASCII only, so that text from files can neither break the encoding nor contain terminal control codes.
    return json.dumps(document, ensure_ascii=True, allow_nan=False, indent=1)


def _run_entry(run: PlannedRun) -> dict[str, Any]:
    return {
        "panel": run.panel,
        "arm": run.arm.name,
        "seed": run.seed,
        "state": run.state,
        "differences": list(run.differences),
    }


def _outlook_entry(outlook: PowerForecast, expected: CostEstimate) -> dict[str, Any]:
    missing = max(0, outlook.least_seeds - outlook.n_seeds)
    return {
        **asdict(outlook),
        "can_decide": outlook.can_decide,
        "difference": outlook.difference,
        "missing_seeds": missing,
        "missing_seconds": expected.more_seeds(missing),
    }
