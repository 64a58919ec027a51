"""The table itself: one line for each arm, or two where the terminal is narrow."""

from __future__ import annotations

from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from maskbench.comparison.results import Comparison, Row
from maskbench.comparison.text.number_format import Scale, scale_of
from maskbench.text import sanitize

from ..terminal import Glyphs, bare_table, width_of
from .cells import cost_cell, count_cell, interval_cell, mean_cell, p_cell

_STYLES = {
    "better": "green",
    "worse": "red",
    "equivalent": "cyan",
    "unusable": "yellow",
    "identical": "yellow",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """How tightly the table is set."""

    gap: int
    """Spaces between columns."""
    stacked: bool = False
    """Whether spread and interval stand under their number."""
    cost_interval: bool = False
    """Whether the cost has its interval; a sentence under the table has it in any case."""
    folds: bool = False
    """Whether long arm names are broken."""


ONE_LINE = Layout(1)
LAYOUTS = (
    Layout(2, cost_interval=True),
    Layout(1, cost_interval=True),
    Layout(2),
    ONE_LINE,
    Layout(2, stacked=True, cost_interval=True),
    Layout(1, stacked=True, cost_interval=True),
    Layout(1, stacked=True, folds=True),
)
"""From the most to the least comfortable."""


def fitting(comparison: Comparison, width: int, glyphs: Glyphs) -> Table:
    """Return the table in the most comfortable layout for `width` columns."""
    for layout in LAYOUTS[:-1]:
        table = main_table(comparison, layout, glyphs)
        if width_of(table) <= width:
            return table
    return main_table(comparison, LAYOUTS[-1], glyphs)


def main_table(comparison: Comparison, layout: Layout, glyphs: Glyphs) -> Table:
    """Return the table in a layout."""
    table = bare_table(glyphs, layout.gap)
    level = comparison.settings.level
    between = "\n" if layout.stacked else " "
    p = "anytime p" if comparison.rule == "sequential" else "p"
    corrected = "\nHolm" if len(comparison.rows) > 2 else ""
    table.add_column("arm", overflow="fold", no_wrap=not layout.folds)
    for header in (
        "n",
        f"mean{between}{glyphs.plus_minus} sd",
        f"difference\n[{level} %]",
        p + corrected,
        "wins",
    ):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("cost", justify="right", no_wrap=True)
    scale = scale_of(comparison)
    for row in comparison.rows:
        table.add_row(*_cells(row, scale, layout, glyphs))
    return table


def _cells(row: Row, scale: Scale, layout: Layout, glyphs: Glyphs) -> list[Text]:
    between = "\n" if layout.stacked else " "
    cells = [_name(row), Text(count_cell(row.counts)), Text(mean_cell(row, scale, between, glyphs))]
    if row.difference is None:
        cells += [Text("baseline", style="dim"), Text(), Text(), Text()]
    else:
        # What is not decided must not shine.
        waiting = "dim" if row.counts.waiting else ""
        cells += [
            Text(interval_cell(row.difference, scale, between, glyphs), style=waiting),
            Text(p_cell(row.difference.p_holm, glyphs), style=waiting),
            Text(f"{row.difference.wins}/{row.difference.n}", style=waiting),
            _verdict(row, glyphs),
        ]
    return [*cells, Text(cost_cell(row.cost, between if layout.cost_interval else None, glyphs))]


def _name(row: Row) -> Text:
    name = Text(sanitize(row.title))
    if row.unsafe:
        name.append(" !", style="bold red")
    if row.oracle:
        name.append(" *", style="bold yellow")
    return name


def _verdict(row: Row, glyphs: Glyphs) -> Text:
    verdict = row.verdict or ""
    return Text(f"{glyphs.verdict(verdict)} {verdict}", style=_STYLES.get(verdict, "dim"))
