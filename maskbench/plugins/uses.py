"""Which plug-ins a run uses, and the copies of their files that it keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from maskbench.config.schema.experiment import RunConfig
from maskbench.config.schema.metrics import metric_name
from maskbench.plugins import Plugin, loaded_plugins
from maskbench.registry import CORPORA, MASKS, METRICS, PluginCode

COPIES: Final = "plugins"
"""Folder of a run's directory that holds copies of the files of plug-ins."""


def used_code(config: RunConfig) -> dict[str, PluginCode]:
    """Return the plug-in code that can change a run's results, by what uses it: `mask strategy round_robin`.

    A corpus of a plug-in is not among it: the hash of the data says what it made.
    """
    return {
        f"{kind} {name}": PluginCode(plugin.name, plugin.sha256)
        for (kind, name), plugin in _uses(config).items()
        if kind != CORPORA.kind
    }


def describe_used_plugins(config: RunConfig) -> tuple[dict[str, Any], ...]:
    """Return what run.json says of every plug-in that a run uses (`SoftwareEnvironment.plugin_files`)."""
    uses: dict[Plugin, list[str]] = {}
    for (kind, name), plugin in _uses(config).items():
        uses.setdefault(plugin, []).append(f"{kind} {name}")
    return tuple(
        {
            "name": plugin.name,
            "sha256": plugin.sha256,
            "file": plugin.path.name,
            "package": plugin.package,
            "used_for": used_for,
            "copies": list(copies),
        }
        for (plugin, used_for), copies in zip(uses.items(), _copies(list(uses)), strict=True)
    )


def read_copies(config: RunConfig) -> dict[str, bytes]:
    """Return the files that a run keeps of the plug-ins it uses, by their path in its directory."""
    plugins = list(dict.fromkeys(_uses(config).values()))
    return {name: file.read_bytes() for copies in _copies(plugins) for name, file in copies.items()}


def _copies(plugins: list[Plugin]) -> list[dict[str, Path]]:
    """Return for each plug-in the files to keep, by their path in the run's directory."""
    taken: set[str] = set()
    found = []
    for plugin in plugins:
        # A package of several files is named with its version and hash, and not copied.
        files = plugin.files if plugin.package is None or len(plugin.files) == 1 else ()
        names = [file.relative_to(plugin.path.parent).as_posix() for file in files]
        folder = COPIES if taken.isdisjoint(names) else f"{COPIES}/{plugin.sha256[:12]}"
        taken.update(names)
        found.append({f"{folder}/{name}": file for name, file in zip(names, files, strict=True)})
    return found


def _uses(config: RunConfig) -> dict[tuple[str, str], Plugin]:
    """Return the plug-in of everything a run uses that a plug-in registered, by kind and name."""
    by_use = {use: plugin for plugin in loaded_plugins() for use in plugin.registered}
    return {use: by_use[use] for use in dict.fromkeys(_names(config)) if use in by_use}


def _names(config: RunConfig) -> Iterator[tuple[str, str]]:
    """Yield the kind and name of everything a run uses from a registry."""
    for placement in (*config.masks, *(p for masks in config.under.values() for p in masks)):
        yield MASKS.kind, placement.mask
        for name in _nested(placement.options, "mask"):
            yield MASKS.kind, name
    yield CORPORA.kind, config.corpus.name
    for name in _nested(config.corpus.options, "name"):
        yield CORPORA.kind, name
    selected = metric_name(config.train.select)
    for name in (*config.evaluate.metrics, *([selected.metric] if selected else [])):
        yield METRICS.kind, name


def _nested(value: Any, key: str) -> Iterator[str]:
    """Yield every text under `key` in nested options: the parts of a combination, the corpora in a mixture."""
    if isinstance(value, Mapping):
        if isinstance(value.get(key), str):
            yield value[key]
        for inner in value.values():
            yield from _nested(inner, key)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _nested(inner, key)
