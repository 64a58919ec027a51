"""Lists versions, commit, data and machine of a panel's results, and the commands that reproduce them."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable

from maskbench.comparison.results import ComparisonOptions
from maskbench.records.collect import RunProvenance
from maskbench.report.gather import ReportPanel
from maskbench.text import count_of


def list_provenance(panel: ReportPanel) -> list[tuple[str, str]]:
    """Return (name, value) pairs from the finished runs; differing values with the number of runs of each."""
    origins = [cell.provenance for cell in panel.collected.runs.values() if cell.provenance]
    if not origins:
        return []
    found = [
        ("data, SHA-256", _one(origin.data_sha256 for origin in origins)),
        ("commit", _one(_commit(origin) for origin in origins)),
        ("results version", _one(str(origin.results_version) for origin in origins)),
    ]
    found += [
        (key, _one(o.environment.get(key, "unknown") for o in origins))
        for key in _keys(o.environment for o in origins)
    ]
    found += [
        (key, _one(o.versions.get(key, "unknown") for o in origins))
        for key in _keys(o.versions for o in origins)
    ]
    return found


def list_commands(panel: ReportPanel, choices: ComparisonOptions) -> list[str]:
    """Return the commands that train, compare and report this experiment; the page contains its file."""
    name = panel.comparison.experiment
    options = [
        part
        for option, value in (
            ("--metric", choices.metric),
            ("--baseline", choices.baseline),
            ("--alpha", choices.alpha),
            ("--min-effect", choices.min_effect),
        )
        if value is not None
        for part in (option, str(value))
    ]
    options += ["--simultaneous"] if choices.simultaneous else []
    rule = ["--until-decided"] if panel.comparison.rule == "sequential" else []
    return [
        shlex.join(["maskbench", "run", f"{name}.yaml", *rule]),
        shlex.join(["maskbench", "compare", f"runs/{name}", *options]),
        shlex.join(["maskbench", "report", f"runs/{name}", *options]),
    ]


def _commit(origin: RunProvenance) -> str:
    return (origin.commit or "unknown") + (" with uncommitted changes" if origin.dirty else "")


def _keys(mappings: Iterable[Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))


def _one(values: Iterable[str]) -> str:
    counts = Counter(values)
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{value} ({count_of(n, 'run')})" for value, n in sorted(counts.items()))
