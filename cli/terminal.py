"""How commands print what is no comparison: at the width of the terminal, or at 80 columns, and without frames."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Final, TextIO

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from maskbench.comparison.text.number_format import IN_ASCII, SYMBOLS

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table


_ENDLESS = 100_000


def width_of(table: Table) -> int:
    """Return the columns a table takes if nothing in it is broken or cut off."""
    console = Console(file=StringIO(), width=_ENDLESS, _environ={})
    return Measurement.get(console, console.options, table).maximum


def console_on(stream: TextIO) -> Console:
    """Return what prints on a stream: with NO_COLOR (no-color.org) without styles of any kind.

    Rich alone would leave out colours only, and keep bold and dim.
    """
    from rich.console import Console

    return Console(file=stream, highlight=False, color_system=None if os.environ.get("NO_COLOR") else "auto")


@dataclass(frozen=True, slots=True)
class Glyphs:
    """One set of characters."""

    verdicts: Mapping[str, str]
    plus_minus: str
    times: str
    rule: str
    bullet: str
    nothing: str
    at_most: str

    def verdict(self, verdict: str) -> str:
        """Return the symbol that stands before a verdict's word."""
        return self.verdicts[verdict]


UNICODE = Glyphs(SYMBOLS, "±", "×", "─", "·", "–", "≤")
ASCII = Glyphs(IN_ASCII, "+-", "x", "-", "*", "-", "<=")


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
