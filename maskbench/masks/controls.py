"""Propose the two control arms of a scheduled arm, as experiment-file entries.

A scheduled mask differs from a constant one in its average strength and in its course over time. Two
controls separate them: the constant at the schedule's time average (same strength, no course), and the
schedule in reverse order (same strength, opposite course).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from maskbench.config.schema.experiment import ArmConfig, PlacementConfig
from maskbench.config.schema.names import slugify
from maskbench.masks.schedules import Schedule
from maskbench.registry import MASKS

Replace = Callable[[Schedule, float | None], Any]
"""`(schedule, share of training at which it stops, or None) -> replacement`, or None for no replacement."""


@dataclass(frozen=True, slots=True)
class Control:
    """A proposed control arm."""

    name: str
    of: str
    """Name of the scheduled arm."""
    masks: list[dict[str, Any]]
    """The control's placements as in the experiment file, without default values."""


def propose_controls(arm: ArmConfig) -> Iterator[Control]:
    """Yield the controls of an arm; none where no schedule's values are known before training."""
    ways: list[tuple[str, Replace]] = [("average", _average), ("reversed", _reversed)]
    for word, replace in ways:
        masks = [_written(placement, replace) for placement in arm.config.masks]
        if any(changed for _, changed in masks):
            yield Control(slugify(f"{arm.name} {word}"), arm.name, [written for written, _ in masks])


def _average(schedule: Schedule, stop: float | None) -> Any:
    return schedule.average(1.0 if stop is None else stop)


def _reversed(schedule: Schedule, stop: float | None) -> Any:
    # The reverse of a schedule that stops and then stays constant cannot be written in the experiment file.
    backwards = schedule.reversed() if stop is None else None
    return None if backwards is None else backwards.dump()


def _written(placement: PlacementConfig, replace: Replace) -> tuple[dict[str, Any], bool]:
    """Return a placement with its schedules replaced, and whether any was replaced."""
    cls = MASKS.lookup(placement.mask)
    options = cls.parse_options(placement)
    fields = placement.model_dump(mode="json", exclude_defaults=True, exclude={"options", "refresh"})
    if placement.refresh is not None and placement.refresh != cls.default_refresh:
        fields["refresh"] = placement.refresh.model_dump(mode="json")
    stop = placement.freeze_at
    new = {path: replace(schedule, stop) for path, schedule in options.schedules().items()}
    known = {path: value for path, value in new.items() if value is not None}
    if known:
        fields.pop("freeze_at", None)
    written = _given({**fields, **options.model_dump(mode="json", exclude_defaults=True)})
    for path, value in known.items():
        _put(written, re.findall(r"\w+", path), value)
    return written, bool(known)


def _given(value: Any) -> Any:
    """Return a plain value without None entries in its mappings, at every depth."""
    if isinstance(value, dict):
        return {key: _given(inner) for key, inner in value.items() if inner is not None}
    return [_given(inner) for inner in value] if isinstance(value, list) else value


def _put(written: Any, path: list[str], value: Any) -> None:
    """Set the value at a path such as `of`, `0`, `radius` in nested lists and mappings."""
    *inner, last = path
    for step in inner:
        if isinstance(written, list):
            written = written[int(step)]
        elif step in written:
            written = written[step]
        # A part of a composition is written flat: the path has an `options` step, the file has no such key.
    written[last] = value
