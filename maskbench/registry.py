"""The names an experiment file may use: mask strategies, their presets, corpora, and metrics.

A strategy, a corpus or a metric is a class that registers itself under a name when its module is imported. Nothing else
in the program knows that name: the experiment file's validator, the catalogue and the tests read the registry.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from maskbench.errors import ConfigError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")

PLUGIN_GROUPS = ("maskbench.strategies", "maskbench.corpora", "maskbench.metrics")
"""The entry point groups of installed plug-ins; a plug-in may be in any of them, whatever it registers."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the nearest known name, or an empty string."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


class Registry(Mapping[str, T]):
    """Maps a name to an entry in the order of registration, refuses a used name, and suggests spellings."""

    def __init__(self, kind: str, filled_by: str | None = None) -> None:
        """Create an empty registry.

        Args:
            kind: what one entry is, in messages: "corpus".
            filled_by: a package that registers the entries of maskbench itself and is cheap to import. It is imported
                at the first look-up; without it the caller imports what it needs.
        """
        self.kind, self._filled_by = kind, filled_by
        self._entries: dict[str, T] = {}
        self._clashes: list[tuple[T, str]] | None = None

    def __getitem__(self, name: str) -> T:
        self._fill()
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        self._fill()
        return iter(self._entries)

    def __len__(self) -> int:
        self._fill()
        return len(self._entries)

    def _fill(self) -> None:
        if self._filled_by is not None:
            package, self._filled_by = self._filled_by, None
            importlib.import_module(package)

    def names(self) -> list[str]:
        """Return every registered name, sorted."""
        return sorted(self)

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers a class (or any other entry) under `name`.

        Raises:
            ValueError: `name` is already taken.
        """

        def add(entry: T) -> T:
            if name in self:
                taken_by = getattr(self._entries[name], "__qualname__", f"a {self.kind}")
                message = f"{self.kind} {name!r} is already {taken_by}"
                if self._clashes is None:
                    raise ValueError(message)
                self._clashes.append((entry, message))
                return entry
            self._entries[name] = entry
            return entry

        return add

    def lookup(self, name: str) -> T:
        """Return the entry registered under `name`.

        Raises:
            ConfigError: there is none; the message lists the known names and the nearest one.
        """
        if name not in self:
            known = ", ".join(self.names())
            raise ConfigError(f"no {self.kind} named {name!r}{did_you_mean(name, self)} (known: {known})")
        return self[name]


@dataclass(frozen=True, slots=True)
class Preset:
    """A named setting of a strategy: in an experiment file its name stands for the strategy with these options."""

    mask: str
    """The strategy's name."""
    options: Mapping[str, Any]
    """As the experiment file would write them; options that the file writes beside the name override these."""
    sites: frozenset[str]
    """Where the setting makes sense: some or all of the strategy's sites."""
    description: str
    """One sentence for the catalogue."""
    source: str
    """Paper and year."""


@dataclass(frozen=True, slots=True)
class PluginCode:
    """The code of a plug-in from which a run takes a strategy or a metric."""

    plugin: str
    """The plug-in's name."""
    sha256: str


MASKS: Registry[Any] = Registry("mask strategy")
"""Filled by `import maskbench.masks`; each entry is a subclass of `maskbench.masks.base.Strategy`."""

PRESETS: Registry[Preset] = Registry("preset")
"""Filled by `import maskbench.masks`, through `register_preset`: a preset must not have the name of a strategy."""

CORPORA: Registry[Any] = Registry("corpus")
"""Filled by `import maskbench.data`; each entry is a subclass of `maskbench.data.corpus.CorpusBuilder`."""

METRICS: Registry[Any] = Registry("metric", filled_by="maskbench.metrics")
"""Each entry is a subclass of `maskbench.metrics.base.Metric`; `config.schema.metrics.find_metric` gives an instance.

`compare` needs directions and units without torch, so the modules of the metrics import torch inside functions only.
"""

REGISTRIES: tuple[Registry[Any], ...] = (MASKS, PRESETS, CORPORA, METRICS)


def register_preset(name: str, preset: Preset) -> None:
    """Register a preset.

    Raises:
        ValueError: a strategy or another preset has the name.
    """
    if name in PRESETS or name in MASKS:
        raise ValueError(f"{name!r} is already the name of a mask strategy or a preset")
    PRESETS.register(name)(preset)


@contextmanager
def collect_clashes() -> Iterator[list[tuple[Any, str]]]:
    """Inside, an entry whose name is taken is not registered, but listed with a message; so all are found at once."""
    clashes: list[tuple[Any, str]] = []
    for registry in REGISTRIES:
        registry._clashes = clashes
    try:
        yield clashes
    finally:
        for registry in REGISTRIES:
            registry._clashes = None


@contextmanager
def restore_registries_on_error() -> Iterator[None]:
    """Take every entry out again that the body registers before it raises."""
    before = [(registry, dict(registry._entries)) for registry in REGISTRIES]
    try:
        yield
    except BaseException:
        for registry, entries in before:
            registry._entries = entries
        raise


def find_installed_plugins() -> list[EntryPoint]:
    """Return the entry points of installed plug-ins by name; one that is in several groups once."""
    # Loading it takes as long as all of this module, and few callers need it.
    from importlib.metadata import entry_points

    found = {entry.value: entry for group in PLUGIN_GROUPS for entry in entry_points(group=group)}
    return sorted(found.values(), key=lambda entry: entry.name)
