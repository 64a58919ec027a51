"""What stands under a comparison's table: notes on arms, how it was computed, and what did not go as planned."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from maskbench.comparison.results import Comparison

from .glyphs import Glyphs
from .plain import plain


def footnotes(comparison: Comparison, glyphs: Glyphs) -> Table:
    """Return the footnotes as a list with hanging indents; warnings come last, where the eye ends."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for arm, note in _arm_notes(comparison):
        grid.add_row(glyphs.bullet, Text.assemble((f"{plain(arm)}: ", "bold"), plain(note)))
    for sentence in _method(comparison, glyphs):
        grid.add_row(glyphs.bullet, Text(plain(sentence), style="dim"))
    grid.add_row(glyphs.bullet, Text(plain(comparison.signature), style="dim"))
    for warning in comparison.warnings:
        grid.add_row(Text("!", style="bold yellow"), Text(plain(warning)))
    return grid


def _arm_notes(comparison: Comparison) -> Iterator[tuple[str, str]]:
    for row in comparison.rows:
        if row.notes:
            yield row.title, "; ".join(row.notes)
        if row.also_different:
            yield row.title, f"also different: {', '.join(row.also_different)}"
        if row.unsafe:
            yield row.title, "unsafe: its author says that its masks let through what they should hide"
        if row.oracle:
            yield row.title, "oracle: its mask is told what no model knows; what it gains is a bound"


def _method(comparison: Comparison, glyphs: Glyphs) -> Iterator[str]:
    """Say in words how the table was computed."""
    differences = [row.difference for row in comparison.rows if row.difference is not None]
    if not differences:
        yield "one arm: there is nothing to compare it with"
        return
    if not any(difference.n for difference in differences):
        yield "no pair of runs is finished yet"
        return
    arms = (
        f"corrected for {len(differences)} arms (Holm)"
        if len(differences) > 1
        else "one arm, so no correction"
    )
    yield f"differences are to the baseline, paired by seed; p: exact sign-flip test, {arms}"
    methods = {d.interval.method for d in differences if d.interval}
    if "test" in methods:
        yield "interval: the shifts that the same test does not reject, before correction"
    if "t" in methods:
        yield "interval from few pairs: Student's t, which assumes normal differences"
    if (
        comparison.smallest_p is not None
        and comparison.smallest_p * len(differences) > comparison.settings.alpha
    ):
        yield f"the smallest p these seeds can reach is {comparison.smallest_p:g}, before correction"
    if any(row.cost.relative_step_time is not None for row in comparison.rows):
        yield "cost: time per training step, relative to the baseline"
    if comparison.metric_signature:
        yield f"{comparison.settings.metric}: {comparison.metric_signature}"
