"""Comparisons put together by hand, for tests of what is written about them: no engine has had a say in these numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from maskbench.comparison.results import (
    ArmCost,
    ArmResult,
    Comparison,
    ComparisonSettings,
    Difference,
    NoiseShares,
    OtherMetric,
    RunCounts,
    WinRate,
)
from maskbench.config.schema.metrics import find_metric
from maskbench.statistics.paired import Interval
from maskbench.statistics.power import SeedRange

SIGNATURE = (
    "maskbench|v:0.1.0|metric:test/token_accuracy|base:static|n:8seeds|pair:crn|rule:fixed|test:signflip-exact|"
    "ci:inv95|adj:holm4|alpha:0.05|min:0.01|data:8f540e|code:480e3e"
)


def difference(
    mean: float | None, low: float | None = None, high: float | None = None, **more: Any
) -> Difference:
    """Return a difference with its interval, of 8 pairs unless told."""
    limits = None if low is None or high is None else Interval(low, high, more.pop("method", "test"))
    told = {"p": 0.0078125, "p_holm": 0.03125, "wins": 8, "n": 8, **more}
    tested = None if told["p"] is None else "exact sign-flip"
    return Difference(mean, limits, **{"test": tested, **told})


def row(arm: str, found: Difference | None = None, verdict: Any = None, **more: Any) -> ArmResult:
    """Return an arm with eight finished runs; the baseline without `found`."""
    told = {
        "title": arm,
        "values": {seed: 0.5 + seed / 100 for seed in range(8)},
        "mean": 0.5524,
        "sd": 0.0182,
        "seeds_needed": None,
        "unsafe": False,
        "also_different": (),
        "cost": ArmCost(5100.0, 1.0, 410.5, 812_000),
        "counts": RunCounts(8, 0, 0, 0),
        "notes": (),
        "other_metrics": {},
        **more,
    }
    return ArmResult(arm=arm, difference=found, verdict=verdict, **told)


def comparison(*rows: ArmResult, **more: Any) -> Comparison:
    """Return a panel whose baseline is the first row."""
    settings = ComparisonSettings(
        "test/token_accuracy", find_metric("token_accuracy"), rows[0].arm, 0.05, 0.01
    )
    told = {
        "experiment": "made",
        "panel": None,
        "question": "Is it any use?",
        "settings": settings,
        "smallest_p": 0.0078125,
        "signature": SIGNATURE,
        "metric_signature": None,
        "alarms": (),
        "warnings": (),
        **more,
    }
    return Comparison(rows=rows, **told)


def on(metric: str, found: Comparison) -> Comparison:
    """Return the same numbers as another metric's."""
    info = find_metric(metric.partition("/")[2])
    return replace(found, settings=replace(found.settings, metric=metric, info=info))


def others(gain: float | None) -> dict[str, OtherMetric]:
    """Return what else was measured; an arm's, or, without a gain, the baseline's."""
    means = {
        "test/nll": 1.682,
        "noise-10/token_accuracy": 0.612,
        "test/token_accuracy[tag:gender]": 0.481,
        "noise-10/nll": 2.341,
        "noise-10/token_accuracy[tag:gender]": 0.402,
    }
    return {name: _other(mean, gain, 10.0 ** ("nll" not in name)) for name, mean in means.items()}


def _other(mean: float, gain: float | None, size: float) -> OtherMetric:
    if gain is None:
        return OtherMetric(mean, 0.01, 8, None)
    gaps = tuple(gain / size + (seed - 3.5) / 1000 for seed in range(8))
    return OtherMetric(mean + gain / size, 0.01, 8, gain / size, gaps)


def every_verdict() -> Comparison:
    """Return a panel in which everything happens that a table can show."""
    return comparison(
        row("static", other_metrics=others(None)),
        row(
            "dynamic",
            difference(
                0.0167,
                0.009,
                0.0251,
                noise=NoiseShares(0.71, 0.29, 0.005, 0.029),
                win_rate=WinRate(1.0, 0.68, 1.0),
            ),
            "better",
            mean=0.5691,
            cost=ArmCost(4900.0, 1.337, 433.0, 812_000, 1.291, 1.402),
            notes=("size uncertain",),
            other_metrics=others(0.11),
        ),
        row(
            "window-1",
            difference(-0.0333, -0.041, -0.0262, wins=0, noise=NoiseShares(0.85, 0.15, -0.045, -0.021)),
            "worse",
            mean=0.5191,
            unsafe=True,
            also_different=("train.lr",),
            cost=ArmCost(5000.0, 0.981, 405.0, 812_000, 0.97, 0.99),
            other_metrics=others(-0.2),
        ),
        row("none", difference(0.002, -0.004, 0.0061, p=0.4, p_holm=0.8, wins=5), "equivalent", unsafe=True),
        row(
            "twin",
            difference(0.0, 0.0, 0.0, p=None, p_holm=None, wins=0),
            "identical",
            notes=(
                "does exactly what the baseline does: same training losses, same translations, byte for byte",
            ),
        ),
        row(
            "noise",
            difference(0.0062, -0.0121, 0.0243, p=0.5, p_holm=0.8, wins=5),
            "inconclusive",
            seeds_needed=SeedRange(27, 54),
            notes=("19 to 46 more seeds for an 80 % chance to see a difference of min_effect",),
            oracle=True,
        ),
        row(
            "late",
            difference(0.03, p=1.0, p_holm=1.0, wins=2, n=2),
            "not testable",
            values={0: 0.55, 1: 0.57},
            mean=0.56,
            sd=0.0141,
            counts=RunCounts(2, 0, 0, 6),
            cost=ArmCost(None, None, None, None),
            notes=("2 of 8 pairs so far; the verdict waits for the planned seeds",),
        ),
        row(
            "broken",
            difference(None, p=None, p_holm=None, wins=0, n=0),
            "unusable",
            values={},
            mean=None,
            sd=None,
            counts=RunCounts(0, 8, 0, 0),
            cost=ArmCost(None, None, None, None),
            notes=("8 of 8 pairs dropped",),
        ),
        panel="small",
        alarms=("leak alarm: window-1 sees what it should not",),
        warnings=(
            "late, seeds 2-7: not started",
            "broken, seeds 0-7: failed: disk full",
            "mixed commit: a, b",
        ),
        metric_signature="case:mixed",
    )
