"""Printing to a terminal or a file: the characters it can show, its console, and tables without frames.

Every command loads this file, so Rich is imported where it is used.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Final, TextIO

from maskbench.comparison.text.verdict_symbols import ASCII_VERDICT_SYMBOLS, UNEQUAL, VERDICT_SYMBOLS

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

DEFAULT_WIDTH: Final = 80
"""Columns of what is written to a file or a pipe."""

_UNLIMITED_WIDTH = 100_000


@dataclass(frozen=True, slots=True)
class Glyphs:
    """One set of characters."""

    verdicts: Mapping[str, str]
    """The symbol that stands before each verdict's word."""
    plus_minus: str
    times: str
    rule: str
    bullet: str
    nothing: str
    """Stands in a cell that has no number."""
    at_most: str
    unequal: str
    """Behind a mean over other seeds than the baseline's."""


UNICODE = Glyphs(VERDICT_SYMBOLS, "±", "×", "─", "·", "–", "≤", UNEQUAL)
ASCII = Glyphs(ASCII_VERDICT_SYMBOLS, "+-", "x", "-", "*", "-", "<=", "'")


def console_on(stream: TextIO) -> Console:
    """Return a console that prints on a stream; with NO_COLOR (no-color.org) without styles of any kind.

    Rich alone would leave out colours only, and keep bold and dim.
    """
    from rich.console import Console

    return Console(file=stream, highlight=False, color_system=None if os.environ.get("NO_COLOR") else "auto")


def console() -> Console:
    """Return a console that prints on stdout."""
    return console_on(sys.stdout)


def glyphs_of(console: Console) -> Glyphs:
    """Return the characters that a console can show."""
    return UNICODE if console.encoding.startswith("utf") else ASCII


def glyphs() -> Glyphs:
    """Return the characters that stdout can show."""
    return glyphs_of(console())


def replace_unencodable(stream: TextIO) -> None:
    """Make a stream write `?` instead of failing: an arm's title may hold characters that its encoding lacks."""
    if not (stream.encoding or "").lower().startswith("utf") and hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")


def print_stripped(shown: RenderableType) -> None:
    """Print on stdout, `DEFAULT_WIDTH` wide where that is no terminal, without spaces at the ends of lines."""
    printer = console()
    if not printer.is_terminal:
        printer.width = DEFAULT_WIDTH
    with strip_lines(printer):
        printer.print(shown)


@contextmanager
def strip_lines(console: Console) -> Iterator[None]:
    """Inside, hold back what a console prints; then write it without the spaces with which Rich fills lines."""
    with console.capture() as captured:
        yield
    console.file.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def print_whole(console: Console, table: Table) -> None:
    """Print a table; where that is no terminal, as wide as it is and without spaces at the ends of lines."""
    if console.is_terminal:
        console.print(table)
        return
    console.width = max(DEFAULT_WIDTH, width_of(table))
    with strip_lines(console):
        console.print(table)


def bare_table(glyphs: Glyphs, gap: int = 2) -> Table:
    """Return a table with a rule under its headings and nothing else around its cells.

    Args:
        gap: spaces between columns.
    """
    from rich.box import Box
    from rich.table import Table

    box = Box(f"    \n    \n {glyphs.rule * 2} \n    \n    \n    \n    \n    \n", ascii=glyphs is ASCII)
    return Table(box=box, show_edge=False, pad_edge=False, padding=(0, gap - 1, 0, 0), header_style="bold")


def width_of(table: Table) -> int:
    """Return the columns a table takes if nothing in it is broken or cut off."""
    from rich.console import Console
    from rich.measure import Measurement

    console = Console(file=StringIO(), width=_UNLIMITED_WIDTH, _environ={})
    return Measurement.get(console, console.options, table).maximum
