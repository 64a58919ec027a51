"""A comparison as JSON with stable keys."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from maskbench.comparison.results import ArmResult, Comparison, Difference, OtherMetric


def to_json(comparisons: Sequence[Comparison]) -> str:
    """Return one document: the object of a single panel, or `{"experiment": ..., "panels": [objects]}` for several.

    "experiment" is null there if the panels are of different experiments; each object names its own.
    """
    objects = [panel_object(comparison) for comparison in comparisons]
    names = {comparison.experiment for comparison in comparisons}
    several = {"experiment": names.pop() if len(names) == 1 else None, "panels": objects}
    # ASCII only: text from files can then neither break the encoding nor steer a terminal.
    return json.dumps(
        objects[0] if len(objects) == 1 else several, ensure_ascii=True, allow_nan=False, indent=1
    )


def panel_object(comparison: Comparison) -> dict[str, Any]:
    """Return a panel's table as plain data; differences are arm minus baseline, in the metric's unit."""
    settings = comparison.settings
    return {
        "experiment": comparison.experiment,
        "panel": comparison.panel,
        "baseline": settings.baseline,
        "metric": settings.metric,
        "alpha": settings.alpha,
        "min_effect": settings.min_effect,
        "smallest_p": comparison.smallest_p,
        "signature": comparison.signature,
        "warnings": [*comparison.alarms, *comparison.warnings],
        "arms": [
            {
                **arm_object(row),
                "other_metrics": {
                    name: _other_metric(other, settings.alpha) for name, other in row.other_metrics.items()
                },
            }
            for row in comparison.rows
        ],
        "rule": comparison.rule,
        "retired": [
            {
                "arm": one.arm,
                "reason": one.reason,
                "is_counted": one.is_counted,
                "result": None if one.row is None else arm_object(one.row),
            }
            for one in comparison.retired
        ],
    }


def arm_object(row: ArmResult) -> dict[str, Any]:
    """Return an arm's numbers as plain data, in full precision, without its other metrics; CSV flattens the same ones."""
    return {
        "arm": row.arm,
        "n": len(row.values),
        "values": {str(seed): value for seed, value in row.values.items()},
        "mean": row.mean,
        "sd": row.sd,
        "difference": None if row.difference is None else _difference(row.difference),
        "verdict": row.verdict,
        "seeds_needed": None if row.seeds_needed is None else asdict(row.seeds_needed),
        "unsafe": row.unsafe,
        "oracle": row.oracle,
        "also_different": list(row.also_different),
        "cost": asdict(row.cost),
        "status": {key: asdict(row.counts)[key] for key in ("done", "failed", "diverged")},
        "notes": list(row.notes),
    }


def _other_metric(other: OtherMetric, alpha: float) -> dict[str, Any]:
    limits = other.interval(alpha)
    return {
        "mean": other.mean,
        "sd": other.sd,
        "n": other.n,
        "difference_mean": other.difference_mean,
        "low": limits.low if limits else None,
        "high": limits.high if limits else None,
        "paired_means": None if other.paired_means is None else asdict(other.paired_means),
    }


def _difference(difference: Difference) -> dict[str, Any]:
    limits = difference.interval
    return {
        "mean": difference.mean,
        "low": limits.low if limits else None,
        "high": limits.high if limits else None,
        "p": difference.p,
        "p_holm": difference.p_holm,
        "wins": difference.wins,
        "n": difference.n,
        "win_rate": None if difference.win_rate is None else asdict(difference.win_rate),
        "relative": difference.relative,
        "d_z": difference.d_z,
        "pairing_gain": difference.pairing_gain,
        "e_value": difference.e_value,
        "noise": None if difference.noise is None else asdict(difference.noise),
        "paired_means": None if difference.paired_means is None else asdict(difference.paired_means),
    }
