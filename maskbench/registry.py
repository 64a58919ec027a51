"""The names an experiment file may use: mask strategies and corpora.

A plug-in is a class that registers itself under a name when its module is imported. Nothing else in the
program knows that name: the experiment file's checker, the catalogue and the tests read the registry.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from maskbench.errors import ConfigError

T = TypeVar("T")

PLUGINS = "maskbench.strategies"
"""The entry point group of installed plug-ins."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the nearest known name, or an empty string."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


class Registry(Generic[T]):
    """Maps a name to a class, refuses a second class under a used name, and suggests spellings."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, type[T]] = {}

    def names(self) -> list[str]:
        """Return every registered name, sorted."""
        return sorted(self._entries)

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """Return a class decorator that enters the class under `name`.

        Raises:
            ValueError: `name` is already taken.
        """

        def add(cls: type[T]) -> type[T]:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is already {self._entries[name].__qualname__}")
            self._entries[name] = cls
            return cls

        return add

    def remove(self, name: str) -> None:
        """Take a class out again: a plug-in that fails leaves nothing behind."""
        del self._entries[name]

    def lookup(self, name: str) -> type[T]:
        """Return the class registered under `name`.

        Raises:
            ConfigError: there is none; the message lists the known names and the nearest one.
        """
        if name not in self._entries:
            known = ", ".join(self.names())
            raise ConfigError(
                f"no {self.kind} named {name!r}{did_you_mean(name, self._entries)} (known: {known})"
            )
        return self._entries[name]


MASKS: Registry[Any] = Registry("mask strategy")
"""Filled by `import maskbench.masks`; each entry is a subclass of `maskbench.masks.base.Strategy`."""

CORPORA: Registry[Any] = Registry("corpus")
"""Filled by `import maskbench.data`; each entry is a subclass of `maskbench.data.corpus.CorpusBuilder`."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A named setting of a strategy: in an experiment file its name stands for the strategy with these options."""

    mask: str
    """The strategy's name."""
    options: Mapping[str, Any]
    """As the experiment file would write them; options that the file writes beside the name go before these."""
    sites: frozenset[str]
    """Where the setting makes sense: some or all of the strategy's sites."""
    description: str
    """One sentence for the catalogue."""
    source: str
    """Paper and year."""


PRESETS: dict[str, Preset] = {}
"""Filled by `import maskbench.masks`, by `register_preset`."""


def register_preset(name: str, preset: Preset) -> None:
    """Enter a preset.

    Raises:
        ValueError: a strategy or another preset has the name.
    """
    if name in PRESETS or name in MASKS.names():
        raise ValueError(f"{name!r} is already the name of a mask strategy or a preset")
    PRESETS[name] = preset
