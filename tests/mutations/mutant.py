"""One deliberate mistake."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """A piece of the library's text, and the mistake that takes its place."""

    family: str
    kind: str
    """polarity, axes, off by one, legality, or what else it gets wrong."""
    file: str
    """Inside maskbench/."""
    old: str
    """Stands in the file exactly once."""
    new: str
    tests: str
    """What pytest is given: files below tests/, and perhaps -k."""


def family(name: str, *mutants: tuple[str, str, str, str, str]) -> list[Mutant]:
    """Return the mutants of a family, each given as (kind, file, old, new, tests)."""
    return [Mutant(name, *mutant) for mutant in mutants]
