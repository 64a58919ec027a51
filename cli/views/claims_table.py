"""Claims for people: each as a sentence, with its state in a word and the numbers it rests on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TextIO, get_args

from rich.table import Table
from rich.text import Text

from maskbench.comparison.claims import Judgement, Status
from maskbench.comparison.results import Comparison, Row
from maskbench.comparison.text.number_format import scale_of
from maskbench.config.schema.claims import STEP_TIME, Claim, Limit
from maskbench.text import sanitize

from ..comparison.cells import interval_cell, mean_cell, p_cell
from ..terminal import ASCII, UNICODE, Glyphs, console_on

WIDTH = 80
"""Columns of what is written to a file or a pipe."""

_STYLES: dict[Status, str] = {"supported": "green", "refuted": "red", "undecided": "dim"}


def print_claims(judged: Sequence[Judgement], file: TextIO) -> None:
    """Print a row for each claim and a line that counts them."""
    console = console_on(file)
    encodes = console.encoding.startswith("utf")
    if not encodes and hasattr(file, "reconfigure"):
        file.reconfigure(errors="replace")
    if not console.is_terminal:
        console.width = WIDTH
    with console.capture() as captured:
        console.print(_table(judged, UNICODE if encodes else ASCII))
    # Rich fills every line of a table; in a file that is only noise.
    file.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())
    file.write(f"{summary(judged)}\n")


def summary(judged: Sequence[Judgement]) -> str:
    """Return how many claims are in each state: `3 supported, 1 refuted, 14 undecided`."""
    counts = Counter(one.status for one in judged)
    return ", ".join(f"{counts[status]} {status}" for status in get_args(Status))


def _table(judged: Sequence[Judgement], glyphs: Glyphs) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for one in judged:
        lines = [Text(sanitize(one.claim.says), style="bold")]
        lines += [Text(sanitize(line), style="dim") for line in _details(one, glyphs)]
        # The empty line sets claims apart.
        grid.add_row(Text(one.status, style=_STYLES[one.status]), Text("\n").join([*lines, Text()]))
    return grid


def _details(one: Judgement, glyphs: Glyphs) -> Iterator[str]:
    claim = one.claim
    yield f"{one.name}: {claim.source}"
    yield f"{_where(claim)}: {_expected(claim)}"
    if one.row is not None and one.comparison is not None:
        yield from _evidence(one.claim, one.row, one.comparison, glyphs)
    yield one.reason
    if one.settings:
        yield f"not run as its file has it: {'; '.join(one.settings)}"


def _where(claim: Claim) -> str:
    return f"{claim.experiment} / {claim.panel}" if claim.panel else claim.experiment


def _expected(claim: Claim) -> str:
    against = f" against {claim.against}" if claim.against else ""
    if isinstance(claim.expects, Limit):
        return f"{claim.arm}{against}, {claim.metric} {claim.expects}"
    margin = "within" if claim.expects == "no difference" else "by"
    return f"{claim.arm}{against}, {claim.metric} {claim.expects}, {margin} {claim.min_effect:g}"


def _evidence(claim: Claim, row: Row, comparison: Comparison, glyphs: Glyphs) -> Iterator[str]:
    if claim.metric == STEP_TIME or row.mean is None:
        return
    scale, difference = scale_of(comparison), row.difference
    mean = f"mean {mean_cell(row, scale, ' ', glyphs)}{scale.percent}"
    if isinstance(claim.expects, Limit) or difference is None:
        yield mean
        return
    yield (
        f"{mean}, difference {interval_cell(difference, scale, ' ', glyphs)}, "
        f"p {p_cell(difference.p_holm, glyphs)} (Holm), n {difference.n}"
    )
