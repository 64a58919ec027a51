"""Imports a module with some of its lines replaced; the installed file is left as it is."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType

from benchmarks.field.entry import Edit


class EditRefusedError(Exception):
    """An edit does not fit the installed file."""


class _EditedLoader(SourceFileLoader):
    """Loads one module with its edits."""

    edits: Sequence[Edit] = ()

    def exec_module(self, module: ModuleType) -> None:
        """Run the edited source in the module."""
        source = edited(Path(self.path).read_text(encoding="utf-8"), self.edits)
        exec(compile(source, self.path, "exec", dont_inherit=True), module.__dict__)


class EditedImports(MetaPathFinder):
    """Finds the modules that have edits."""

    def __init__(self, edits: Sequence[Edit]) -> None:
        self._edits = edits

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of an edited module; None of all others."""
        edits = [edit for edit in self._edits if edit.module == name]
        spec = PathFinder.find_spec(name, path, target) if edits else None
        if spec is None or spec.origin is None:
            return None
        loader = _EditedLoader(name, spec.origin)
        loader.edits = edits
        spec.loader = loader
        return spec


def install(edits: Sequence[Edit]) -> None:
    """Let the edits act on all later imports.

    Raises:
        EditRefusedError: one of their modules is imported already.
    """
    for edit in edits:
        if edit.module in sys.modules:
            raise EditRefusedError(f"{edit.module} is imported already")
    sys.meta_path.insert(0, EditedImports(edits))


def edited(source: str, edits: Sequence[Edit]) -> str:
    """Return a source with replaced lines.

    Raises:
        EditRefusedError: the lines are not those that the edit was made for.
    """
    lines = source.split("\n")
    for edit in sorted(edits, key=lambda edit: edit.first, reverse=True):
        old = "\n".join(lines[edit.first - 1 : edit.last])
        if (found := digest(old)) != edit.was:
            raise EditRefusedError(
                f"{edit.module}, lines {edit.first} to {edit.last}: the digest is {found}, not {edit.was}"
            )
        lines[edit.first - 1 : edit.last] = edit.text.split("\n")
    return "\n".join(lines)


def digest(text: str) -> str:
    """Return the first 12 hex digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
