"""Append-only JSON Lines files, readable even if the last line is incomplete.

A record exists once its newline is on disk. A reader ignores bytes after the last newline; a writer removes
them before it appends, so that an incomplete line never ends up in the middle of a file.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from maskbench.errors import RunDirectoryError
from maskbench.files import sync_directory, wrap_os_errors

LineCheck: TypeAlias = Callable[[Mapping[str, Any]], None]
"""Function that raises a ValueError if a parsed line lacks an entry or has a wrong one."""


def encode_json_line(record: Mapping[str, Any]) -> bytes:
    """Return a record as one JSON line with a newline: keys in the order given, floats by `repr`.

    Raises:
        ValueError: the record holds NaN or an infinity.
    """
    return (json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n").encode()


class JsonLines:
    """An append-only file with one JSON object per line."""

    def __init__(self, path: Path, check: LineCheck = lambda line: None) -> None:
        """Set the file's path; the file need not exist.

        Args:
            check: called on every line that `read` parses.
        """
        self.path = path
        self._check = check
        self._mended = False

    @property
    def size(self) -> int:
        """Size of all complete lines in bytes; 0 if there is no file."""
        return self._contents().rfind(b"\n") + 1

    def append(self, record: Mapping[str, Any]) -> None:
        """Append one record; keys keep their order, floats are written by `repr`.

        Raises:
            ValueError: the record holds NaN or an infinity.
            ResourceError: the file cannot be written.
        """
        line = encode_json_line(record)
        if not self._mended:
            self.truncate(self.size)
        with wrap_os_errors("write", self.path), self.path.open("ab") as file:
            file.write(line)

    def read(self) -> list[dict[str, Any]]:
        """Return every complete record; an empty list if there is no file.

        Raises:
            RunDirectoryError: a complete line is not a JSON object, or fails the file's check.
        """
        records: list[dict[str, Any]] = []
        # Bytes after the last newline are an incomplete record.
        lines = self._contents().split(b"\n")[:-1]
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
                if not isinstance(record, dict):
                    raise ValueError("a line should be a JSON object")
                self._check(record)
            except (ValueError, RecursionError) as error:
                raise RunDirectoryError(f"{self.path}:{number} is damaged: {error}") from error
            records.append(record)
        return records

    def truncate(self, size: int) -> None:
        """Truncate the file to its first `size` bytes and sync it to disk.

        Raises:
            RunDirectoryError: the file is shorter than `size`, so logged lines are lost.
            ResourceError: the file cannot be written.
        """
        present = self.path.stat().st_size if self.path.exists() else 0
        if present < size:
            raise RunDirectoryError(
                f"{self.path} holds {present} bytes where {size} were logged; "
                "move the run directory away to start this run anew"
            )
        with wrap_os_errors("write", self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if present > size:
                os.truncate(self.path, size)
                self.sync()
        self._mended = True

    def keep_first(self, count: int) -> None:
        """Truncate the file to its first `count` records; a file with fewer keeps them all.

        Raises:
            ResourceError: the file cannot be written.
        """
        lines = self._contents()[: self.size].splitlines(keepends=True)
        self.truncate(sum(map(len, lines[:count])))

    def sync(self) -> None:
        """Flush every appended record to disk (fsync)."""
        if not self.path.exists():
            return
        with wrap_os_errors("write", self.path):
            with self.path.open("ab") as file:
                os.fsync(file.fileno())
            sync_directory(self.path.parent)

    def _contents(self) -> bytes:
        with wrap_os_errors("read", self.path):
            try:
                return self.path.read_bytes()
            except FileNotFoundError:
                return b""


# TensorBoard's events hold a step as a signed 64-bit integer.
_MOST_STEPS = 2**63


def check_metrics_line(line: Mapping[str, Any]) -> None:
    """Check a line of metrics.jsonl: a step, and finite numbers only."""
    _step(line)
    for tag in line:
        _number(line, tag)


def check_timing_line(line: Mapping[str, Any]) -> None:
    """Check a line of timing.jsonl: a step; `seconds` and `time`, if present, are finite numbers."""
    _step(line)
    for key in ("seconds", "time"):
        if key in line:
            _number(line, key)


def check_sample_line(line: Mapping[str, Any]) -> None:
    """Check a line of samples.jsonl: step, id, split, source, reference and hypothesis."""
    _step(line)
    _whole(line, "id")
    for key in ("split", "source", "reference", "hypothesis"):
        if not isinstance(_entry(line, key), str):
            raise ValueError(f"{key} should be a text, got {_short(line[key])}")


def check_histogram_line(line: Mapping[str, Any]) -> None:
    """Check a line of histograms.jsonl: a step, a tag, n + 1 edges and n counts."""
    _step(line)
    if not isinstance(_entry(line, "tag"), str):
        raise ValueError(f"tag should be a text, got {_short(line['tag'])}")
    for key in ("edges", "counts"):
        values = _entry(line, key)
        if not isinstance(values, list) or not all(map(_is_number, values)):
            raise ValueError(f"{key} should be finite numbers, got {_short(values)}")
    if len(line["edges"]) != len(line["counts"]) + 1:
        raise ValueError(f"{len(line['edges'])} edges do not bound {len(line['counts'])} counts")


def _entry(line: Mapping[str, Any], key: str) -> Any:
    if key not in line:
        raise ValueError(f"it has no {key}")
    return line[key]


def _step(line: Mapping[str, Any]) -> None:
    _whole(line, "step")


def _whole(line: Mapping[str, Any], key: str) -> None:
    value = _entry(line, key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _MOST_STEPS:
        raise ValueError(f"{key} should be a whole number from 0 on, got {_short(value)}")


def _number(line: Mapping[str, Any], key: str) -> None:
    if not _is_number(_entry(line, key)):
        raise ValueError(f"{key} should be a finite number, got {_short(line[key])}")


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _MOST_STEPS


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
