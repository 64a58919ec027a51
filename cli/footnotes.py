"""What stands under a comparison's table: every verdict as a sentence, notes on arms, the method, and what went wrong."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from maskbench.comparison.results import Comparison
from maskbench.comparison.text.footnotes import arm_notes, method, warnings
from maskbench.comparison.text.sentences import noise_sentences, verdict_sentences
from maskbench.plain import plain

from .glyphs import Glyphs


def verdicts(comparison: Comparison, glyphs: Glyphs) -> Table:
    """Return every verdict as a sentence, and what a reader must know of the arms, as a list."""
    lines = (*verdict_sentences(comparison), *noise_sentences(comparison), *arm_notes(comparison))
    return _list([(Text(glyphs.bullet), Text(plain(line))) for line in lines])


def small_print(comparison: Comparison, glyphs: Glyphs) -> Table:
    """Return the method and, last, where the eye ends, what went wrong, as a list."""
    said = [(Text(glyphs.bullet, style="dim"), Text(plain(s), style="dim")) for s in method(comparison)]
    wrong = [(Text("!", style="bold yellow"), Text(plain(s))) for s in warnings(comparison)]
    return _list([*said, *wrong])


def _list(items: Sequence[tuple[Text, Text]]) -> Table:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for mark, text in items:
        grid.add_row(mark, text)
    return grid
