"""A comparison as CSV for spreadsheets and data frames: one line per arm, columns that stay, numbers in full.

RFC 4180: fields in double quotes where needed, lines ended by CRLF, UTF-8. Differences are arm minus baseline, in
the metric's own unit (a share is a share, not percent). What was not measured is empty.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import StringIO

from maskbench.comparison.results import Comparison, Cost, Difference, Noise, Row
from maskbench.text import sanitize

Cell = str | float | int | bool | None

# A spreadsheet takes a field that begins with one of these for a formula, which can run programs or send the table
# away; quoting does not stop it (OWASP, "CSV Injection"). The wide forms count in some locales.
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def to_csv(comparisons: Sequence[Comparison]) -> str:
    """Return all panels in one table, told apart by the columns `experiment` and `panel`."""
    records = [_record(row, comparison) for comparison in comparisons for row in comparison.rows]
    written = StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow(records[0] if records else [])
    writer.writerows([_field(value) for value in record.values()] for record in records)
    return written.getvalue()


def _field(value: Cell) -> str:
    """Return a number in full precision, or a text that no spreadsheet takes for a formula."""
    if isinstance(value, str):
        text = sanitize(value)
        return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else repr(value)


def _record(row: Row, comparison: Comparison) -> dict[str, Cell]:
    settings, counts = comparison.settings, row.counts
    return {
        "experiment": comparison.experiment,
        "panel": comparison.panel,
        "metric": settings.metric,
        "baseline": settings.baseline,
        "arm": row.arm,
        "title": row.title,
        "verdict": row.verdict,
        "n": len(row.values),
        "mean": row.mean,
        "sd": row.sd,
        **_difference(row.difference or _NO_DIFFERENCE),
        "seeds_needed_low": row.seeds_needed.low if row.seeds_needed else None,
        "seeds_needed_high": row.seeds_needed.high if row.seeds_needed else None,
        **_cost(row.cost),
        "done": counts.done,
        "failed": counts.failed,
        "diverged": counts.diverged,
        "waiting": counts.waiting,
        "unsafe": row.unsafe,
        "oracle": row.oracle,
        "also_different": "; ".join(row.also_different),
        "notes": "; ".join(row.notes),
        "alpha": settings.alpha,
        "min_effect": settings.min_effect,
        "simultaneous": settings.simultaneous,
        "rule": comparison.rule,
        "signature": comparison.signature,
        "warnings": " | ".join((*comparison.alarms, *comparison.warnings)),
    }


_NO_DIFFERENCE = Difference(None, None, None, None, 0, 0)


def _difference(difference: Difference) -> dict[str, Cell]:
    limits, rate = difference.interval, difference.win_rate
    return {
        "difference": difference.mean,
        "low": limits.low if limits else None,
        "high": limits.high if limits else None,
        "interval": limits.method if limits else None,
        "p": difference.p,
        "p_holm": difference.p_holm,
        "e_value": difference.e_value,
        "wins": None if difference is _NO_DIFFERENCE else difference.wins,
        "pairs": None if difference is _NO_DIFFERENCE else difference.n,
        "win_rate_low": rate.low if rate else None,
        "win_rate_high": rate.high if rate else None,
        "relative": difference.relative,
        "d_z": difference.d_z,
        "pairing_gain": difference.pairing_gain,
        **_noise(difference.noise),
    }


def _noise(noise: Noise | None) -> dict[str, Cell]:
    return {
        "noise_seeds": noise.seeds if noise else None,
        "noise_sentences": noise.sentences if noise else None,
        "noise_low": noise.low if noise else None,
        "noise_high": noise.high if noise else None,
    }


def _cost(cost: Cost) -> dict[str, Cell]:
    return {
        "relative_step_time": cost.relative_step_time,
        "step_time_low": cost.step_time_low,
        "step_time_high": cost.step_time_high,
        "tokens_per_second": cost.tokens_per_second,
        "peak_memory_mb": cost.peak_memory_mb,
        "parameters": cost.parameters,
    }
