"""The signature of a comparison: one line that states metric, seeds, test, data and code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import maskbench
from maskbench.comparison.results import ArmResult, ComparisonSettings
from maskbench.config.schema.experiment import ArmConfig
from maskbench.records.collect import CollectedRun
from maskbench.statistics.paired import EXACT_UP_TO, RANDOM_FLIPS
from maskbench.statistics.sequential import Rule
from maskbench.statistics.verdict import interval_level

_SHORT = 6


def format_signature(
    rows: Sequence[ArmResult],
    arms: Sequence[ArmConfig],
    cells: Iterable[CollectedRun],
    settings: ComparisonSettings,
    rule: Rule,
    n_comparisons: int,
) -> str:
    """Return the signature, e.g. `maskbench|v:1.0|metric:test/bleu|n:8seeds|pair:crn|test:signflip-exact|...`."""
    differences = [row.difference for row in rows if row.difference is not None]
    counts = sorted({difference.n for difference in differences}) or [0]
    origins = [cell.provenance for cell in cells if cell.provenance]
    codes = {_code(origin.commit, origin.dirty) for origin in origins}
    data = {origin.data_sha256[:_SHORT] for origin in origins}
    level = interval_level(n_comparisons, settings.alpha, simultaneous=settings.simultaneous)
    confidence = f"{100 * (1 - level):.3g}{'all' if settings.simultaneous else ''}"
    methods = {"test": f"inv{confidence}", "t": f"t{confidence}"}
    intervals = sorted({methods[d.interval.method] for d in differences if d.interval})
    parts = {
        "v": maskbench.__version__,
        "metric": settings.metric,
        "base": settings.baseline,
        "n": f"{'-'.join(map(str, dict.fromkeys((counts[0], counts[-1]))))}seeds",
        "pair": _pairing(arms, settings.baseline),
        "rule": rule,
        "test": _test(rows, counts[-1]) if rule == "fixed" else "sign-evalue",
        "ci": "+".join(intervals) or "none",
        "adj": f"holm{n_comparisons}",
        "alpha": f"{settings.alpha:g}",
        "min": "none" if settings.min_effect is None else f"{settings.min_effect:g}",
        "data": _one(data),
        "code": _one(codes),
    }
    plugins = sorted({f"{p.name}@{p.sha256[:_SHORT]}" for origin in origins for p in origin.plugins})
    if plugins:
        parts["plugins"] = "+".join(plugins)
    return "|".join(["maskbench", *(f"{key}:{value}" for key, value in parts.items())])


def _test(rows: Sequence[ArmResult], n: int) -> str:
    test = "signflip-exact" if n <= EXACT_UP_TO else f"signflip-{RANDOM_FLIPS}"
    return f"{test}+sign" if any(row.counts.diverged for row in rows) else test


def _pairing(arms: Sequence[ArmConfig], baseline: str) -> str:
    """Return `crn` where paired runs share their random numbers, `none` where they share only the seed's name."""
    streams = {arm.name: arm.config.streams for arm in arms}
    base = streams.pop(baseline)
    return "+".join(sorted({"crn" if own == base else "none" for own in streams.values()})) or "none"


def _code(commit: str | None, dirty: bool) -> str:
    return (commit[:_SHORT] if commit else "unknown") + ("+" if dirty else "")


def _one(values: set[str]) -> str:
    return "none" if not values else next(iter(values)) if len(values) == 1 else "mixed"
