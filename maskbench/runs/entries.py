"""What the lines of a run's files must hold; whoever reads them can rely on it.

Every function takes a line as it was read and raises a `ValueError` that says what is wrong with it; `JsonLines` adds
the file and the line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

# What TensorBoard's events can count to.
_MOST_STEPS = 2**63


def logged_numbers(line: Mapping[str, Any]) -> None:
    """Expect a step and finite numbers: metrics.jsonl."""
    _step(line)
    for tag in line:
        _number(line, tag)


def timed_step(line: Mapping[str, Any]) -> None:
    """Expect a step, and numbers where seconds and the time of day are noted: timing.jsonl."""
    _step(line)
    for key in ("seconds", "time"):
        if key in line:
            _number(line, key)


def sample(line: Mapping[str, Any]) -> None:
    """Expect a translation beside its source and reference: samples.jsonl."""
    _step(line)
    _whole(line, "id")
    for key in ("split", "source", "reference", "hypothesis"):
        if not isinstance(_entry(line, key), str):
            raise ValueError(f"{key} should be a text, got {_short(line[key])}")


def bars(line: Mapping[str, Any]) -> None:
    """Expect n + 1 edges and n counts: histograms.jsonl."""
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
