"""A comparison as GitHub-flavoured Markdown: a heading, the table, the sentences. Text from files is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from maskbench.comparison.results import Comparison
from maskbench.comparison.text.footnotes import arm_notes, grouped_warnings, method_sentences
from maskbench.comparison.text.sentences import headline, noise_sentences, verdict_sentences
from maskbench.comparison.text.table_cells import ArmCells, TableCells, table_cells
from maskbench.text import sanitize

# A backslash before punctuation makes it literal (CommonMark 2.4). GitHub turns bare addresses into links and dollars
# into formulas.
_MEANT = re.compile(r"://|(?<=www)\.|[\\`*_{}\[\]<>|~&#$@]", re.IGNORECASE)
_BEGINS_A_LIST = re.compile(r"^(\s*\d*)([-+=.)])")


def to_markdown(comparisons: Sequence[Comparison]) -> str:
    """Return every panel under a heading of its own."""
    return "\n\n".join("\n".join(_panel(comparison)) for comparison in comparisons) + "\n"


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is within a line, a cell or a heading."""
    return _MEANT.sub(lambda found: f"\\{found[0]}", sanitize(text).strip())


def line(text: str) -> str:
    """Return text that Markdown shows as it is where a line or a list item begins with it."""
    return _BEGINS_A_LIST.sub(r"\1\\\2", escaped(text))


def _panel(comparison: Comparison) -> Iterator[str]:
    cells = table_cells(comparison)
    yield f"## {escaped(comparison.name)}"
    yield ""
    if comparison.headline_question:
        yield f"*{escaped(comparison.headline_question).strip()}*"
        yield ""
    yield f"**{escaped(headline(comparison))}**"
    yield ""
    yield line(cells.settings_text)
    yield ""
    for alarm in comparison.alarms:
        yield f"> **{escaped(alarm)}**"
        yield ""
    yield from _table(cells)
    yield ""
    for sentence in (*verdict_sentences(comparison), *noise_sentences(comparison), *arm_notes(comparison)):
        yield f"- {line(sentence)}"
    for sentence in method_sentences(comparison):
        yield f"- {line(sentence)}"
    for warning in grouped_warnings(comparison):
        yield f"- **warning:** {escaped(warning)}"
    yield ""
    yield _code(comparison.signature)


def _table(cells: TableCells) -> Iterator[str]:
    difference = f"difference [{cells.level} %]"
    headings = ("arm", "n", "mean ± sd", difference, cells.p_heading, "wins", "verdict", "cost")
    yield _row(escaped(text) for text in headings)
    yield "| :-- | --: | --: | --: | --: | --: | :-- | --: |"
    for row in cells.rows:
        yield _row(escaped(text) for text in _texts(row))


def _texts(cells: ArmCells) -> tuple[str, ...]:
    return (
        cells.title_with_marks,
        cells.runs,
        cells.mean_with_sd(),
        cells.difference_with_interval(),
        cells.p,
        cells.wins,
        cells.verdict or "baseline",
        cells.cost_with_interval("x"),
    )


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    """Return text as code, in more backticks than it holds itself."""
    words = sanitize(text)
    fence = "`" * (max(map(len, re.findall("`+", words)), default=0) + 1)
    pad = " " if words.startswith("`") or words.endswith("`") else ""
    return f"{fence}{pad}{words}{pad}{fence}"
