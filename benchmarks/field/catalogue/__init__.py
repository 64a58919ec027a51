"""Every package of the catalogue: a module of this folder with a `PACKAGE`."""

from __future__ import annotations

import importlib
import pkgutil

from benchmarks.field.entry import Entry, Package


def packages() -> list[Package]:
    """Return all packages, ordered by name."""
    modules = (
        importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)
    )
    return sorted((module.PACKAGE for module in modules), key=lambda package: package.name)


def full_name(package: Package, entry: Entry) -> str:
    """Return the name by which the command line and the page know an entry."""
    return f"{package.name}/{entry.name}"
