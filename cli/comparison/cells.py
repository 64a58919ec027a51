"""The main table's cells as plain text, for the formats that are pasted into documents."""

from __future__ import annotations

from dataclasses import dataclass

from maskbench.comparison.results import Comparison, Row
from maskbench.comparison.text.number_format import Scale, p_text, range_text, scale_of, signed
from maskbench.comparison.text.sentences import cost_text

from ..figures import count_cell


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
