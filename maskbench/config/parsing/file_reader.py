"""Read an experiment file as text: a regular file of at most 1 MiB in UTF-8."""

from __future__ import annotations

import codecs
import os
import re
import stat
from pathlib import Path

from maskbench.config.parsing.problems import Place, ProblemReport, split_lines
from maskbench.registry import did_you_mean

MAX_BYTES = 2**20

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
# Characters outside the printable set of YAML 1.1; its parsers refuse them with different messages.
_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|\ufeff")


def read_text(path: Path, report: ProblemReport) -> str:
    """Return the text of an experiment file without its byte order mark.

    Raises:
        ConfigError: it is missing, unreadable, no regular file, larger than 1 MiB, not UTF-8, or holds
            control characters.
    """
    return decode(_read_bytes(path, report), report)


def _read_bytes(path: Path, report: ProblemReport) -> bytes:
    try:
        # Check before opening: opening a pipe blocks until another process writes to it.
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise report.fail(Place(), "this is a directory; name the experiment file in it")
        if not stat.S_ISREG(mode):
            raise report.fail(Place(), "this is not a regular file (a pipe, a socket or a device)")
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise report.fail(Place(), f"no such file{_similar(path)}") from None
    except (OSError, ValueError) as error:
        # ValueError: a path with a null character.
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise report.fail(Place(), f"cannot be read: {reason}") from None
    if len(data) > MAX_BYTES:
        raise report.fail(Place(), "is larger than 1 MiB; an experiment file is a page of text")
    return data


def _similar(path: Path) -> str:
    """Return a hint that names a YAML file of a similar name in the same folder."""
    try:
        beside = [entry.name for entry in path.parent.iterdir() if entry.suffix in (".yaml", ".yml")]
    except OSError:
        return ""
    return did_you_mean(path.name, beside)


def decode(data: bytes, report: ProblemReport) -> str:
    """Decode `data` as UTF-8; also store the text in the report, which quotes lines of it.

    Raises:
        ConfigError: it is not UTF-8, or contains control characters.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            raise report.fail(Place(), f"is encoded in {encoding}; save it as UTF-8")
    data = data.removeprefix(codecs.BOM_UTF8)
    if b"\0" in data[:4]:
        raise report.fail(Place(), "holds null bytes, as UTF-16 and binary files do; save it as UTF-8 text")
    try:
        report.text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        report.text = data.decode("utf-8", "replace")
        place = _place(data[: error.start].decode("utf-8"))
        raise report.fail(
            place, f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from None
    if found := _CONTROL.search(report.text):
        place = _place(report.text[: found.start()])
        raise report.fail(place, f"control character U+{ord(found.group()):04X} is not allowed")
    return report.text


def _place(before: str) -> Place:
    """Return the place of the character that follows `before`."""
    lines = split_lines(before)
    return Place(line=len(lines), column=len(lines[-1]) + 1)
