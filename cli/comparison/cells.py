"""The main table's cells as plain text, for the formats that are pasted into documents."""

from __future__ import annotations

from dataclasses import dataclass

from maskbench.comparison.results import Comparison, Cost, Counts, Difference, Row
from maskbench.comparison.text.number_format import Scale, p_text, range_text, scale_of, signed
from maskbench.comparison.text.sentences import cost_text

from ..terminal import Glyphs


def count_cell(counts: Counts) -> str:
    """Return the finished runs, and of how many where some are not: `8`, `5/8`."""
    planned = counts.done + counts.failed + counts.diverged + counts.waiting
    return str(counts.done) if counts.done == planned else f"{counts.done}/{planned}"


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
    return mean if limits is None else f"{mean}{between}{range_text(scale, limits.low, limits.high)}"


def p_cell(p: float | None, glyphs: Glyphs) -> str:
    """Return a p-value with three decimals."""
    return glyphs.nothing if p is None else p_text(p)


def cost_cell(cost: Cost, between: str | None, glyphs: Glyphs) -> str:
    """Return a relative step time as `1.03×`, with its interval behind `between` where that is not None."""
    if cost.relative_step_time is None:
        return glyphs.nothing
    ratio = f"{cost.relative_step_time:.2f}{glyphs.times}"
    if between is None or cost.step_time_low is None or cost.step_time_high is None:
        return ratio
    return f"{ratio}{between}[{cost.step_time_low:.2f}, {cost.step_time_high:.2f}]"


@dataclass(frozen=True, slots=True)
class Written:
    """One arm; empty where there is nothing to say."""

    arm: str
    n: str
    mean: str
    sd: str
    difference: str
    interval: str
    p: str
    wins: str
    verdict: str
    cost: str


def written(comparison: Comparison) -> list[Written]:
    """Return the arms in their order."""
    scale = scale_of(comparison)
    return [_written(row, scale) for row in comparison.rows]


def p_heading(comparison: Comparison) -> str:
    """Return what kind of p the table has."""
    kind = "anytime p" if comparison.rule == "sequential" else "p"
    return f"{kind} (Holm)" if len(comparison.rows) > 2 else kind


def _written(row: Row, scale: Scale) -> Written:
    difference = row.difference
    marks = " (unsafe)" * row.unsafe + " (oracle)" * row.oracle
    return Written(
        arm=row.title + marks,
        n=count_cell(row.counts),
        mean="" if row.mean is None else scale.number(row.mean),
        sd="" if row.sd is None else scale.number(row.sd),
        difference=""
        if difference is None or difference.mean is None
        else signed(scale.number(difference.mean)),
        interval=""
        if difference is None or difference.interval is None
        else range_text(scale, difference.interval.low, difference.interval.high),
        p="" if difference is None or difference.p_holm is None else p_text(difference.p_holm),
        wins="" if difference is None else f"{difference.wins}/{difference.n}",
        verdict=row.verdict or "baseline",
        cost=cost_text(row.cost),
    )
