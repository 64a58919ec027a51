"""Read the rows of a table: columns between tabs, in quotation marks where a csv writer put them.

A csv writer puts a field into quotation marks if it holds one, and doubles those inside. A table written by
hand has quotation marks as text, and its fields may begin and end with them. A single line does not tell
which of the two it is, so the whole table decides, and a table that contradicts itself is refused.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from maskbench.data.text.text_files import read_text
from maskbench.errors import CorpusError
from maskbench.text import count_of

Quotes: TypeAlias = Literal["auto", "csv", "text"]

_QUOTED: Final = re.compile(r'"([^"]*(?:""[^"]*)*)"(?=\t|\Z)')
"""A field in quotation marks, up to the end of its column."""


@dataclass(frozen=True)
class TableRows:
    """The rows of a table, and sentences for the user on how they were read."""

    rows: list[list[str]]
    notes: tuple[str, ...] = ()


def read_table(path: Path, quotes: Quotes = "auto") -> TableRows:
    """Return the columns of every line of a table; all lines have as many as the first one, 2 or 3.

    Args:
        path: the table.
        quotes: `csv`: a field in quotation marks is what stands between them, with doubled marks inside made
            single; `text`: quotation marks are text; `auto`: whichever of the two `find_quoting` finds.

    Raises:
        CorpusError: a line has another number of columns, or is not quoted as the table is; with `file:line`.
    """
    text = read_text(path)
    lines = text.lines
    found = find_quoting(lines)
    is_csv = quotes == "csv" or (quotes == "auto" and found.is_csv)
    rows = [
        _unquoted(line, f"{path}:{number}", found) if is_csv and '"' in line else line.split("\t")
        for number, line in enumerate(lines, start=1)
    ]
    _refuse_ragged(rows, lines, path)
    fields = f"{path.name}: quotation marks around {count_of(found.quoted, 'field')}"
    notes = [*text.notes]
    if is_csv and found.quoted:
        notes.append(
            f"{fields} are removed, and doubled ones inside are single, as csv writers mean them; the option quotes: text of"
            " the corpus files keeps them"
        )
    elif quotes == "auto" and found.quoted and not found.malformed:
        notes.append(
            f"{fields} are kept as text, since none is doubled inside; the option quotes: csv of the corpus files removes"
            " them"
        )
    return TableRows(rows, tuple(notes))


@dataclass(frozen=True)
class Quoting:
    """What the quotation marks of a table are."""

    quoted: int
    """The number of fields that stand in quotation marks as a csv writer puts them."""
    malformed: int
    """The number of lines that no csv writer wrote: a field begins with a quotation mark that is not closed at
    the end of a field, or only as text does the line have as many columns as the others."""
    evidence: str
    """Why a csv writer put fields into quotation marks; empty if nothing shows it."""

    @property
    def is_csv(self) -> bool:
        """Whether a csv writer put fields into quotation marks."""
        return bool(self.evidence)


def find_quoting(lines: Sequence[str]) -> Quoting:
    """Return what the quotation marks of a table's lines are.

    A csv writer put them there if a field stands in quotation marks and has doubled ones or a tab inside, or
    if more than half of the fields of either of the first two columns stand in quotation marks.
    """
    marked = [line for line in lines if '"' in line]
    split = [split_quoted(line) for line in marked]
    sizes = Counter(line.count("\t") + 1 for line in lines if '"' not in line)
    for line, fields in zip(marked, split, strict=True):
        if fields is not None and len(fields) == line.count("\t") + 1:
            sizes[len(fields)] += 1
    size = sizes.most_common(1)[0][0] if sizes else 2
    quoted = malformed = special = 0
    by_column = [0, 0]
    for line, fields in zip(marked, split, strict=True):
        if fields is None or (len(fields) != size and line.count("\t") + 1 == size):
            malformed += 1
            continue
        for column, (text, is_quoted) in enumerate(fields):
            quoted += is_quoted
            special += is_quoted and ('"' in text or "\t" in text)
            if is_quoted and column < 2:
                by_column[column] += 1
    evidence = ""
    if special:
        evidence = f"{count_of(special, 'field')} in quotation marks with doubled ones or a tab inside"
    elif 2 * max(by_column) > len(lines):
        evidence = f"{max(by_column)} of {count_of(len(lines), 'field')} of a column in quotation marks"
    return Quoting(quoted, malformed, evidence)


def split_quoted(line: str) -> list[tuple[str, bool]] | None:
    """Return the fields of a line, each with whether it was quoted; None if a quotation mark is misplaced.

    Misplaced is one at the beginning of a field that has no partner at the end of a field. A quotation mark
    inside a field that does not begin with one is text.
    """
    fields: list[tuple[str, bool]] = []
    place = 0
    while True:
        if match := _QUOTED.match(line, place):
            fields.append((match[1].replace('""', '"'), True))
            end = match.end()
        elif line.startswith('"', place):
            return None
        else:
            tab = line.find("\t", place)
            end = len(line) if tab < 0 else tab
            fields.append((line[place:end], False))
        if end == len(line):
            return fields
        place = end + 1


def _unquoted(line: str, place: str, found: Quoting) -> list[str]:
    fields = split_quoted(line)
    if fields is None:
        why = f" (the table has {found.evidence})" if found.evidence else ""
        raise CorpusError(
            f"{place}: a field begins with a quotation mark that is not closed at the end of a field of this line, but the"
            f" table is quoted as csv writers do{why}; close it, double the quotation marks inside, put a space in the place"
            " of a line end inside, or, if quotation marks are text in this table, set the option quotes: text of the corpus"
            " files"
        )
    return [text for text, _ in fields]


def _refuse_ragged(rows: Sequence[Sequence[str]], lines: Sequence[str], path: Path) -> None:
    for index, row in enumerate(rows):
        place = f"{path}:{index + 1}"
        if len(row) not in (2, 3):
            raise CorpusError(
                f"{place}: expected 2 or 3 columns (source, tab, target; a third is ignored), found"
                f" {len(row)}{_reason(lines, index)}; mend the line, or keep the first two columns of all: cut -f1,2"
            )
        if len(row) != len(rows[0]):
            raise CorpusError(
                f"{place}: has {len(row)} columns, but line 1 has {len(rows[0])}; a tab too many or too few would shift the"
                f" columns, so mend the line{_reason(lines, index)}"
            )


def _reason(lines: Sequence[str], index: int) -> str:
    """Return a likely reason of a wrong number of columns, in brackets; empty if there is none."""
    line = lines[index]
    if not line.strip():
        return " (the line is empty: remove it)"
    for number in (index, index - 1):
        if number >= 0 and lines[number].count('"') % 2:
            return (
                f" (line {number + 1} opens a quotation mark that it does not close: a field must not hold a line end; put"
                " a space in its place)"
            )
    if returns := line.count("\r"):
        return f" (the line holds {count_of(returns, 'carriage return')}, which end no line)"
    if "\t" not in line:
        marks = {",": "commas", ";": "semicolons", "|": "bars", "  ": "spaces"}
        used = next((name for mark, name in marks.items() if mark in line), None)
        return f" (there is no tab; {used} end no column)" if used else " (there is no tab)"
    return ""
