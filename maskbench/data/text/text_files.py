"""Read lines of text from disk: none is lost or split, and every error has a file and a line.

Lines end only at a line feed: U+2028, U+0085, form feeds and carriage returns inside a line are text, since
treating them as line ends would shift every later pair of the corpus. Carriage returns before the line feed
(one, or two in files that were converted twice) and a byte order mark at the start of the file are not text and are removed. A file whose lines end in
carriage returns alone is refused, as is one in another encoding than UTF-8.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

from maskbench.errors import CorpusError
from maskbench.files import sha256_of

MAX_FILE_BYTES: Final = 2 << 30
"""Maximum size of a file in bytes, after decompression."""
MAX_LINE_BYTES: Final = 1 << 20
"""Maximum length of a line in bytes."""

BYTE_ORDER_MARK: Final = "\ufeff"
"""What some programs put at the start of a UTF-8 file; elsewhere an invisible character."""

_UTF8_MARK: Final = BYTE_ORDER_MARK.encode()

_MOST_NUMBERS: Final = 10
"""Maximum number of line numbers in a note."""

_CHUNK: Final = 1 << 18

# Limits of a compressed file, so that a decompression bomb (1,000 times its size) does not fill the memory. Text
# compresses 3 to 5 times; text that repeats itself is read up to the size that any computer can hold.
_MOST_RATIO: Final = 25
_SMALL: Final = 64 << 20
# What a line costs in memory beside its text, in bytes: without it, a file of line feeds would cost far more than its size.
_LINE_COST: Final = 48

_OTHER_FORMATS: Final = (
    (b"\x1f\x8b", "looks compressed by gzip: name it .gz, or decompress it once more"),
    (b"BZh", "looks compressed by bzip2; decompress it: bunzip2"),
    (b"\xfd7zXZ\0", "looks compressed by xz; decompress it: unxz"),
    (b"\x28\xb5\x2f\xfd", "looks compressed by zstd; decompress it: unzstd"),
    (b"PK\x03\x04", "looks like a zip archive; unpack it: unzip"),
    (b"7z\xbc\xaf\x27\x1c", "looks like a 7z archive; unpack it: 7z x"),
    (b"\xff\xfe\0\0", "looks like UTF-32; convert it to UTF-8: iconv -f UTF-32 -t UTF-8 OLD > NEW"),
    (b"\0\0\xfe\xff", "looks like UTF-32; convert it to UTF-8: iconv -f UTF-32 -t UTF-8 OLD > NEW"),
    (b"\xff\xfe", "looks like UTF-16; convert it to UTF-8: iconv -f UTF-16 -t UTF-8 OLD > NEW"),
    (b"\xfe\xff", "looks like UTF-16; convert it to UTF-8: iconv -f UTF-16 -t UTF-8 OLD > NEW"),
)
"""First bytes of files that are not plain UTF-8, and what to do with them."""


def expand_folder(path: str) -> Path:
    """Return the folder that the user wrote, with `~` and `~name` resolved.

    Raises:
        CorpusError: the home folder is unknown.
    """
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as error:
        raise CorpusError(f"{path}: there is no such home folder; write the whole path") from error


def hash_corpus_file(path: Path) -> str:
    """Return the sha256 of a corpus file's bytes.

    Raises:
        CorpusError: the file cannot be read.
    """
    try:
        return sha256_of(path)
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror}") from error


@dataclass(frozen=True)
class TextLines:
    """The lines of a file, and sentences for the user on how they were read."""

    lines: list[str]
    notes: tuple[str, ...] = ()


def read_text(path: Path) -> TextLines:
    """Return the lines of a text file as `read_lines` yields them, without byte order marks at their starts.

    Files that were joined, or pasted side by side, have such marks in the middle, at the start of a line or
    behind a tab. Carriage returns and byte order marks inside lines are kept, with a note.
    """
    lines: list[str] = []
    marked, inside, returns = [], [], []
    for number, line in enumerate(read_lines(path), start=1):
        if BYTE_ORDER_MARK in line:
            removed = line.removeprefix(BYTE_ORDER_MARK).replace("\t" + BYTE_ORDER_MARK, "\t")
            if removed != line:
                marked.append(number)
            if BYTE_ORDER_MARK in removed:
                inside.append(number)
            line = removed
        if "\r" in line:
            returns.append(number)
        lines.append(line)
    notes = []
    if marked:
        notes.append(
            f"{path.name}: byte order marks at the start of {name_lines(marked)}, or behind a tab there, are removed"
        )
    if inside:
        notes.append(
            f"{path.name}: byte order marks inside {name_lines(inside)} are kept; were files joined there without a line"
            " end between them?"
        )
    if returns:
        notes.append(
            f"{path.name}: carriage returns inside {name_lines(returns)} are kept as text; they end no line"
        )
    return TextLines(lines, tuple(notes))


def name_lines(numbers: Sequence[int]) -> str:
    """Return line numbers as text, the first ten of them: `line 3`, `lines 3, 5`."""
    more = len(numbers) - _MOST_NUMBERS
    first = ", ".join(map(str, numbers[:_MOST_NUMBERS]))
    return f"{'line' if len(numbers) == 1 else 'lines'} {first}" + (f" and {more} more" if more > 0 else "")


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text file, decompressed if its name ends in `.gz`, without their line ends.

    Raises:
        CorpusError: the file is unreadable, incomplete, not UTF-8, too large, contains a NUL, or ends its
            lines in carriage returns alone; with `file:line`.
    """
    for number, raw in enumerate(_raw_lines(path), start=1):
        if b"\0" in raw:
            raise CorpusError(f"{path}:{number}: holds a NUL character; is this a text file?")
        if number == 1:
            raw = raw.removeprefix(_UTF8_MARK)
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise CorpusError(
                f"{path}:{number}: not valid UTF-8: byte 0x{raw[error.start]:02x} at byte {error.start + 1} of the"
                " line; convert the file to UTF-8 (from Latin-1: iconv -f ISO-8859-1 -t UTF-8 OLD > NEW)"
            ) from error
        yield text.rstrip("\r")


