"""Lists versions, commit, data and machine of a panel's results, and the commands that reproduce them."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator

from maskbench.comparison.results import ComparisonOptions
from maskbench.records.collect import RecordedPlugin, RunProvenance
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
    return [*found, *_plugins(panel)]


def _plugins(panel: ReportPanel) -> list[tuple[str, str]]:
    """Return the hash of every plug-in that runs use, and where a copy of it is kept."""
    found: dict[str, list[str]] = {}
    for (arm, seed), plugin in _recorded_plugins(panel):
        place = f"{panel.comparison.experiment}/" + (
            f"{panel.collected.found.panel.name}/" if panel.collected.found.panel.name else ""
        )
        copy = (
            f", copy in {place}{arm}/seed-{seed}/{plugin.copies[0]}" if plugin.copies else ", no copy is kept"
        )
        source = f" ({plugin.package})" if plugin.package else ""
        hashes = found.setdefault(f"plug-in {plugin.name}", [])
        if not any(plugin.sha256 in text for text in hashes):
            hashes.append(f"SHA-256 {plugin.sha256}{source}{copy}")
    return [(name, "; ".join(hashes)) for name, hashes in found.items()]


def _recorded_plugins(panel: ReportPanel) -> Iterator[tuple[tuple[str, int], RecordedPlugin]]:
    """Yield arm and seed of every finished run, with each plug-in that it uses."""
    for key, cell in panel.collected.runs.items():
        if cell.provenance:
            yield from ((key, plugin) for plugin in cell.provenance.plugins)


def list_commands(panel: ReportPanel, choices: ComparisonOptions) -> list[str]:
    """Return the commands that train, compare and report this experiment; the page contains its file.

    Plug-ins are named by their file; `list_provenance` says where the runs keep copies.
    """
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
    files = dict.fromkeys(plugin.option for _, plugin in _recorded_plugins(panel) if plugin.option)
    plugins = [part for file in files for part in ("--plugin", file)]
    return [
        shlex.join(["maskbench", "run", *plugins, f"{name}.yaml", *rule]),
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
