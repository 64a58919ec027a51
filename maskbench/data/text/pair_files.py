"""Read pairs of sentences, with their line numbers, from files of three formats.

Two aligned files (line i of one is the translation of line i of the other), a table (source, tab, target, and
perhaps a third column that is ignored), or one JSON object a line. Each may be compressed. A malformed line
raises an error with its number and is never skipped, since a skipped line would shift the later pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, TypeAlias

from maskbench.data.text.json_lines import read_json_lines
from maskbench.data.text.table_rows import Quotes, read_table
from maskbench.data.text.text_files import read_text
from maskbench.errors import CorpusError
from maskbench.text import is_invisible

Pair: TypeAlias = tuple[str, str]
Header: TypeAlias = bool | Literal["auto"]

_NAMED: Final = (("src", "tgt"), ("source", "target"))
"""Column names that a header may have beside the names of the two languages."""
_NUMBERED: Final = (("1", "2"), ("0", "1"))
"""Headers of programs that number the columns of a table without names."""
_OTHER_LINE_ENDS: Final = {
    "carriage returns": "\r", "line separators U+2028": "\u2028", "paragraph separators U+2029": "\u2029",
    "next lines U+0085": "\x85", "vertical tabs": "\v", "form feeds": "\f",
}  # fmt: skip
"""Characters at which some programs end a line, and maskbench does not."""


@dataclass(frozen=True)
class PairFiles:
    """The files of one split and how to read them."""

    files: tuple[Path, ...]
    """(source file, target file), or (table,), or (JSON lines,): `.jsonl`, before any `.gz`, means JSON
    lines."""
    src: str = "src"
    """The name of the source in a header or in JSON keys."""
    tgt: str = "tgt"
    """The name of the target in a header or in JSON keys."""
    header: Header = "auto"
    """Whether the first line of a table is a header; `auto`: decided by `is_header`."""
    quotes: Quotes = "auto"
    """What quotation marks around the fields of a table are; `auto`: decided by `find_quoting`."""

    def read(self) -> SentencePairs:
        """Return all pairs, empty ones included.

        Raises:
            CorpusError: a file cannot be read, a line is malformed, or two aligned files do not have the same
                number of lines.
        """
        if len(self.files) == 2:
            return self._read_aligned()
        if _kind(self.files[0]) == ".jsonl":
            pairs, notes = read_json_lines(self.files[0], self.src, self.tgt)
            return SentencePairs(self, pairs, range(1, len(pairs) + 1), notes)
        return self._read_table()

    def locate(self, line: int, side: int) -> str:
        """Return `file:line` of line `line` (from 1) on side 0 (source) or 1 (target)."""
        return f"{self.files[min(side, len(self.files) - 1)]}:{line}"

    def _read_aligned(self) -> SentencePairs:
        src_path, tgt_path = self.files
        src, tgt = read_text(src_path), read_text(tgt_path)
        if len(src.lines) != len(tgt.lines):
            raise CorpusError(_unequal_counts(src_path, src.lines, tgt_path, tgt.lines))
        pairs = list(zip(src.lines, tgt.lines, strict=True))
        return SentencePairs(self, pairs, range(1, len(pairs) + 1), (*src.notes, *tgt.notes))

    def _read_table(self) -> SentencePairs:
        (path,) = self.files
        table = read_table(path, self.quotes)
        rows = table.rows
        head = rows[0] if rows else []
        names = (self.src.lower(), self.tgt.lower())
        if self.header is not False:
            _refuse_other_columns(head, names, path)
        has_header = is_header(head, names) if self.header == "auto" else self.header and bool(rows)
        backwards = has_header and _is_backwards(head, names)
        pairs = [(row[1], row[0]) if backwards else (row[0], row[1]) for row in rows[has_header:]]
        notes = [*table.notes]
        if has_header:
            order = ": target, source" if backwards else ""
            notes.append(f"{path.name}:1 is taken for a header, not for a pair ({head[0]}, {head[1]}{order})")
        third = ((i, row[2]) for i, row in enumerate(rows[has_header:], 1 + has_header) if len(row) > 2)
        for number, text in filter(lambda found: found[1], third):
            notes.append(f"{path.name}: the third column is ignored (line {number}: {text[:30]!r})")
            break
        return SentencePairs(self, pairs, range(1 + has_header, 1 + len(rows)), tuple(notes))


@dataclass(frozen=True)
class SentencePairs:
    """The pairs of one split and their origin in files."""

    source: PairFiles
    pairs: list[Pair]
    line_numbers: Sequence[int]
    """The line number of every pair, from 1."""
    notes: tuple[str, ...] = ()
    """Sentences for the user on how the pairs were read."""

    def locate(self, index: int, side: int) -> str:
        """Return `file:line` of the source (side 0) or the target (1) of pair `index`."""
        return self.source.locate(self.line_numbers[index], side)

    def select(self, indices: Sequence[int]) -> SentencePairs:
        """Return the pairs at `indices`, in that order, each with its own line number."""
        return replace(
            self, pairs=[self.pairs[i] for i in indices], line_numbers=[self.line_numbers[i] for i in indices]
        )

    def swapped(self) -> SentencePairs:
        """Return the pairs with source and target exchanged; only for a table, not for two files."""
        return replace(self, pairs=[(tgt, src) for src, tgt in self.pairs])

    def lowercased(self) -> SentencePairs:
        """Return the pairs in lower case."""
        return replace(self, pairs=[(src.lower(), tgt.lower()) for src, tgt in self.pairs])


def find_pair_files(
    folder: Path, stem: str, src: str, tgt: str, header: Header = "auto", quotes: Quotes = "auto"
) -> tuple[PairFiles | None, list[Path]]:
    """Return the files of `stem`, or None, and every path that was tried.

    Two aligned files are preferred to a table, a table to JSON lines, and plain files to compressed ones.
    """
    names = (f"{stem}.{src}", f"{stem}.{tgt}", f"{stem}.tsv", f"{stem}.jsonl")
    choices = [(folder / name, folder / f"{name}.gz") for name in names]
    looked_for = [path for paths in choices for path in paths]
    source, target, *single = (next((p for p in paths if p.is_file()), None) for paths in choices)
    if source and target:
        return PairFiles((source, target), src, tgt, header, quotes), looked_for
    one = next((path for path in single if path), None)
    return (PairFiles((one,), src, tgt, header, quotes) if one else None), looked_for


def _unequal_counts(src_path: Path, src: Sequence[str], tgt_path: Path, tgt: Sequence[str]) -> str:
    """Return the error of two aligned files with unequal numbers of lines, with the likely reason."""
    (short_path, short), (long_path, long) = sorted(
        ((src_path, src), (tgt_path, tgt)), key=lambda side: len(side[1])
    )
    first, last = len(short) + 1, len(long)
    alone = f"line {first}" if first == last else f"lines {first} to {last}"
    hints = [f"no partner for {alone} of {long_path.name}"]
    if all(is_invisible(line) for line in long[len(short) :]):
        hints[0] += ", without text, so remove what is empty at the end"
    for name, ends in _OTHER_LINE_ENDS.items():
        if sum(line.count(ends) for line in short) == len(long) - len(short):
            hints.append(f"{short_path.name} holds as many {name} inside lines, which end no line here")
    return (
        f"{src_path} has {len(src)} lines but {tgt_path} has {len(tgt)}; line i of one must be the translation of"
        f" line i of the other, so find the missing line ({'; '.join(hints)})"
    )


def _kind(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).suffix


def is_header(head: Sequence[str], names: Pair = _NAMED[0]) -> bool:
    """Return whether the first line of a table reads as a header.

    It is if its first two columns, whatever their case, are the names of the two languages, `src` and `tgt`,
    or `source` and `target`, in either order, or the numbers 1 and 2, or 0 and 1. Quotation marks around them
    and invisible characters do not count.
    """
    return _column_names(head[:2]) in (names, *_NAMED, *_NUMBERED) or _is_backwards(head, names)


def _refuse_other_columns(head: Sequence[str], names: Pair, path: Path) -> None:
    """Raise a CorpusError if a header names the source and the target in other columns than the first two."""
    if len(head) < 3 or is_header(head, names):
        return
    columns = _column_names(head)
    wanted: list[tuple[str, str]] = [names, *_NAMED]
    if not columns[0]:  # A column without a name numbers the rows.
        wanted += _NUMBERED
    for source, target in wanted:
        if source in columns and target in columns:
            places = sorted((columns.index(source) + 1, columns.index(target) + 1))
            raise CorpusError(
                f"{path}:1: the header names {source!r} and {target!r} in columns {places[0]} and {places[1]}, but pairs are"
                f" read from columns 1 and 2; keep these columns alone: cut -f{places[0]},{places[1]} OLD > NEW (if the line"
                " is a pair, set the option header: false of the corpus files)"
            )


def _is_backwards(head: Sequence[str], names: Pair) -> bool:
    return _column_names(head[:2])[::-1] in (names, *_NAMED)


def _column_names(head: Sequence[str]) -> tuple[str, ...]:
    visible = ("".join(c for c in column if c == " " or not is_invisible(c)) for column in head)
    return tuple(column.strip().strip('"').strip().lower() for column in visible)
