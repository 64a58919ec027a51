"""How a numeric parameter of a mask moves over training.

A schedule stands in the experiment file where a number stands: `ratio: {linear: [0.3, 0.15]}`. It is a pure function
of a `Moment`, so a resumed run meets the same values. In evaluation it has the value of that step; final tests use
the value at the end of training.

| schedule | value at progress t in [0, 1] |
|---|---|
| `linear: [a, b]` | a + (b - a) t |
| `cosine: [a, b]` | b + (a - b) (1 + cos(pi t)) / 2 |
| `step: [[t0, v0], [t1, v1], ...]` | the last v whose t is reached; t0 is 0 |
| `triangle: [a, b]` | a at both ends, b in the middle |
| `cyclic: [a, b, n]` | n such triangles |
| `sample: [a, b]` | uniform in [a, b], drawn anew at every step; the middle in evaluation |
| `per_layer: [a, b]` | linear from the first layer to the last, constant in time |
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from maskbench.registry import did_you_mean


@dataclass(frozen=True, slots=True)
class Moment:
    """What a schedule may read."""

    progress: float
    """Share of the training steps done, in [0, 1]."""
    layer: int = 0
    n_layers: int = 1
    draw: float | None = None
    """A uniform number in [0, 1) keyed by the step; None in evaluation."""


def _linear(values: list[float | int], m: Moment) -> float:
    return values[0] + (values[1] - values[0]) * m.progress


def _cosine(values: list[float | int], m: Moment) -> float:
    return values[1] + (values[0] - values[1]) * (1 + math.cos(math.pi * m.progress)) / 2


def _triangle(values: list[float | int], m: Moment) -> float:
    return values[0] + (values[1] - values[0]) * (1 - abs(2 * m.progress - 1))


def _cyclic(values: list[float | int], m: Moment) -> float:
    phase = m.progress * values[2] % 1.0
    return _triangle(values, Moment(phase))


def _sample(values: list[float | int], m: Moment) -> float:
    return values[0] + (values[1] - values[0]) * (0.5 if m.draw is None else m.draw)


def _per_layer(values: list[float | int], m: Moment) -> float:
    share = m.layer / (m.n_layers - 1) if m.n_layers > 1 else 0.0
    return values[0] + (values[1] - values[0]) * share


_FORMULAS: dict[str, tuple[int, Callable[[list[float | int], Moment], float]]] = {
    "linear": (2, _linear),
    "cosine": (2, _cosine),
    "triangle": (2, _triangle),
    "cyclic": (3, _cyclic),
    "sample": (2, _sample),
    "per_layer": (2, _per_layer),
}
SCHEDULES = (*_FORMULAS, "step")
"""The names a schedule may have."""


@dataclass(frozen=True)
class Schedule:
    """One parameter's course over training; see the module's table."""

    name: str
    values: tuple[Any, ...]
    """The numbers as in the file: pairs `(progress, value)` for `step`."""
    integral: bool = False
    """Whether the parameter is a count: the value is rounded to the nearest integer, halves up."""

    def at(self, moment: Moment) -> float | int:
        """Return the value at `moment`."""
        if self.name == "step":
            value = next(v for t, v in reversed(self.values) if moment.progress >= t)
        else:
            value = _FORMULAS[self.name][1](list(self.values), moment)
        return math.floor(value + 0.5) if self.integral else float(value)

    def range(self) -> list[float | int]:
        """Return the listed parameter values; every value taken lies between two of them."""
        if self.name == "step":
            return [v for _, v in self.values]
        return list(self.values[:2])

    def dump(self) -> dict[str, Any]:
        """Return the schedule as the experiment file writes it."""
        return {self.name: [list(v) if isinstance(v, tuple) else v for v in self.values]}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _parse_steps(values: list[Any]) -> tuple[Any, ...]:
    pairs = [tuple(v) for v in values if isinstance(v, list) and len(v) == 2 and all(map(_is_number, v))]
    if not pairs or len(pairs) != len(values):
        raise ValueError("step takes a list of [progress, value] pairs, such as [[0, 2], [0.5, 4]]")
    starts = [t for t, _ in pairs]
    if starts[0] != 0 or starts != sorted(set(starts)) or starts[-1] > 1:
        raise ValueError(f"the progresses of step must rise from 0 and stay within 1, got {starts}")
    return tuple(pairs)


def parse(value: dict[Any, Any], *, integral: bool) -> Schedule:
    """Read a schedule as the experiment file writes it.

    Raises:
        ValueError: it has no known name, or not the numbers that schedule takes.
    """
    if len(value) != 1:
        raise ValueError(
            f"a schedule has one name, such as {{linear: [0.3, 0.1]}}; known: {', '.join(SCHEDULES)}"
        )
    ((name, values),) = value.items()
    if name not in SCHEDULES:
        hint = did_you_mean(str(name), SCHEDULES)
        raise ValueError(f"no schedule named {name!r}{hint} (known: {', '.join(SCHEDULES)})")
    if not isinstance(values, list):
        raise ValueError(f"{name} takes a list, got {values!r}")
    if name == "step":
        return Schedule(name, _parse_steps(values), integral)
    count = _FORMULAS[name][0]
    if len(values) != count or not all(map(_is_number, values)):
        raise ValueError(f"{name} takes {count} finite numbers, got {values!r}")
    if name == "cyclic" and values[2] <= 0:
        raise ValueError(f"cyclic takes a positive number of cycles, got {values[2]!r}")
    return Schedule(name, tuple(values), integral)


def _validator(integral: bool, low: float | None, high: float | None) -> Callable[[Any], Any]:
    what = "a whole number" if integral else "a finite number"

    def check(value: Any) -> None:
        if not _is_number(value) or (integral and not float(value).is_integer()):
            raise ValueError(f"must be {what} or a schedule, got {value!r}")
        if low is not None and value < low:
            raise ValueError(f"must be at least {low:g}, got {value!r}")
        if high is not None and value > high:
            raise ValueError(f"must be at most {high:g}, got {value!r}")

    def validate(value: Any) -> Any:
        schedule = parse(value, integral=integral) if isinstance(value, dict) else value
        if isinstance(schedule, Schedule):
            for number in schedule.range():
                check(number)
            return schedule
        check(value)
        return int(value) if integral else float(value)

    return validate


def scheduled(integral: bool, low: float | None = None, high: float | None = None) -> Any:
    """Return the pydantic type of a number in [low, high] or a schedule of such numbers."""
    schema: dict[str, Any] = {"type": "integer" if integral else "number"}
    schema |= {"minimum": low} if low is not None else {}
    schema |= {"maximum": high} if high is not None else {}
    either = {"anyOf": [schema, {"type": "object", "minProperties": 1, "maxProperties": 1}]}
    return Annotated[
        Any,
        PlainValidator(_validator(integral, low, high)),
        PlainSerializer(lambda value: value.dump() if isinstance(value, Schedule) else value),
        WithJsonSchema(either),
    ]


Ratio: TypeAlias = scheduled(False, 0.0, 1.0)  # type: ignore[valid-type]
"""A share in [0, 1], or a schedule of shares."""
Radius: TypeAlias = scheduled(True, 0.0)  # type: ignore[valid-type]
"""A distance in positions, at least 0, or a schedule of distances."""
Count: TypeAlias = scheduled(True, 1.0)  # type: ignore[valid-type]
"""A number of things, at least 1, or a schedule."""
Strength: TypeAlias = scheduled(False, 0.0)  # type: ignore[valid-type]
"""A factor, at least 0, or a schedule of factors."""
