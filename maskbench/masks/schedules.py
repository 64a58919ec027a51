"""Schedules: values of a mask's numeric option as a function of training progress.

In the experiment file a schedule replaces a number: `ratio: {linear: [0.3, 0.15]}`. It is a pure function of
a `ScheduleContext`, so a resumed run gets the same values. Evaluation uses the value at its step, final
tests the value at the end of training.

| schedule | value at progress t in [0, 1] |
|---|---|
| `linear: [a, b]` | a + (b - a) t |
| `cosine: [a, b]` | b + (a - b) (1 + cos(pi t)) / 2 |
| `step: [[t0, v0], [t1, v1], ...]` | the last v whose t is reached; t0 is 0 |
| `triangle: [a, b]` | a at both ends, b in the middle |
| `cyclic: [a, b, n]` | n such triangles |
| `sample: [a, b]` | uniform in [a, b], one draw per step; the middle in evaluation |
| `sample_per_example: [a, b]` | uniform in [a, b], a draw per example and epoch; the middle in evaluation |
| `per_layer: [a, b]` | linear from the first layer to the last, constant in time |
| `plateau: [a, b, n]` | a + (b - a) min(s / n, 1), s = validations so far that found no better model |
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeAlias

from jaxtyping import Float
from pydantic import PlainSerializer, PlainValidator, WithJsonSchema
from torch import Tensor

from maskbench.registry import did_you_mean


@dataclass(frozen=True, slots=True)
class ScheduleContext:
    """Input of a schedule."""

    progress: float
    """Share of the training steps done, in [0, 1]."""
    layer: int = 0
    n_layers: int = 1
    draw: float | None = None
    """A uniform number in [0, 1) keyed by the step; None in evaluation."""
    each: Float[Tensor, "batch"] | None = None
    """A uniform number in [0, 1) for every example, keyed by example and epoch; None in evaluation."""
    stalls: int = 0
    """Validations so far that found no better model."""


Values: TypeAlias = tuple[Any, ...]
"""The numbers of a schedule, as in the experiment file."""


def _between(values: Values, share: Any) -> Any:
    """Return the linear interpolation between the first two values at `share`, in [0, 1]."""
    return values[0] + (values[1] - values[0]) * share


def _linear(values: Values, m: ScheduleContext) -> float:
    return float(_between(values, m.progress))


def _cosine(values: Values, m: ScheduleContext) -> float:
    return float(_between(values, (1 - math.cos(math.pi * m.progress)) / 2))


def _step(values: Values, m: ScheduleContext) -> float:
    return float(next(v for t, v in reversed(values) if m.progress >= t))


def _triangle(values: Values, m: ScheduleContext) -> float:
    return float(_between(values, 1 - abs(2 * m.progress - 1)))


def _cyclic(values: Values, m: ScheduleContext) -> float:
    return _triangle(values, ScheduleContext(m.progress * values[2] % 1.0))


def _per_layer(values: Values, m: ScheduleContext) -> float:
    return float(_between(values, m.layer / (m.n_layers - 1) if m.n_layers > 1 else 0.0))


def _plateau(values: Values, m: ScheduleContext) -> float:
    return float(_between(values, min(m.stalls / values[2], 1.0)))


_FORMULAS: dict[str, tuple[int, Callable[[Values, ScheduleContext], float]]] = {
    "linear": (2, _linear),
    "cosine": (2, _cosine),
    "step": (0, _step),
    "triangle": (2, _triangle),
    "cyclic": (3, _cyclic),
    "per_layer": (2, _per_layer),
    "plateau": (3, _plateau),
}
"""By name: how many numbers the schedule takes (0 for `step`, which takes pairs), and its formula."""
_SAMPLED = ("sample", "sample_per_example")
SCHEDULES = (*_FORMULAS, *_SAMPLED)
"""Names of all schedules."""
_REVERSED_BY_SWAPPING = ("linear", "cosine")
"""Schedules whose reverse is the same formula with the two values swapped."""
_AVERAGED_OVER = 10_000
"""Number of equally spaced points of training over which `Schedule.average` takes the mean."""


@dataclass(frozen=True)
class Schedule:
    """One option's value over training; the module docstring has the table of schedules."""

    name: str
    values: Values
    """The numbers as in the experiment file; pairs `(progress, value)` for `step`."""
    integral: bool = False
    """Whether the option is a whole number. Values are then rounded to the nearest integer, halves up;
    sampled values are uniform over the whole numbers in the range."""

    def value_at(self, context: ScheduleContext) -> float | int | Tensor:
        """Return the value in `context`: a number, or a tensor with one value per example.

        A tensor only for `sample_per_example` with `context.each` given.
        """
        if self.name in _SAMPLED:
            return self._sampled(context.draw if self.name == "sample" else context.each)
        return self._rounded(_FORMULAS[self.name][1](self.values, context))

    def _sampled(self, uniform: float | Tensor | None) -> float | int | Tensor:
        if uniform is None:
            return self._rounded(_between(self.values, 0.5))
        if not self.integral:
            between: float | Tensor = _between(self.values, uniform)
            return between
        low, high = sorted(self.values)
        drawn = low + uniform * (high - low + 1)
        return drawn.floor().long() if isinstance(drawn, Tensor) else math.floor(drawn)

    def _rounded(self, value: float) -> float | int:
        return math.floor(value + 0.5) if self.integral else float(value)

    @property
    def is_per_example(self) -> bool:
        """Whether the schedule has one value per example."""
        return self.name == "sample_per_example"

    @property
    def moves_in_time(self) -> bool:
        """Whether the value changes over training in a way that is known before training."""
        return self.name not in (*_SAMPLED, "per_layer", "plateau")

    def average(self, stop: float = 1.0) -> float | int | None:
        """Return the mean value over training, rounded for whole numbers; None if not known before training.

        It is the constant that a control arm uses: the same average strength without a change over time.

        Args:
            stop: the share of training, in [0, 1], after which the value stays constant.
        """
        if self.name in _SAMPLED:
            return self._rounded(_between(self.values, 0.5)) if stop == 1 else None
        if not self.moves_in_time:
            return None
        moments = (ScheduleContext(min((i + 0.5) / _AVERAGED_OVER, stop)) for i in range(_AVERAGED_OVER))
        mean = sum(float(self.value_at(m)) for m in moments) / _AVERAGED_OVER
        return self._rounded(mean) if self.integral else round(mean, 6)

    def reversed(self) -> Schedule | None:
        """Return the schedule in reverse order of time; None where it is the same schedule or undefined."""
        if self.name in _REVERSED_BY_SWAPPING:
            return None if self.values[0] == self.values[1] else replace(self, values=self.values[::-1])
        if self.name != "step" or len(self.values) < 2:
            return None
        ends = [t for t, _ in self.values[1:]] + [1.0]
        backwards = ((round(1 - end, 6), value) for end, (_, value) in zip(ends, self.values, strict=True))
        # A stage that begins at progress 1 has length 0, so it has no reversed stage.
        stages = sorted((t, v) for t, v in backwards if t < 1)
        return replace(self, values=tuple(stages))

    def range(self) -> list[float | int]:
        """Return the listed values; every value of the schedule lies between the least and the greatest."""
        if self.name == "step":
            return [v for _, v in self.values]
        return list(self.values[:2])

    def dump(self) -> dict[str, Any]:
        """Return the schedule as plain data, as in the experiment file."""
        return {self.name: [list(v) if isinstance(v, tuple) else v for v in self.values]}


