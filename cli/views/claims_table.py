"""Claims as terminal text: each as a sentence, with its status and the numbers behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TextIO, get_args

from rich.table import Table
from rich.text import Text

from maskbench.comparison.claims import ClaimStatus, Judgement
from maskbench.comparison.results import ArmResult, Comparison
from maskbench.comparison.text.number_format import scale_of
from maskbench.comparison.text.table_cells import arm_cells
from maskbench.config.schema.claims import STEP_TIME, Claim, Limit
from maskbench.text import sanitize

from ..terminal import DEFAULT_WIDTH, Glyphs, console_on, glyphs_of, replace_unencodable, strip_lines

_STYLES: dict[ClaimStatus, str] = {"supported": "green", "refuted": "red", "undecided": "dim"}


def print_claims(judged: Sequence[Judgement], file: TextIO) -> None:
    """Print a row for each claim and a line that counts them."""
    console = console_on(file)
    replace_unencodable(file)
    if not console.is_terminal:
        console.width = DEFAULT_WIDTH
    with strip_lines(console):
        console.print(_table(judged, glyphs_of(console)))
    file.write(f"{claims_summary(judged)}\n")


def claims_summary(judged: Sequence[Judgement]) -> str:
    """Return how many claims are in each state: `3 supported, 1 refuted, 14 undecided`."""
    counts = Counter(one.status for one in judged)
    return ", ".join(f"{counts[status]} {status}" for status in get_args(ClaimStatus))


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


def _evidence(claim: Claim, row: ArmResult, comparison: Comparison, glyphs: Glyphs) -> Iterator[str]:
    if claim.metric == STEP_TIME or row.mean is None:
        return
    scale = scale_of(comparison)
    cells = arm_cells(row, scale)
    mean = f"mean {cells.mean_with_sd(glyphs.plus_minus, mark=glyphs.unequal)}{scale.percent}"
    if isinstance(claim.expects, Limit) or row.difference is None:
        yield mean
        return
    difference = cells.difference_with_interval() or glyphs.nothing
    yield f"{mean}, difference {difference}, p {cells.p or glyphs.nothing} (Holm), n {row.difference.n}"