def _raw_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines as bytes, without their line feeds."""
    returns = _CarriageReturns(path)
    number, rest, is_head = 1, b"", True
    for chunk in _chunks(path):
        if is_head:
            _refuse_other_formats(chunk, path)
            is_head = False
        *lines, rest = (rest + chunk).split(b"\n")
        returns.add_lines(lines)
        returns.check(rest, is_end=False)
        for line in lines:
            yield _checked(line, path, number)
            number += 1
        _checked(rest, path, number)
    returns.check(rest, is_end=True)
    # A file of a byte order mark alone, which some editors save for an empty one, has no line.
    if rest and (number, rest) != (1, _UTF8_MARK):
        yield rest


class _CarriageReturns:
    """Counts the carriage returns inside lines, and refuses a file that has more of them than line feeds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._feeds = self._inside = 0
        self._first: int | None = None
        """The number of the first line with a carriage return inside."""

    def add_lines(self, lines: list[bytes]) -> None:
        """Count in lines that end in a line feed."""
        for line in lines:
            self._feeds += 1
            if found := _returns_inside(line):
                self._inside += found
                self._first = self._first or self._feeds

    def check(self, rest: bytes, *, is_end: bool) -> None:
        """Raise a CorpusError if carriage returns are the line ends, given the text after the last line feed."""
        if not (is_end or self._feeds or len(rest) > MAX_LINE_BYTES):
            return  # One chunk of a long first line does not tell.
        inside = self._inside + _returns_inside(rest)
        if inside > self._feeds:
            name = self._path.name
            turned = "tr '\\r' '\\n'"
            command = f"gzip -dc {name} | {turned}" if self._path.suffix == ".gz" else f"{turned} < {name}"
            raise CorpusError(
                f"{self._path}:{self._first or self._feeds + 1}: holds more carriage returns inside lines ({inside})"
                f" than line feeds ({self._feeds}): its line ends are carriage returns alone, which end no line here;"
                f" convert them: {command} > NEW (if they are text, put spaces in their place: tr '\\r' ' ')"
            )


