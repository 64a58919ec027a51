"""A comparison as LaTeX: a booktabs table for a paper. Text from files is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from maskbench.comparison.results import Comparison
from maskbench.comparison.text.footnotes import arm_notes, grouped_warnings
from maskbench.comparison.text.sentences import verdict_sentences
from maskbench.comparison.text.table_cells import ArmCells, TableCells, table_cells
from maskbench.comparison.text.verdict_symbols import UNEQUAL
from maskbench.text import sanitize

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    '"': r"\symbol{34}",
    # After `\\\\` LaTeX would read these as an optional argument or a star.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "±": r"\textpm{}",
    "×": r"\texttimes{}",
    "†": r"\textdagger{}",
}
# Two of these in a row become a dash or a quotation mark.
_LIGATURE = re.compile(r"(?<=([-',]))(?=\1)")
_SPECIAL = re.compile("|".join(map(re.escape, _ESCAPES)))

HEAD = r"""% Needs \usepackage{booktabs}, and \usepackage{textcomp} with a LaTeX from before 2020.
"""


def to_latex(comparisons: Sequence[Comparison]) -> str:
    """Return a table environment for every panel."""
    return HEAD + "\n".join("\n".join(_panel(comparison)) + "\n" for comparison in comparisons)


def escaped(text: str) -> str:
    """Return text that LaTeX prints as it is, on one line."""
    return _LIGATURE.sub("{}", _SPECIAL.sub(lambda found: _ESCAPES[found[0]], sanitize(text)))


def label(comparison: Comparison) -> str:
    r"""Return what `\ref` finds the table by: letters, digits and hyphens only."""
    name = "-".join(filter(None, (comparison.experiment, comparison.panel)))
    return "tab:" + re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")


def _panel(comparison: Comparison) -> Iterator[str]:
    cells = table_cells(comparison)
    yield r"\begin{table}[t]"
    yield r"\centering\small"
    yield rf"\caption{{{_caption(comparison.name, cells)}}}"
    yield rf"\label{{{label(comparison)}}}"
    yield r"\begin{tabular}{lrrrrrrll}"
    yield r"\toprule"
    yield " & ".join(_headings(cells)) + r" \\"
    yield r"\midrule"
    for row in cells.rows:
        yield " & ".join(_row(row)) + r" \\"
    yield r"\bottomrule"
    yield r"\end{tabular}"
    yield r"\par\smallskip"
    yield r"\begin{minipage}{\linewidth}\footnotesize"
    for alarm in comparison.alarms:
        yield rf"\textbf{{{escaped(alarm)}}}\par"
    for sentence in (*verdict_sentences(comparison), *arm_notes(comparison)):
        yield rf"{escaped(sentence)}\par"
    for warning in grouped_warnings(comparison):
        yield rf"\emph{{Warning:}} {escaped(warning)}\par"
    # A line may end behind each part.
    yield rf"\texttt{{{escaped(comparison.signature).replace('textbar{}', 'textbar{}' + chr(92) + 'allowbreak{}')}}}"
    yield r"\end{minipage}"
    yield r"\end{table}"


def _caption(name: str, cells: TableCells) -> str:
    words = f"{name}: {cells.metric}, mean and standard deviation over seeds"
    words += f"; differences to {cells.baseline} are paired by seed"
    if cells.min_effect:
        words += f"; a difference of {cells.min_effect} matters"
    return escaped(f"{words}.")


def _headings(cells: TableCells) -> list[str]:
    interval = f"{cells.level} % interval"
    names = ("arm", "n", "mean ± sd", "difference", interval, cells.p_heading, "wins", "verdict", "cost")
    return [escaped(name) for name in names]


def _row(cells: ArmCells) -> list[str]:
    mean = _number(cells.mean)
    return [
        escaped(cells.title_with_marks),
        escaped(cells.runs),
        (f"{mean} \\textpm{{}} {_number(cells.sd)}" if cells.sd else mean)
        + (escaped(UNEQUAL) if cells.paired_means else ""),
        _number(cells.difference),
        _interval(cells.interval),
        _number(cells.p),
        escaped(cells.wins),
        escaped(cells.verdict or "baseline"),
        _interval(cells.cost_with_interval("x")),
    ]


def _number(text: str) -> str:
    """Return a number in math mode, where a hyphen is a minus and `<` a less-than sign."""
    return f"${text}$" if text else ""


def _interval(text: str) -> str:
    """Return `1.34x [1.29, 1.40]` with real minus signs, brackets and a multiplication sign."""
    return (
        re.sub(r"-[\d.]+", lambda found: _number(found[0]), text)
        .replace("[", "{[}")
        .replace("]", "{]}")
        .replace("x", r"\texttimes{}")
    )
