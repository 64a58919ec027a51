"""How tables of a comparison look, and how wide they want to be."""

from __future__ import annotations

from io import StringIO

from rich.box import Box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from .glyphs import ASCII, Glyphs

_ENDLESS = 100_000


def empty_table(gap: int, glyphs: Glyphs) -> Table:
    """Return a table without borders but for a rule under the headings.

    Args:
        gap: spaces between columns.
    """
    box = Box(f"    \n    \n {glyphs.rule * 2} \n    \n    \n    \n    \n    \n", ascii=glyphs is ASCII)
    return Table(box=box, show_edge=False, pad_edge=False, padding=(0, gap - 1, 0, 0), header_style="bold")


def width_of(table: Table) -> int:
    """Return the columns a table takes if nothing in it is broken or cut off."""
    console = Console(file=StringIO(), width=_ENDLESS, _environ={})
    return Measurement.get(console, console.options, table).maximum
