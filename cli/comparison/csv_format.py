"""A comparison as CSV for spreadsheets and data frames: one line per arm, stable columns, numbers in full precision.

RFC 4180: fields in double quotes where needed, lines ended by CRLF, UTF-8. Differences are arm minus baseline, in
the metric's own unit (a share is a share, not percent). What was not measured is empty.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from io import StringIO

from maskbench.comparison.results import ArmResult, Comparison
from maskbench.comparison.text.json_document import arm_object
from maskbench.text import sanitize

Value = str | float | int | bool | None

# A spreadsheet takes a field that begins with one of these for a formula, which can run programs or send the table
# away; quoting does not stop it (OWASP, "CSV Injection"). The wide forms count in some locales.
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def to_csv(comparisons: Sequence[Comparison]) -> str:
    """Return all panels in one table; the columns `experiment` and `panel` name the panel of each line."""
    records = [record for comparison in comparisons for record in _records(comparison)]
    written = StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow(records[0] if records else [])
    writer.writerows([_field(value) for value in record.values()] for record in records)
    return written.getvalue()


def _records(comparison: Comparison) -> Iterator[dict[str, Value]]:
    """Yield the lines of a panel: its arms, then the retired ones, without numbers where no run has ended."""
    for row in comparison.rows:
        yield {**_record(row, comparison), "retired": None}
    for one in comparison.retired:
        if one.row is not None:
            yield {**_record(one.row, comparison), "retired": one.reason}
            continue
        empty: dict[str, Value] = dict.fromkeys(_record(comparison.baseline, comparison))
        named = {
            "experiment": comparison.experiment,
            "panel": comparison.panel,
            "arm": one.arm,
            "title": one.title,
        }
        yield {**empty, **named, "retired": one.reason}


def _field(value: Value) -> str:
    """Return a number in full precision, or a text that no spreadsheet reads as a formula."""
    if isinstance(value, str):
        text = sanitize(value)
        return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else repr(value)


def _record(row: ArmResult, comparison: Comparison) -> dict[str, Value]:
    """Return an arm's numbers, as the JSON document has them, by column."""
    settings, arm = comparison.settings, arm_object(row)
    difference, cost, status = arm["difference"] or {}, arm["cost"], arm["status"]
    rate, noise, seeds = (
        difference.get("win_rate") or {},
        difference.get("noise") or {},
        arm["seeds_needed"] or {},
    )
    interval = row.difference.interval if row.difference else None
    means = difference.get("paired_means") or {}
    return {
        "experiment": comparison.experiment,
        "panel": comparison.panel,
        "metric": settings.metric,
        "baseline": settings.baseline,
        "arm": arm["arm"],
        "title": row.title,
        "verdict": arm["verdict"],
        "n": arm["n"],
        "mean": arm["mean"],
        "sd": arm["sd"],
        "difference": difference.get("mean"),
        "low": difference.get("low"),
        "high": difference.get("high"),
        "interval": interval.method if interval else None,
        "p": difference.get("p"),
        "p_holm": difference.get("p_holm"),
        "e_value": difference.get("e_value"),
        "wins": difference.get("wins"),
        "pairs": difference.get("n"),
        "win_rate_low": rate.get("low"),
        "win_rate_high": rate.get("high"),
        "relative": difference.get("relative"),
        "d_z": difference.get("d_z"),
        "pairing_gain": difference.get("pairing_gain"),
        "noise_seeds": noise.get("seeds"),
        "noise_sentences": noise.get("sentences"),
        "noise_low": noise.get("low"),
        "noise_high": noise.get("high"),
        "seeds_needed_low": seeds.get("low"),
        "seeds_needed_high": seeds.get("high"),
        "relative_step_time": cost["relative_step_time"],
        "step_time_low": cost["step_time_low"],
        "step_time_high": cost["step_time_high"],
        "tokens_per_second": cost["tokens_per_second"],
        "peak_memory_mb": cost["peak_memory_mb"],
        "parameters": cost["parameters"],
        "done": status["done"],
        "failed": status["failed"],
        "diverged": status["diverged"],
        "waiting": row.counts.waiting,
        "unsafe": arm["unsafe"],
        "oracle": arm["oracle"],
        "also_different": "; ".join(arm["also_different"]),
        "notes": "; ".join(arm["notes"]),
        "alpha": settings.alpha,
        "min_effect": settings.min_effect,
        "simultaneous": settings.simultaneous,
        "rule": comparison.rule,
        "signature": comparison.signature,
        "warnings": " | ".join((*comparison.alarms, *comparison.warnings)),
        "paired_mean": means.get("arm"),
        "paired_baseline_mean": means.get("baseline"),
    }
