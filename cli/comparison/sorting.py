"""Orders in which the arms of a table can be listed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from maskbench.comparison.results import ArmResult, Comparison


def sort_arms(comparison: Comparison, order: str) -> Comparison:
    """Return the comparison with its arms sorted: highest quality, smallest p or lowest cost first; the sort is stable.

    Arms without the number come last; the baseline stays first.

    Args:
        order: a key of `ORDERS`.
    """
    higher = comparison.settings.info.higher_is_better
    key = ORDERS[order]
    baseline = [row for row in comparison.rows if row.difference is None]
    others = [row for row in comparison.rows if row.difference is not None]
    return replace(
        comparison, rows=(*baseline, *sorted(others, key=lambda row: _missing_last(key(row, higher))))
    )


def _missing_last(value: Any) -> tuple[bool, Any]:
    return (value is None, 0 if value is None else value)


_VERDICTS = (
    *("better", "equivalent", "tied", "identical", "inconclusive", "worse"),
    *("not testable", "unusable"),
)

ORDERS: dict[str, Callable[[ArmResult, bool], Any]] = {
    "arm": lambda row, higher: row.title.casefold(),
    "mean": lambda row, higher: _best_first(row.mean, higher),
    "difference": lambda row, higher: _best_first(row.difference.mean if row.difference else None, higher),
    "p": lambda row, higher: row.difference and row.difference.p_holm,
    "cost": lambda row, higher: row.cost.relative_step_time,
    "verdict": lambda row, higher: _VERDICTS.index(row.verdict) if row.verdict else None,
    "wins": lambda row, higher: row.difference and -row.difference.wins,
}


def _best_first(value: float | None, higher: bool) -> float | None:
    return None if value is None else -value if higher else value
