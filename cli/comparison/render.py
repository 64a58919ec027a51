"""A comparison for people: the question, the answer, a table that can be read without colour, and what it rests on.

Everything that comes from a file is a `Text` of plain characters, because Rich would read markup in a string.
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
from maskbench.comparison.text.footnotes import arm_notes, method, warnings
from maskbench.comparison.text.number_format import scale_of
from maskbench.comparison.text.sentences import headline, noise_sentences, verdict_sentences
from maskbench.text import sanitize

from ..terminal import ASCII, UNICODE, Glyphs, console_on, width_of
from .main_table import ONE_LINE, fitting, main_table
from .other_metrics import COMPACT, Detail, also_measured


def verdicts(comparison: Comparison, glyphs: Glyphs) -> Table:
    """Return every verdict as a sentence, and what a reader must know of the arms, as a list."""
    lines = (*verdict_sentences(comparison), *noise_sentences(comparison), *arm_notes(comparison))
    return _list([(Text(glyphs.bullet), Text(sanitize(line))) for line in lines])


def small_print(comparison: Comparison, glyphs: Glyphs) -> Table:
    """Return the method and, last, where the eye ends, what went wrong, as a list."""
    said = [(Text(glyphs.bullet, style="dim"), Text(sanitize(s), style="dim")) for s in method(comparison)]
    wrong = [(Text("!", style="bold yellow"), Text(sanitize(s))) for s in warnings(comparison)]
    return _list([*said, *wrong])


def _list(items: Sequence[tuple[Text, Text]]) -> Table:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for mark, text in items:
        grid.add_row(mark, text)
    return grid


NARROWEST = 80
"""Width of what is written to a file or a pipe, unless a table needs more."""


def print_comparisons(
    comparisons: Sequence[Comparison], file: TextIO | None = None, detail: Detail = COMPACT
) -> None:
    """Print to a terminal at its width, or to anything else at the width the tables need, nothing cut off."""
    console = console_on(file or sys.stdout)
    encodes = console.encoding.startswith("utf")
    if not encodes and hasattr(console.file, "reconfigure"):
        # An arm's title may still hold characters that this encoding lacks.
        console.file.reconfigure(errors="replace")
    _print(console, comparisons, detail, UNICODE if encodes else ASCII)


def as_text(comparisons: Sequence[Comparison], detail: Detail = COMPACT) -> str:
    """Return what would be printed to a file."""
    console = Console(file=StringIO(), color_system=None, force_terminal=False, highlight=False, _environ={})
    _print(console, comparisons, detail, UNICODE)
    written = console.file
    return written.getvalue() if isinstance(written, StringIO) else ""


def _print(console: Console, comparisons: Sequence[Comparison], detail: Detail, glyphs: Glyphs) -> None:
    for index, comparison in enumerate(comparisons):
        if index:
            console.print()
        if console.is_terminal:
            _draw(console, comparison, detail, glyphs)
            continue
        console.width = natural_width(comparison, glyphs)
        with console.capture() as captured:
            _draw(console, comparison, detail, glyphs)
        # Rich fills every line of a table; in a file that is only noise.
        console.file.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def _draw(console: Console, comparison: Comparison, detail: Detail, glyphs: Glyphs) -> None:
    console.print(renderables(comparison, console.width, glyphs, detail))
    # A terminal wraps this line by itself; with nothing put into it, it can be copied whole.
    console.print(Text(sanitize(comparison.signature), style="dim"), soft_wrap=True)


def natural_width(comparison: Comparison, glyphs: Glyphs) -> int:
    """Return the width at which every arm has one line, at least `NARROWEST`."""
    return max(NARROWEST, width_of(main_table(comparison, ONE_LINE, glyphs)))


def renderables(
    comparison: Comparison, width: int, glyphs: Glyphs = UNICODE, detail: Detail = COMPACT
) -> RenderableType:
    """Return title, answer, table, other metrics and footnotes of a panel, laid out for `width` columns."""
    return Group(
        _heading(comparison),
        *_alarms(comparison),
        "",
        fitting(comparison, width, glyphs),
        "",
        verdicts(comparison, glyphs),
        *also_measured(comparison, detail, width, glyphs),
        "",
        small_print(comparison, glyphs),
    )


def _heading(comparison: Comparison) -> Text:
    settings = comparison.settings
    name = sanitize(comparison.experiment)
    heading = Text(f"{name} / {sanitize(comparison.panel)}" if comparison.panel else name, style="bold")
    question = sanitize(comparison.question.strip().split("\n\n")[0])
    if question:
        heading.append(f"\n{question}", style="not bold italic")
    decided = any(row.verdict not in (None, "not testable", "unusable") for row in comparison.rows)
    heading.append(f"\n{sanitize(headline(comparison))}", style="" if decided else "yellow")
    scale = scale_of(comparison)
    direction = "higher" if settings.info.higher_is_better else "lower"
    baseline = next(row.title for row in comparison.rows if row.arm == settings.baseline)
    details = (
        f"\n\n{sanitize(settings.metric)}{scale.unit} ({direction} is better), baseline {sanitize(baseline)}"
    )
    if settings.min_effect is not None:
        details += f", min_effect {scale.number(settings.min_effect)}"
    return heading.append(details, style="not bold")


def _alarms(comparison: Comparison) -> list[Text]:
    """Stand above the table: whoever reads its numbers should know before."""
    return [Text(f"! {sanitize(alarm)}", style="bold red") for alarm in comparison.alarms]
