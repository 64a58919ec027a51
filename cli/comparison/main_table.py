"""The table of arms: one line for each, or two where the terminal is narrow."""

from __future__ import annotations

from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from maskbench.comparison.text.table_cells import ArmCells, TableCells
from maskbench.comparison.text.verdict_symbols import verdict_with_symbol
from maskbench.text import sanitize

from ..terminal import Glyphs, bare_table, width_of

_STYLES = {
    "better": "green",
    "worse": "red",
    "equivalent": "cyan",
    "unusable": "yellow",
    "identical": "yellow",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """The spacing and line breaks of the table."""

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
"""From the widest to the narrowest."""


def fit_table(cells: TableCells, width: int, glyphs: Glyphs) -> Table:
    """Return the table in the first of `LAYOUTS` that fits into `width` columns, or in the last."""
    for layout in LAYOUTS[:-1]:
        table = main_table(cells, layout, glyphs)
        if width_of(table) <= width:
            return table
    return main_table(cells, LAYOUTS[-1], glyphs)


def main_table(cells: TableCells, layout: Layout, glyphs: Glyphs) -> Table:
    """Return the table in a layout."""
    table = bare_table(glyphs, layout.gap)
    between = "\n" if layout.stacked else " "
    corrected = "\nHolm" if cells.is_corrected else ""
    table.add_column("arm", overflow="fold", no_wrap=not layout.folds)
    for header in (
        "n",
        f"mean{between}{glyphs.plus_minus} sd",
        f"difference\n[{cells.level} %]",
        cells.p_kind + corrected,
        "wins",
    ):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("cost", justify="right", no_wrap=True)
    for row in cells.rows:
        table.add_row(*_row(row, layout, glyphs))
    return table


def _row(cells: ArmCells, layout: Layout, glyphs: Glyphs) -> list[Text]:
    between = "\n" if layout.stacked else " "
    shown = [
        _title(cells),
        Text(cells.runs),
        Text(cells.mean_with_sd(glyphs.plus_minus, between, glyphs.unequal) or glyphs.nothing),
    ]
    if cells.is_baseline:
        shown += [Text("baseline", style="dim"), Text(), Text(), Text()]
    else:
        # Dim unfinished arms.
        style = "dim" if cells.is_waiting else ""
        symbols, verdict_style = glyphs.verdicts, _STYLES.get(cells.verdict, "dim")
        shown += [
            Text(cells.difference_with_interval(between) or glyphs.nothing, style=style),
            Text(cells.p or glyphs.nothing, style=style),
            Text(cells.wins, style=style),
            Text(verdict_with_symbol(cells.verdict, symbols), style=verdict_style),
        ]
    with_interval = layout.cost_interval
    cost = cells.cost_with_interval(glyphs.times, between) if with_interval else cells.cost(glyphs.times)
    return [*shown, Text(cost or glyphs.nothing)]


def _title(cells: ArmCells) -> Text:
    title = Text(sanitize(cells.row.title))
    if cells.row.unsafe:
        title.append(" !", style="bold red")
    if cells.row.oracle:
        title.append(" *", style="bold yellow")
    return title
