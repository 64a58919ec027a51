"""How commands print what is no comparison: at the width of the terminal, or at 80 columns, and without frames."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import typer

from .consoles import console_on
from .glyphs import ASCII, UNICODE, Glyphs

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

NARROWEST: Final = 80
"""The width of what is no terminal."""


def print_plainly(shown: RenderableType) -> None:
    """Print without the spaces that fill a table's lines."""
    printer = console()
    if not printer.is_terminal:
        printer.width = NARROWEST
    with printer.capture() as captured:
        printer.print(shown)
    for line in captured.get().splitlines():
        typer.echo(line.rstrip())


def console() -> Console:
    """Return what prints on stdout."""
    return console_on(sys.stdout)


def glyphs() -> Glyphs:
    """Return the characters that stdout can show."""
    return UNICODE if console().encoding.startswith("utf") else ASCII


def bare_table(glyphs: Glyphs, gap: int = 2) -> Table:
    """Return a table with a rule under its headings and nothing else around its cells.

    Args:
        gap: spaces between columns.
    """
    from rich.box import Box
    from rich.table import Table

    box = Box(f"    \n    \n {glyphs.rule * 2} \n    \n    \n    \n    \n    \n", ascii=glyphs is ASCII)
    return Table(box=box, show_edge=False, pad_edge=False, padding=(0, gap - 1, 0, 0), header_style="bold")
