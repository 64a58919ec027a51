"""Finds the plug-in that had a name which is unknown now, in what earlier runs recorded. Nothing is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

from maskbench.errors import MaskbenchError
from maskbench.records.collect import RecordedPlugin, read_recorded_plugins
from maskbench.runs.json_files import read_json

_MOST_RUNS: Final = 2000
"""So many run.json files are read at most."""


def find_recorded_plugin(runs_dir: Path, name: str) -> str | None:
    """Return where a name comes from and what to do, as the end of a sentence about it; None if no run says.

    Args:
        runs_dir: the directory that holds experiments.
        name: of a mask strategy, a corpus or a metric.
    """
    for file in islice(sorted(runs_dir.glob("*/**/run.json")), _MOST_RUNS):
        try:
            record = read_json(file) or {}
            found = next((p for p in read_recorded_plugins(record) if _has(record, p, name)), None)
        except (MaskbenchError, OSError, LookupError, TypeError, AttributeError):
            continue
        if found is not None:
            return f"is of the plug-in {found.name}, which {file.parent} used: {_remedy(file.parent, found)}"
    return None


def _has(record: Mapping[str, Any], plugin: RecordedPlugin, name: str) -> bool:
    """Whether a run took what is called `name` from a plug-in; a guess where only what was loaded is recorded."""
    if plugin.used_for is not None:
        return any(what.endswith(f" {name}") for what in plugin.used_for)
    config = record["identity"]["config"]
    used = {mask["mask"] for mask in config["masks"]} | {config["corpus"]["name"]}
    return name in used | set(config["evaluate"]["metrics"])


def _remedy(run: Path, plugin: RecordedPlugin) -> str:
    if plugin.option is None:
        return f"install {plugin.package}"
    copy = f" ({run / plugin.copies[0]} is a copy)" if plugin.copies else ""
    return f"give --plugin {plugin.option}{copy}"
