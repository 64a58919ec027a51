"""Read pairs of sentences, with their line numbers, from files of three formats.

Two aligned files (line i of one is the translation of line i of the other), a table (source, tab, target, and
perhaps a third column that is ignored), or one JSON object a line. Each may be compressed. A malformed line
raises an error with its number and is never skipped, since a skipped line would shift the later pairs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from maskbench.data.text.text_files import read_lines
from maskbench.errors import CorpusError

Pair: TypeAlias = tuple[str, str]
Header: TypeAlias = bool | Literal["auto"]

_NAMED: Final = (("src", "tgt"), ("source", "target"))
"""Column names that a header may have beside the names of the two languages."""
_NUMBERED: Final = (("1", "2"), ("0", "1"))
"""Headers of programs that number the columns of a table without names."""


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
    """Whether the first line of a table is a header; `auto`: decided by `_names_columns`."""

    def read(self) -> SentencePairs:
        """Return all pairs, empty ones included.

        Raises:
            CorpusError: a file cannot be read, a line is malformed, or two aligned files do not have the same
                number of lines.
        """
        if len(self.files) == 2:
            return self._read_aligned()
        if _kind(self.files[0]) == ".jsonl":
            pairs = _read_json_lines(self.files[0], self.src, self.tgt)
            return SentencePairs(self, pairs, range(1, len(pairs) + 1))
        return self._read_table()

    def locate(self, line: int, side: int) -> str:
        """Return `file:line` of line `line` (from 1) on side 0 (source) or 1 (target)."""
        return f"{self.files[min(side, len(self.files) - 1)]}:{line}"

    def _read_aligned(self) -> SentencePairs:
        src_path, tgt_path = self.files
        src, tgt = list(read_lines(src_path)), list(read_lines(tgt_path))
        if len(src) != len(tgt):
            raise CorpusError(
                f"{src_path} has {len(src)} lines but {tgt_path} has {len(tgt)}; line i of one must be the"
                " translation of line i of the other, so find the missing line"
            )
        return SentencePairs(self, list(zip(src, tgt, strict=True)), range(1, len(src) + 1))

    def _read_table(self) -> SentencePairs:
        (path,) = self.files
        rows = _rows(path)
        head = rows[0] if rows else []
        names = (self.src.lower(), self.tgt.lower())
        has_header = _names_columns(head, names) if self.header == "auto" else self.header and bool(rows)
        backwards = has_header and _is_backwards(head, names)
        pairs = [(row[1], row[0]) if backwards else (row[0], row[1]) for row in rows[has_header:]]
        notes = []
        if has_header:
            order = ": target, source" if backwards else ""
            notes.append(f"{path.name}:1 is taken for a header, not for a pair ({head[0]}, {head[1]}{order})")
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
    folder: Path, stem: str, src: str, tgt: str, header: Header = "auto"
) -> tuple[PairFiles | None, list[Path]]:
    """Return the files of `stem`, or None, and every path that was tried.

    Two aligned files are preferred to a table, a table to JSON lines, and plain files to compressed ones.
    """
    names = (f"{stem}.{src}", f"{stem}.{tgt}", f"{stem}.tsv", f"{stem}.jsonl")
    choices = [(folder / name, folder / f"{name}.gz") for name in names]
    looked_for = [path for paths in choices for path in paths]
    source, target, *single = (next((p for p in paths if p.is_file()), None) for paths in choices)
    if source and target:
        return PairFiles((source, target), src, tgt, header), looked_for
    one = next((path for path in single if path), None)
    return (PairFiles((one,), src, tgt, header) if one else None), looked_for


def _kind(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).suffix


def _rows(path: Path) -> list[list[str]]:
    """Return the columns of every line of a table; all lines have as many as the first one, 2 or 3."""
    rows: list[list[str]] = []
    for number, line in enumerate(read_lines(path), start=1):
        columns = line.split("\t")
        if len(columns) not in (2, 3):
            raise CorpusError(
                f"{path}:{number}: expected 2 or 3 columns (source, tab, target; a third is ignored), found"
                f" {len(columns)}; mend the line, or keep the first two columns of all: cut -f1,2"
            )
        if rows and len(columns) != len(rows[0]):
            raise CorpusError(
                f"{path}:{number}: has {len(columns)} columns, but line 1 has {len(rows[0])}; a tab too many or too"
                " few would shift the columns, so mend the line"
            )
        rows.append(columns)
    return rows


def _names_columns(head: Sequence[str], names: Pair) -> bool:
    """Return whether the first line of a table reads as a header.

    It is if its first two columns, whatever their case, are the names of the two languages, `src` and `tgt`,
    or `source` and `target`, in either order, or the numbers 1 and 2, or 0 and 1.
    """
    columns = tuple(column.strip().lower() for column in head[:2])
    return columns in (names, *_NAMED, *_NUMBERED) or _is_backwards(head, names)


def _is_backwards(head: Sequence[str], names: Pair) -> bool:
    columns = tuple(column.strip().lower() for column in head[:2])
    return columns[::-1] in (names, *_NAMED)


def _read_json_lines(path: Path, src: str, tgt: str) -> list[Pair]:
    pairs: list[Pair] = []
    keys = (src, tgt)
    for number, line in enumerate(read_lines(path), start=1):
        value = _json_object(line, f"{path}:{number}")
        if number == 1 and src not in value and tgt not in value:
            keys = ("src", "tgt")
        missing = [key for key in keys if key not in value]
        if missing:
            found = ", ".join(repr(str(key)[:30]) for key in list(value)[:5]) or "none"
            raise CorpusError(
                f"{path}:{number}: there is no key {missing[0]!r} (keys of this line: {found}); src and tgt of the"
                " experiment file name the keys"
            )
        pairs.append((_line_in(value, keys[0], path, number), _line_in(value, keys[1], path, number)))
    return pairs


def _json_object(line: str, place: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        empty = "the line is empty" if not line.strip() else f"{error.msg} at character {error.pos + 1}"
        raise CorpusError(f"{place}: not valid JSON: {empty}; every line must be one object") from error
    except (RecursionError, ValueError) as error:
        raise CorpusError(
            f"{place}: not JSON that can be read: nested too deeply, or too long a number"
        ) from error
    if not isinstance(value, dict):
        raise CorpusError(f"{place}: expected a JSON object, found {_json_name(value)}; such as"
                          ' {"src": "...", "tgt": "..."}')  # fmt: skip
    return value


def _line_in(value: dict[str, Any], key: str, path: Path, number: int) -> str:
    text = value[key]
    if not isinstance(text, str):
        raise CorpusError(f"{path}:{number}: the value of {key!r} must be a string, found {_json_name(text)}")
    odd = next(
        (name for mark, name in (("\n", "a line end"), ("\0", "a NUL character")) if mark in text), None
    )
    if odd is None and any("\ud800" <= character <= "\udfff" for character in text):
        odd = "half of a surrogate pair, which is no character"
    if odd:
        raise CorpusError(
            f"{path}:{number}: the value of {key!r} holds {odd}; a sentence is one line of text"
        )
    return text


def _json_name(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
