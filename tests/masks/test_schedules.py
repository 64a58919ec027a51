"""Schedules: closed forms, end points, and what the experiment file may not say."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from maskbench.masks.base import StrategyOptions
from maskbench.masks.schedules import Moment, Radius, Ratio, Schedule


class Example(StrategyOptions):
    ratio: Ratio = 0.5
    radius: Radius = 1


def at(value: Any, progress: float, **moment: Any) -> float:
    return float(Example(ratio=value).at(Moment(progress, **moment)).ratio)


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
    radius = Example(radius={name: [a, b]}).at(Moment(progress)).radius
    assert isinstance(radius, int)
    assert min(a, b) <= radius <= max(a, b)


def test_options_without_schedules_are_returned_as_they_are():
    options = Example(ratio=0.2)
    assert options.at(Moment(0.9)) is options


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
