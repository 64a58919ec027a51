"""One line that says how a table was made, to be printed under it and quoted with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import maskbench
from maskbench.comparison.results import Row, Settings
from maskbench.records.collect import Cell
from maskbench.statistics.paired import EXACT_UP_TO, RANDOM_FLIPS
from maskbench.statistics.sequential import Rule

_SHORT = 6


def of(rows: Sequence[Row], cells: Iterable[Cell], settings: Settings, rule: Rule) -> str:
    """Return the signature, e.g. `maskbench|v:1.0|metric:test/bleu|n:8seeds|pair:crn|test:signflip-exact|...`."""
    differences = [row.difference for row in rows if row.difference is not None]
    counts = sorted({difference.n for difference in differences}) or [0]
    origins = [cell.origin for cell in cells if cell.origin]
    codes = {_code(origin.commit, origin.dirty) for origin in origins}
    data = {origin.data_sha256[:_SHORT] for origin in origins}
    shared = len(differences) if settings.simultaneous else 1
    level = f"{100 * (1 - settings.alpha / max(shared, 1)):.3g}{'all' if settings.simultaneous else ''}"
    methods = {"test": f"inv{level}", "t": f"t{level}"}
    intervals = sorted({methods[d.interval.method] for d in differences if d.interval})
    parts = {
        "v": maskbench.__version__,
        "metric": settings.metric,
        "base": settings.baseline,
        "n": f"{'-'.join(map(str, dict.fromkeys((counts[0], counts[-1]))))}seeds",
        "pair": "crn",
        "rule": rule,
        "test": _test(rows, counts[-1]) if rule == "fixed" else "sign-evalue",
        "ci": "+".join(intervals) or "none",
        "adj": f"holm{len(differences)}",
        "alpha": f"{settings.alpha:g}",
        "min": "none" if settings.min_effect is None else f"{settings.min_effect:g}",
        "data": _one(data),
        "code": _one(codes),
    }
    return "|".join(["maskbench", *(f"{key}:{value}" for key, value in parts.items())])


def _test(rows: Sequence[Row], n: int) -> str:
    test = "signflip-exact" if n <= EXACT_UP_TO else f"signflip-{RANDOM_FLIPS}"
    return f"{test}+sign" if any(row.counts.diverged for row in rows) else test


def _code(commit: str | None, dirty: bool) -> str:
    return (commit or "unknown")[:_SHORT] + ("+" if dirty else "")


def _one(values: set[str]) -> str:
    return "none" if not values else next(iter(values)) if len(values) == 1 else "mixed"
