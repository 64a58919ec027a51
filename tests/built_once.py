"""What the program builds once in its life is built once in a process that calls the program a thousand times.

The parser of the command line takes 40 ms, the search for installed plug-ins 20 ms: more than most commands that are
tested. Neither depends on what a test does; a test that puts its own entry points in place replaces the kept ones.
"""

from __future__ import annotations

import functools
import importlib.metadata
import sys
from importlib.metadata import EntryPoints

import typer.testing


def install() -> None:
    """Keep the parser of every app and the entry points of every group, for as long as the import path is the same."""
    vars(typer.testing)["_get_command"] = functools.cache(typer.main.get_command)
    vars(importlib.metadata)["entry_points"] = _find_entry_points


_search = importlib.metadata.entry_points


@functools.cache
def _keep(path: tuple[str, ...], **wanted: str) -> EntryPoints:
    return _search(**wanted)


def _find_entry_points(**wanted: str) -> EntryPoints:
    return _keep(tuple(sys.path), **wanted)
