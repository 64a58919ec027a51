"""Read lines of text from disk: none is lost or split, and every error has a file and a line.

Lines end only at a line feed: U+2028, U+0085 and form feeds inside a line are text, since treating them as
line ends would shift every later pair of the corpus. A carriage return before the line feed and a byte order
mark at the start of the file are not text and are removed.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, cast

from maskbench.errors import CorpusError
from maskbench.files import sha256_of

MAX_FILE_BYTES: Final = 2 << 30
"""Maximum size of a file in bytes, after decompression."""
MAX_LINE_BYTES: Final = 1 << 20
"""Maximum length of a line in bytes."""

_CHUNK: Final = 1 << 18
# Limit on the compression ratio: text compresses 3 to 5 times, a decompression bomb 1,000 times.
_MOST_RATIO: Final = 25
_SMALL: Final = 2 << 20


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


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text file, decompressed if its name ends in `.gz`, without their line ends.

    Raises:
        CorpusError: the file is unreadable, incomplete, not UTF-8, too large, or contains a NUL; with
            `file:line`.
    """
    for number, raw in enumerate(_raw_lines(path), start=1):
        if b"\0" in raw:
            raise CorpusError(f"{path}:{number}: holds a NUL character; is this a text file?{_hint(raw)}")
        if number == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise CorpusError(
                f"{path}:{number}: not valid UTF-8: byte 0x{raw[error.start]:02x} at byte {error.start + 1} of the"
                f" line; convert the file to UTF-8{_hint(raw)}"
            ) from error
        yield text.removesuffix("\r")


def _hint(raw: bytes) -> str:
    if raw.startswith(b"\x1f\x8b"):
        return " (it looks compressed: name it .gz, or decompress it once more)"
    return " (it looks like UTF-16)" if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else ""


def _raw_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines as bytes, without their line feeds."""
    number, rest = 1, b""
    for chunk in _chunks(path):
        first, *others = chunk.split(b"\n")
        rest += first
        for line in others:
            yield _checked(rest, path, number)
            number, rest = number + 1, line
        _checked(rest, path, number)
    if rest:
        yield rest


def _checked(raw: bytes, path: Path, number: int) -> bytes:
    if len(raw) > MAX_LINE_BYTES:
        raise CorpusError(
            f"{path}:{number}: this line is longer than {MAX_LINE_BYTES} bytes; is this a text file?"
        )
    return raw


def _chunks(path: Path) -> Iterator[bytes]:
    size, lines = 0, 1
    try:
        compressed = path.suffix == ".gz"
        if compressed and not path.stat().st_size:
            # Even empty text has 20 bytes when compressed; the library would read this file as empty text.
            raise EOFError
        limit = (
            min(MAX_FILE_BYTES, max(_SMALL, _MOST_RATIO * path.stat().st_size))
            if compressed
            else MAX_FILE_BYTES
        )
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
