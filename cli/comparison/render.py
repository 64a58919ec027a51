"""A comparison as terminal text: question, answer, table, verdicts, other metrics, method and warnings.

Text from files becomes a sanitised `Text`, because Rich would read markup in a string.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from io import StringIO
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from maskbench.comparison.results import Comparison
from maskbench.comparison.text.footnotes import arm_notes, grouped_warnings, method_sentences
from maskbench.comparison.text.sentences import headline, noise_sentences, verdict_sentences
from maskbench.comparison.text.table_cells import TableCells, table_cells
from maskbench.text import sanitize

from ..terminal import (
    DEFAULT_WIDTH,
    UNICODE,
    Glyphs,
    console_on,
    glyphs_of,
    replace_unencodable,
    strip_lines,
    width_of,
)
from .main_table import ONE_LINE, fit_table, main_table
from .other_metrics import COMPACT_SELECTION, MetricSelection, other_metric_tables


def verdict_list(comparison: Comparison, glyphs: Glyphs) -> Table:
    """Return the verdicts and the notes on arms as a list of sentences."""
    lines = (*verdict_sentences(comparison), *noise_sentences(comparison), *arm_notes(comparison))
    return _list([(Text(glyphs.bullet), Text(sanitize(line))) for line in lines])


def method_and_warnings(comparison: Comparison, glyphs: Glyphs) -> Table:
    """Return the method as a list; warnings come last, where a reader of a terminal looks first."""
    said = [
        (Text(glyphs.bullet, style="dim"), Text(sanitize(s), style="dim"))
        for s in method_sentences(comparison)
    ]
    wrong = [(Text("!", style="bold yellow"), Text(sanitize(s))) for s in grouped_warnings(comparison)]
    return _list([*said, *wrong])


def _list(items: Sequence[tuple[Text, Text]]) -> Table:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for mark, text in items:
        grid.add_row(mark, text)
    return grid


def print_comparisons(
    comparisons: Sequence[Comparison], file: TextIO | None = None, detail: MetricSelection = COMPACT_SELECTION
) -> None:
    """Print to a terminal at its width; to a file at the width that the tables need."""
    stream = file or sys.stdout
    console = console_on(stream)
    replace_unencodable(stream)
    _print(console, comparisons, detail, glyphs_of(console))


def as_text(comparisons: Sequence[Comparison], detail: MetricSelection = COMPACT_SELECTION) -> str:
    """Return the text that `print_comparisons` writes to a file."""
    console = Console(file=StringIO(), color_system=None, force_terminal=False, highlight=False, _environ={})
    _print(console, comparisons, detail, UNICODE)
    written = console.file
    return written.getvalue() if isinstance(written, StringIO) else ""


def _print(
    console: Console, comparisons: Sequence[Comparison], detail: MetricSelection, glyphs: Glyphs
) -> None:
    for index, comparison in enumerate(comparisons):
        if index:
            console.print()
        if console.is_terminal:
            _draw(console, comparison, detail, glyphs)
            continue
        console.width = natural_width(comparison, glyphs)
        with strip_lines(console):
            _draw(console, comparison, detail, glyphs)


def _draw(console: Console, comparison: Comparison, detail: MetricSelection, glyphs: Glyphs) -> None:
    console.print(render_comparison(comparison, console.width, glyphs, detail))
    # The terminal wraps this line, without line breaks in the text: so it can be copied whole.
    console.print(Text(sanitize(comparison.signature), style="dim"), soft_wrap=True)


def natural_width(comparison: Comparison, glyphs: Glyphs) -> int:
    """Return the columns with which every arm has one line, at least `DEFAULT_WIDTH`."""
    return max(DEFAULT_WIDTH, width_of(main_table(table_cells(comparison), ONE_LINE, glyphs)))


def render_comparison(
    comparison: Comparison, width: int, glyphs: Glyphs = UNICODE, detail: MetricSelection = COMPACT_SELECTION
) -> RenderableType:
    """Return title, answer, table, other metrics and footnotes of a panel, laid out for `width` columns."""
    cells = table_cells(comparison)
    return Group(
        _heading(comparison, cells),
        # Alarms stand above the table, because whoever reads its numbers should know before.
        *(Text(f"! {sanitize(alarm)}", style="bold red") for alarm in comparison.alarms),
        "",
        fit_table(cells, width, glyphs),
        "",
        verdict_list(comparison, glyphs),
        *other_metric_tables(comparison, detail, width, glyphs),
        "",
        method_and_warnings(comparison, glyphs),
    )


def _heading(comparison: Comparison, cells: TableCells) -> Text:
    heading = Text(sanitize(comparison.name), style="bold")
    question = sanitize(comparison.headline_question)
    if question:
        heading.append(f"\n{question}", style="not bold italic")
    decided = any(row.verdict not in (None, "not testable", "unusable") for row in comparison.rows)
    heading.append(f"\n{sanitize(headline(comparison))}", style="" if decided else "yellow")
    return heading.append(f"\n\n{sanitize(cells.settings_text)}", style="not bold")
