"""Parallel text from disk, read strictly: a pair is never shifted, and every complaint has a file and a line.

Lines end at a line feed and nowhere else: U+2028, U+0085 and form feeds inside a line are text, and taking them for
line ends would shift every later pair of the corpus. A carriage return before the line feed and a byte order mark at
the start of the file are not text and are removed.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias, cast

from maskbench.errors import CorpusError

Pair: TypeAlias = tuple[str, str]

MOST_BYTES: Final = 2 << 30
"""The largest file that is read, after decompression."""
MOST_LINE_BYTES: Final = 1 << 20
"""The longest line."""

_CHUNK: Final = 1 << 18
# Text compresses three to five times, a bomb a thousand times.
_MOST_RATIO: Final = 25
_SMALL: Final = 2 << 20


@dataclass(frozen=True)
class Source:
    """Where the lines of one stem are: two aligned files, or one table with both languages."""

    files: tuple[Path, ...]
    """(source file, target file), or (table,)."""

    def read(self) -> list[Pair]:
        """Return all pairs, empty ones included; pair i is line i + 1.

        Raises:
            CorpusError: a file cannot be read, is not text, or the two do not have the same number of lines.
        """
        if len(self.files) == 1:
            return _read_table(self.files[0])
        src_path, tgt_path = self.files
        src, tgt = list(read_lines(src_path)), list(read_lines(tgt_path))
        if len(src) != len(tgt):
            raise CorpusError(
                f"{src_path} has {len(src)} lines but {tgt_path} has {len(tgt)}; line i of one must be the"
                " translation of line i of the other, so find the missing line"
            )
        return list(zip(src, tgt, strict=True))

    def where(self, line: int, side: int) -> str:
        """Return `file:line` of line `line` (from 1) on side 0 (source) or 1 (target)."""
        return f"{self.files[min(side, len(self.files) - 1)]}:{line}"


def find(folder: Path, stem: str, src: str, tgt: str) -> tuple[Source | None, list[Path]]:
    """Return where the lines of `stem` are, or None, and every path that was looked for.

    Two aligned files are preferred to a table, and plain files to compressed ones.
    """
    sides = [_plain_or_gz(folder / f"{stem}.{language}") for language in (src, tgt)]
    table = _plain_or_gz(folder / f"{stem}.tsv")
    looked_for = [path for paths in (*sides, table) for path in paths]
    found = [next((path for path in paths if path.is_file()), None) for paths in (*sides, table)]
    if found[0] and found[1]:
        return Source((found[0], found[1])), looked_for
    return (Source((found[2],)) if found[2] else None), looked_for


def _plain_or_gz(path: Path) -> tuple[Path, Path]:
    return path, path.with_name(path.name + ".gz")


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's bytes.

    Raises:
        CorpusError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror}") from error


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text file, decompressed if its name ends in `.gz`, without their line ends.

    Raises:
        CorpusError: the file is not readable, not complete, not UTF-8, too large, or holds a NUL; with `file:line`.
    """
    for number, raw in enumerate(_raw_lines(path), start=1):
        if b"\0" in raw:
            raise CorpusError(
                f"{path}:{number}: holds a NUL character; is this a text file?{_gzip_hint(raw)}"
            )
        if number == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise CorpusError(
                f"{path}:{number}: not valid UTF-8: byte 0x{raw[error.start]:02x} at byte {error.start + 1} of the"
                f" line; convert the file to UTF-8{_gzip_hint(raw)}"
            ) from error
        yield text.removesuffix("\r")


def _gzip_hint(raw: bytes) -> str:
    return (
        " (it looks compressed: name it .gz, or decompress it once more)"
        if raw.startswith(b"\x1f\x8b")
        else ""
    )


def _raw_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines as bytes, without their line feeds."""
    number, rest = 1, b""
    for chunk in _chunks(path):
        first, *others = chunk.split(b"\n")
        rest += first
        for line in others:
            yield rest
            number, rest = number + 1, line
        if len(rest) > MOST_LINE_BYTES:
            raise CorpusError(
                f"{path}:{number}: this line is longer than {MOST_LINE_BYTES} bytes; is this a text file?"
            )
    if rest:
        yield rest


def _chunks(path: Path) -> Iterator[bytes]:
    size, lines = 0, 1
    try:
        compressed = path.suffix == ".gz"
        limit = min(MOST_BYTES, max(_SMALL, _MOST_RATIO * path.stat().st_size)) if compressed else MOST_BYTES
        with cast(BinaryIO, gzip.open(path, "rb")) if compressed else path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                size, lines = size + len(chunk), lines + chunk.count(b"\n")
                if size > limit:
                    verb = "decompresses to" if compressed else "holds"
                    raise CorpusError(f"{path}: {verb} more than the limit of {limit} bytes")
                yield chunk
    except EOFError as error:
        raise CorpusError(
            f"{path}:{lines}: the compressed file ends too early; copy or download it again"
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise CorpusError(f"{path}:{lines}: not a sound gzip file from here on: {error}") from error
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror or error}") from error


def _read_table(path: Path) -> list[Pair]:
    pairs = []
    for number, line in enumerate(read_lines(path), start=1):
        columns = line.split("\t")
        if len(columns) != 2:
            raise CorpusError(
                f"{path}:{number}: expected 2 columns (source, tab, target), found {len(columns)}; for a table with"
                " more, keep the first two: cut -f1,2"
            )
        pairs.append((columns[0], columns[1]))
    return pairs
