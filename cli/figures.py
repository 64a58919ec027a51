"""Numbers in a table's cells: in a unit people talk in, with as many decimals as the noise leaves meaningful."""

from __future__ import annotations

import math
from dataclasses import dataclass

from maskbench.comparison.results import Comparison, Difference, Row
from maskbench.config.metrics import METRICS, metric_name

from .glyphs import Glyphs


@dataclass(frozen=True, slots=True)
class Scale:
    """How one metric's numbers are written."""

    factor: float
    decimals: int

    @property
    def percent(self) -> str:
        """The unit as a column's heading has it."""
        return " %" if self.factor == 100 else ""

    @property
    def unit(self) -> str:
        """The unit as a sentence has it."""
        return " in %" if self.factor == 100 else ""

    def number(self, value: float) -> str:
        """Return a number in this scale; what rounds to nothing has no sign."""
        text = f"{value * self.factor:.{self.decimals}f}"
        return text.lstrip("-") if float(text) == 0 else text


def scale_of(comparison: Comparison, metric: str | None = None) -> Scale:
    """Return the scale of the compared metric, or of another one: shares become percent.

    One decimal for percentages and scores up to 100, three for the rest, and up to two more if the spread over seeds
    or the smallest difference that matters would vanish otherwise.
    """
    name = metric_name(metric or comparison.settings.metric)
    info = METRICS.get(name.metric) if name else None
    high = math.inf if info is None else info.high
    factor, least = (100.0 if high == 1 else 1.0), (1 if high <= 100 else 3)
    if metric is None:
        spreads = [row.sd for row in comparison.rows] + [comparison.settings.min_effect]
    else:
        others = (row.other_metrics.get(metric) for row in comparison.rows)
        spreads = [other.sd for other in others if other is not None]
    smallest = min((s * factor for s in spreads if s), default=1.0)
    return Scale(factor, min(least + 2, max(least, math.ceil(-math.log10(smallest)))))


def signed(number: str) -> str:
    """Return a written number with its sign."""
    return number if number.startswith("-") else f"+{number}"


def mean_cell(row: Row, scale: Scale, between: str, glyphs: Glyphs) -> str:
    """Return `91.5 ± 0.4`, or what there is of it."""
    if row.mean is None:
        return glyphs.nothing
    mean = scale.number(row.mean)
    return mean if row.sd is None else f"{mean}{between}{glyphs.plus_minus} {scale.number(row.sd)}"


def interval_cell(difference: Difference, scale: Scale, between: str, glyphs: Glyphs) -> str:
    """Return `+1.2 [-0.1, 2.0]`, or what there is of it."""
    if difference.mean is None:
        return glyphs.nothing
    mean, limits = signed(scale.number(difference.mean)), difference.interval
    if limits is None:
        return mean
    return f"{mean}{between}[{scale.number(limits.low)}, {scale.number(limits.high)}]"


def p_cell(p: float | None, glyphs: Glyphs) -> str:
    """Return a p-value with three decimals."""
    if p is None:
        return glyphs.nothing
    return "<.001" if p < 0.0005 else f"{p:.3f}"


def ratio_cell(ratio: float | None, glyphs: Glyphs) -> str:
    """Return a relative time as `1.03×`."""
    return glyphs.nothing if ratio is None else f"{ratio:.2f}{glyphs.times}"
