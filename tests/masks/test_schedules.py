"""Schedules: closed forms, end points, and what the experiment file may not say."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from maskbench.masks.base import StrategyOptions
from maskbench.masks.schedules import CountEach, Radius, Ratio, RatioEach, Schedule, ScheduleContext


class Example(StrategyOptions):
    ratio: Ratio = 0.5
    radius: Radius = 1


def at(value: Any, progress: float, **moment: Any) -> float:
    return float(Example(ratio=value).resolve(ScheduleContext(progress, **moment)).ratio)


@pytest.mark.parametrize(
    ("schedule", "start", "quarter", "middle", "end"),
    [
        ({"linear": [0.3, 0.1]}, 0.3, 0.25, 0.2, 0.1),
        ({"cosine": [0.3, 0.1]}, 0.3, 0.2 + 0.1 * math.sqrt(0.5), 0.2, 0.1),
        ({"step": [[0, 0.1], [0.25, 0.2], [0.6, 0.3]]}, 0.1, 0.2, 0.2, 0.3),
        ({"triangle": [0.1, 0.5]}, 0.1, 0.3, 0.5, 0.1),
        ({"cyclic": [0.0, 1.0, 2]}, 0.0, 1.0, 0.0, 0.0),
    ],
)
def test_a_schedule_takes_the_values_of_its_closed_form(schedule, start, quarter, middle, end):
    values = [at(schedule, t) for t in (0.0, 0.25, 0.5, 1.0)]
    assert values == pytest.approx([start, quarter, middle, end])


def test_a_step_schedule_changes_exactly_at_its_boundaries():
    stages = {"step": [[0, 0.1], [1 / 3, 0.2], [2 / 3, 0.3]]}
    trace = [at(stages, step / 90) for step in range(91)]
    assert [i for i in range(1, 91) if trace[i] != trace[i - 1]] == [30, 60]


def test_per_layer_runs_from_the_first_layer_to_the_last_and_ignores_time():
    values = [at({"per_layer": [0.1, 0.3]}, 0.7, layer=n, n_layers=3) for n in range(3)]
    assert values == pytest.approx([0.1, 0.2, 0.3])


def test_a_sampled_value_follows_the_draw_and_is_the_middle_in_evaluation():
    assert at({"sample": [0.2, 0.6]}, 0.0, draw=0.25) == pytest.approx(0.3)
    assert at({"sample": [0.2, 0.6]}, 0.0, draw=None) == pytest.approx(0.4)


@given(
    st.floats(0, 1), st.integers(0, 9), st.integers(0, 9), st.sampled_from(["linear", "cosine", "triangle"])
)
def test_a_count_stays_whole_and_within_its_end_points(progress, a, b, name):
    radius = Example(radius={name: [a, b]}).resolve(ScheduleContext(progress)).radius
    assert isinstance(radius, int)
    assert min(a, b) <= radius <= max(a, b)


def test_options_without_schedules_are_returned_as_they_are():
    options = Example(ratio=0.2)
    assert options.resolve(ScheduleContext(0.9)) is options


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"linera": [0.1, 0.2]}, "did you mean 'linear'"),
        ({"linear": [0.1]}, "takes 2 finite numbers"),
        ({"linear": [0.1, 1.2]}, "at most 1"),
        ({"linear": [0.1, float("nan")]}, "finite"),
        ({"linear": [0.1, 0.2], "cosine": [0, 1]}, "one name"),
        ({"step": [[0.1, 0.2]]}, "rise from 0"),
        ({"step": [[0, 0.2], [0, 0.3]]}, "rise from 0"),
        ({"step": [0, 1]}, "pairs"),
        ({"cyclic": [0, 1, 0]}, "positive number of cycles"),
        ({"linear": 0.1}, "takes a list"),
        (True, "finite number"),
        ("0.1", "finite number"),
        (-0.1, "at least 0"),
    ],
)
def test_a_wrong_schedule_is_refused_with_its_reason(value, reason):
    with pytest.raises(ValidationError, match=reason):
        Example(ratio=value)


def test_a_fraction_is_refused_where_a_count_is_asked():
    with pytest.raises(ValidationError, match="whole number"):
        Example(radius={"linear": [1, 2.5]})


def test_a_schedule_survives_dump_and_reparse():
    options = Example(ratio={"step": [[0, 0.2], [0.5, 0.4]]}, radius={"linear": [2, 8]})
    again = TypeAdapter(Example).validate_python(options.model_dump(mode="json"))
    assert again == options
    assert isinstance(again.ratio, Schedule)


class Wide(StrategyOptions):
    ratio: RatioEach = 0.5
    k: CountEach = 1


def test_a_value_for_each_example_lies_in_its_range_and_is_the_middle_in_evaluation():
    each = torch.tensor([0.0, 0.25, 0.999], dtype=torch.float64)
    options = Wide(ratio={"sample_per_example": [0.2, 0.6]}, k={"sample_per_example": [2, 5]})
    drawn, rested = options.resolve(ScheduleContext(0.0, each=each)), options.resolve(ScheduleContext(0.0))
    assert drawn.ratio.tolist() == pytest.approx([0.2, 0.3, 0.5996])
    assert drawn.k.tolist() == [2, 3, 5]
    assert (rested.ratio, rested.k) == (pytest.approx(0.4), 4)


def test_every_whole_number_of_a_drawn_count_is_equally_likely():
    options = Example(radius={"sample": [3, 1]})
    counts = Counter(options.resolve(ScheduleContext(0.0, draw=(i + 0.5) / 300)).radius for i in range(300))
    assert counts == {1: 100, 2: 100, 3: 100}


def test_a_value_for_each_example_is_refused_where_the_strategy_takes_one_for_all():
    with pytest.raises(ValidationError, match="use sample"):
        Example(ratio={"sample_per_example": [0.1, 0.2]})


def test_a_plateau_moves_one_step_at_each_stall_and_then_rests():
    values = [at({"plateau": [0.4, 0.1, 3]}, 0.9, stalls=n) for n in range(5)]
    assert values == pytest.approx([0.4, 0.3, 0.2, 0.1, 0.1])
    with pytest.raises(ValidationError, match="whole number of steps"):
        Example(ratio={"plateau": [0.4, 0.1, 0.5]})


@pytest.mark.parametrize(
    ("value", "average"),
    [
        ({"linear": [0.3, 0.1]}, 0.2),
        ({"cosine": [0.0, 0.3]}, 0.15),
        ({"step": [[0, 0.2], [0.25, 0.4]]}, 0.35),
        ({"triangle": [0.1, 0.5]}, 0.3),
        ({"cyclic": [0.0, 1.0, 4]}, 0.5),
        ({"sample": [0.1, 0.2]}, 0.15),
        ({"per_layer": [0.1, 0.2]}, None),
        ({"plateau": [0.1, 0.2, 2]}, None),
    ],
)
def test_the_average_of_a_schedule_is_its_time_average(value, average):
    found = Example(ratio=value).ratio.average()
    assert found == (None if average is None else pytest.approx(average, abs=1e-4))


def test_the_average_of_a_count_is_a_count():
    assert Example(radius={"step": [[0, 2], [0.33, 4], [0.67, 8]]}).radius.average() == 5


@given(
    st.lists(
        st.tuples(st.integers(1, 99), st.integers(0, 9)), min_size=1, max_size=4, unique_by=lambda p: p[0]
    )
)
def test_a_reversed_step_schedule_has_the_values_from_the_end_to_the_start(later):
    pairs = [[0, 7], *([t / 100, v] for t, v in sorted(later))]
    schedule = Example(radius={"step": pairs}).radius
    backwards = schedule.reversed()
    # Between the boundaries, which all lie on hundredths.
    for i in range(100):
        t = (i + 0.5) / 100
        assert backwards.value_at(ScheduleContext(t)) == schedule.value_at(ScheduleContext(1 - t))


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_a_reversed_course_is_the_course_read_backwards(name):
    schedule = Example(ratio={name: [0.1, 0.7]}).ratio
    for t in (0.0, 0.2, 0.5, 1.0):
        assert schedule.reversed().value_at(ScheduleContext(t)) == pytest.approx(
            schedule.value_at(ScheduleContext(1 - t))
        )


def test_what_reads_the_same_backwards_has_no_reverse():
    for value in (
        {"triangle": [0.1, 0.2]},
        {"sample": [0.1, 0.2]},
        {"linear": [0.1, 0.1]},
        {"step": [[0, 0.1]]},
    ):
        assert Example(ratio=value).ratio.reversed() is None
