"""A comparison for people: a table that can be read without colour, and under it what a careful reader asks next.

`renderables` is pure. It takes the widest layout that fits: one line per arm, or two where the terminal is narrow.
Everything that comes from a file is a `Text` of plain characters, because Rich would read markup in a string.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from maskbench.comparison.results import Comparison, Row

from .also_measured import also_measured
from .columns import width_of
from .figures import Scale, interval_cell, mean_cell, p_cell, ratio_cell, scale_of
from .footnotes import footnotes
from .glyphs import ASCII, UNICODE, Glyphs
from .plain import plain
from .shown import bare_table

NARROWEST = 80
"""Width of what is written to a file or a pipe, unless a table needs more."""

_STYLES = {
    "better": "green",
    "worse": "red",
    "equivalent": "cyan",
    "unusable": "yellow",
    "identical": "yellow",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """How tightly the main table is set."""

    stacked: bool
    """Whether spread and interval stand under their number."""
    gap: int
    """Spaces between columns."""
    folds: bool = False
    """Whether long arm names are broken."""


LAYOUTS = (Layout(False, 2), Layout(False, 1), Layout(True, 2), Layout(True, 1), Layout(True, 1, folds=True))
"""From the most to the least comfortable."""


def print_comparisons(comparisons: Sequence[Comparison], file: TextIO | None = None) -> None:
    """Print to a terminal at its width, or to anything else at the width the tables need, nothing cut off."""
    console = Console(file=file or sys.stdout, highlight=False)
    encodes = console.encoding.startswith("utf")
    if not encodes and hasattr(console.file, "reconfigure"):
        # An arm's title may still hold characters that this encoding lacks.
        console.file.reconfigure(errors="replace")
    _print(console, comparisons, UNICODE if encodes else ASCII)


def as_text(comparisons: Sequence[Comparison]) -> str:
    """Return what would be printed to a file."""
    console = Console(file=StringIO(), color_system=None, force_terminal=False, highlight=False, _environ={})
    _print(console, comparisons, UNICODE)
    written = console.file
    return written.getvalue() if isinstance(written, StringIO) else ""


def _print(console: Console, comparisons: Sequence[Comparison], glyphs: Glyphs) -> None:
    for index, comparison in enumerate(comparisons):
        if index:
            console.print()
        if console.is_terminal:
            console.print(renderables(comparison, console.width, glyphs))
            continue
        console.width = natural_width(comparison, glyphs)
        with console.capture() as captured:
            console.print(renderables(comparison, console.width, glyphs))
        # Rich fills every line of a table; in a file that is only noise.
        console.file.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def natural_width(comparison: Comparison, glyphs: Glyphs) -> int:
    """Return the width at which every arm has one line, at least `NARROWEST`."""
    return max(NARROWEST, width_of(_main_table(comparison, LAYOUTS[1], glyphs)))


def renderables(comparison: Comparison, width: int, glyphs: Glyphs = UNICODE) -> RenderableType:
    """Return title, table, other metrics and footnotes of a panel, laid out for `width` columns."""
    tables = [_main_table(comparison, layout, glyphs) for layout in LAYOUTS]
    fitting = next((table for table in tables if width_of(table) <= width), tables[-1])
    above: list[RenderableType] = [_heading(comparison), *_alarms(comparison), "", fitting]
    return Group(*above, *also_measured(comparison, width, glyphs), "", footnotes(comparison, glyphs))


def _heading(comparison: Comparison) -> Text:
    settings = comparison.settings
    name = plain(comparison.experiment)
    heading = Text(f"{name} / {plain(comparison.panel)}" if comparison.panel else name, style="bold")
    question = plain(comparison.question.strip().split("\n\n")[0])
    if question:
        heading.append(f"\n{question}", style="not bold italic")
    scale = scale_of(comparison)
    direction = "higher" if settings.info.higher_is_better else "lower"
    baseline = next(row.title for row in comparison.rows if row.arm == settings.baseline)
    details = f"\n{plain(settings.metric)}{scale.unit} ({direction} is better), baseline {plain(baseline)}"
    if settings.min_effect is not None:
        details += f", min_effect {scale.number(settings.min_effect)}"
    return heading.append(details, style="not bold")


def _alarms(comparison: Comparison) -> list[Text]:
    """Stand above the table: whoever reads its numbers should know before."""
    return [Text(f"! {plain(alarm)}", style="bold red") for alarm in comparison.alarms]


def _main_table(comparison: Comparison, layout: Layout, glyphs: Glyphs) -> Table:
    table = bare_table(glyphs, layout.gap)
    level = f"{100 * (1 - comparison.settings.alpha):g}"
    between = "\n" if layout.stacked else " "
    table.add_column("arm", overflow="fold", no_wrap=not layout.folds)
    numbers = ("n", f"mean{between}{glyphs.plus_minus} sd", f"difference\n[{level} %]", "p\nHolm", "wins")
    for header in numbers:
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("cost", justify="right", no_wrap=True)
    scale = scale_of(comparison)
    for row in comparison.rows:
        table.add_row(*_cells(row, scale, layout, glyphs))
    return table


def _cells(row: Row, scale: Scale, layout: Layout, glyphs: Glyphs) -> list[Text]:
    between = "\n" if layout.stacked else " "
    counts = row.counts
    planned = counts.done + counts.failed + counts.diverged + counts.waiting
    n = str(counts.done) if counts.done == planned else f"{counts.done}/{planned}"
    name = Text(plain(row.title))
    if row.unsafe:
        name.append(" !", style="bold red")
    if row.oracle:
        name.append(" *", style="bold yellow")
    cells = [name, Text(n), Text(mean_cell(row, scale, between, glyphs))]
    if row.difference is None:
        cells += [Text("baseline", style="dim"), Text(), Text(), Text()]
    else:
        # What is not decided must not shine.
        waiting = "dim" if counts.waiting else ""
        cells += [
            Text(interval_cell(row.difference, scale, between, glyphs), style=waiting),
            Text(p_cell(row.difference.p_holm, glyphs), style=waiting),
            Text(f"{row.difference.wins}/{row.difference.n}", style=waiting),
            _verdict(row, glyphs),
        ]
    return [*cells, Text(ratio_cell(row.cost.relative_step_time, glyphs))]


def _verdict(row: Row, glyphs: Glyphs) -> Text:
    verdict = row.verdict or ""
    return Text(f"{glyphs.verdict(verdict)} {verdict}", style=_STYLES.get(verdict, "dim"))