def _returns_inside(line: bytes) -> int:
    return line.rstrip(b"\r").count(b"\r") if b"\r" in line else 0


def _refuse_other_formats(head: bytes, path: Path) -> None:
    for start, advice in _OTHER_FORMATS:
        # A sentence may begin with BZh, but not with what comes 4 bytes later.
        if head.startswith(start) and (start != b"BZh" or head[4:10] == b"1AY&SY"):
            raise CorpusError(f"{path}:1: {advice}")
    sample = head[:2000]
    for places, order in ((sample[0::2], "BE"), (sample[1::2], "LE")):
        # Every second byte of Latin text in UTF-16 is a NUL.
        if 2 * places.count(0) > len(places) and sample.count(0) == places.count(0):
            raise CorpusError(
                f"{path}:1: holds a NUL in every second byte, so it looks like UTF-16; convert it to UTF-8:"
                f" iconv -f UTF-16{order} -t UTF-8 OLD > NEW"
            )


def _checked(raw: bytes, path: Path, number: int) -> bytes:
    if len(raw) > MAX_LINE_BYTES:
        raise CorpusError(
            f"{path}:{number}: this line is longer than {MAX_LINE_BYTES} bytes; is this a text file?"
        )
    return raw


def _chunks(path: Path) -> Iterator[bytes]:
    size, lines = 0, 1
    compressed = path.suffix == ".gz"
    try:
        own_size = path.stat().st_size
        if compressed and not own_size:
            # Even empty text has 20 bytes when compressed; the library would read this file as empty text.
            raise EOFError
        limit = min(MAX_FILE_BYTES, max(_SMALL, _MOST_RATIO * own_size))
        with cast(BinaryIO, gzip.open(path, "rb")) if compressed else path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                size, lines = size + len(chunk), lines + chunk.count(b"\n")
                if compressed and size + _LINE_COST * lines > limit:
                    raise CorpusError(_too_large_when_decompressed(path, own_size, limit))
                if size > MAX_FILE_BYTES:
                    raise CorpusError(
                        f"{path}: holds more than the limit of {MAX_FILE_BYTES:,} bytes; split it"
                    )
                yield chunk
    except EOFError as error:
        raise CorpusError(
            f"{path}:{lines}: the compressed file ends too early; copy or download it again"
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        advice = (
            "test it with gzip -t, and copy or download it again; if it is plain text, take .gz off its name"
        )
        if "Not a gzipped file" in str(error) and _is_gzip(path):
            raise CorpusError(
                f"{path}:{lines}: other bytes follow the compressed text here, and nobody knows whether they are text;"
                f" leave them out: gzip -dc {path.name} | gzip > NEW"
            ) from error
        raise CorpusError(f"{path}:{lines}: not a sound gzip file from here on: {error}; {advice}") from error
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror or error}") from error


def _is_gzip(path: Path) -> bool:
    """Return whether a file begins as compressed text does."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _too_large_when_decompressed(path: Path, own_size: int, limit: int) -> str:
    return (
        f"{path}: decompresses to more than the limit of {limit:,} bytes, where a line counts {_LINE_COST} bytes more"
        f" than its text: a compressed file may hold {_MOST_RATIO} times its own {own_size:,} bytes, and"
        f" {_SMALL >> 20} MiB in any case, since text rarely compresses more than 5 times and a decompression bomb"
        f" 1,000 times; if the text is meant to repeat itself so often, decompress it: gzip -dk {path.name};"
        f" a plain file may hold {MAX_FILE_BYTES:,} bytes"
    )
