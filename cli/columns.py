"""How wide a table wants to be."""

from __future__ import annotations

from io import StringIO

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

_ENDLESS = 100_000


def width_of(table: Table) -> int:
    """Return the columns a table takes if nothing in it is broken or cut off."""
    console = Console(file=StringIO(), width=_ENDLESS, _environ={})
    return Measurement.get(console, console.options, table).maximum
