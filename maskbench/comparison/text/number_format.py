"""Formats a metric's numbers: shares as percent, with as many decimals as the spread over seeds justifies."""

from __future__ import annotations

import math
from dataclasses import dataclass

from maskbench.comparison.results import Comparison
from maskbench.config.schema.metrics import find_metric, is_metric, metric_name


@dataclass(frozen=True, slots=True)
class Scale:
    """The unit and decimals of a metric."""

    factor: float
    decimals: int
    measured_in: str = ""
    """What a difference of 1 is called where the metric is no share: `BLEU points`, `nats per token`."""

    @property
    def percent(self) -> str:
        """The unit as a column's heading has it."""
        return " %" if self.factor == 100 else ""

    @property
    def unit(self) -> str:
        """The unit as a caption has it."""
        return " in %" if self.factor == 100 else ""

    @property
    def points(self) -> str:
        """The unit of a difference as a sentence has it: percentages differ by points."""
        return " points" if self.factor == 100 else self.measured_in and f" {self.measured_in}"

    def number(self, value: float) -> str:
        """Return a number in this scale; 0 has no sign."""
        text = f"{value * self.factor:.{self.decimals}f}"
        return text.lstrip("-") if float(text) == 0 else text


def scale_of(comparison: Comparison, metric: str | None = None) -> Scale:
    """Return the scale of the compared metric, or of another one: shares become percent.

    One decimal for percentages and scores up to 100, three for the rest, and up to two more if the spread over seeds
    or the smallest difference that matters would vanish otherwise.
    """
    name = metric_name(metric or comparison.settings.metric)
    info = find_metric(name.metric) if name and is_metric(name.metric) else None
    factor, least = (1.0, 3) if info is None else (info.factor, info.least_decimals)
    if metric is None:
        spreads = [row.sd for row in comparison.rows] + [comparison.settings.min_effect]
    else:
        others = (row.other_metrics.get(metric) for row in comparison.rows)
        spreads = [other.sd for other in others if other is not None]
    smallest = min((s * factor for s in spreads if s), default=1.0)
    decimals = min(least + 2, max(least, math.ceil(-math.log10(smallest))))
    return Scale(factor, decimals, info.unit if info else "")


def with_sign(number: str) -> str:
    """Return a written number with its sign."""
    return number if number.startswith("-") else f"+{number}"


def p_text(p: float) -> str:
    """Return a p-value with three decimals."""
    return "<.001" if p < 0.0005 else f"{p:.3f}"


def interval_text(scale: Scale, low: float, high: float) -> str:
    """Return an interval: `[-0.1, 2.0]`."""
    return f"[{scale.number(low)}, {scale.number(high)}]"