def least_value(value: Any) -> float | int:
    """Return the least value that an option takes during training: itself, or the least of its schedule."""
    return min(value.range()) if isinstance(value, Schedule) else value


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


def parse_schedule(value: dict[Any, Any], *, integral: bool) -> Schedule:
    """Return the schedule for a mapping from the experiment file.

    Raises:
        ValueError: the name is unknown, or the numbers do not fit the schedule.
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
    count = 2 if name in _SAMPLED else _FORMULAS[name][0]
    if len(values) != count or not all(map(_is_number, values)):
        raise ValueError(f"{name} takes {count} finite numbers, got {values!r}")
    if name == "cyclic" and values[2] <= 0:
        raise ValueError(f"cyclic takes a positive number of cycles, got {values[2]!r}")
    if name == "plateau" and (values[2] < 1 or not float(values[2]).is_integer()):
        raise ValueError(f"plateau takes a whole number of steps, at least 1, got {values[2]!r}")
    return Schedule(name, tuple(values), integral)


def _validator(
    integral: bool, low: float | None, high: float | None, per_example: bool
) -> Callable[[Any], Any]:
    what = "a whole number" if integral else "a finite number"

    def check(value: Any) -> None:
        if not _is_number(value) or (integral and not float(value).is_integer()):
            raise ValueError(f"must be {what} or a schedule, got {value!r}")
        if low is not None and value < low:
            raise ValueError(f"must be at least {low:g}, got {value!r}")
        if high is not None and value > high:
            raise ValueError(f"must be at most {high:g}, got {value!r}")

    def validate(value: Any) -> Any:
        schedule = parse_schedule(value, integral=integral) if isinstance(value, dict) else value
        if isinstance(schedule, Schedule):
            if schedule.is_per_example and not per_example:
                raise ValueError(
                    "cannot differ between examples; use sample, which draws one value for a step"
                )
            for number in schedule.range():
                check(number)
            return schedule
        check(value)
        return int(value) if integral else float(value)

    return validate


def scheduled(
    integral: bool, low: float | None = None, high: float | None = None, *, per_example: bool = False
) -> Any:
    """Return the pydantic type of a number in [low, high] or a schedule of such numbers.

    Args:
        integral: whether only whole numbers are allowed.
        per_example: whether `sample_per_example` is allowed; the value is then a number or a tensor
            `[batch]`.
    """
    schema: dict[str, Any] = {"type": "integer" if integral else "number"}
    schema |= {"minimum": low} if low is not None else {}
    schema |= {"maximum": high} if high is not None else {}
    either = {"anyOf": [schema, {"type": "object", "minProperties": 1, "maxProperties": 1}]}
    return Annotated[
        Any,
        PlainValidator(_validator(integral, low, high, per_example)),
        PlainSerializer(lambda value: value.dump() if isinstance(value, Schedule) else value),
        WithJsonSchema(either),
    ]


Ratio: TypeAlias = scheduled(False, 0.0, 1.0)  # type: ignore[valid-type]
"""A share in [0, 1], or a schedule of shares."""
RatioEach: TypeAlias = scheduled(False, 0.0, 1.0, per_example=True)  # type: ignore[valid-type]
"""A share in [0, 1], or a schedule of shares; `sample_per_example` allowed."""
Radius: TypeAlias = scheduled(True, 0.0)  # type: ignore[valid-type]
"""A distance in positions, at least 0, or a schedule of distances."""
Count: TypeAlias = scheduled(True, 1.0)  # type: ignore[valid-type]
"""A count, at least 1, or a schedule of counts."""
CountEach: TypeAlias = scheduled(True, 1.0, per_example=True)  # type: ignore[valid-type]
"""A count, at least 1, or a schedule of counts; `sample_per_example` allowed."""
CountFromZero: TypeAlias = scheduled(True, 0.0)  # type: ignore[valid-type]
"""A count of things of which there may be none, at least 0, or a schedule of counts."""
Strength: TypeAlias = scheduled(False, 0.0)  # type: ignore[valid-type]
"""A factor, at least 0, or a schedule of factors."""
