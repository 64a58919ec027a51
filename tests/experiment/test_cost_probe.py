"""The cost probe: whose turn it is, and what is made of the times."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy import stats

from maskbench.experiment import cost_probe
from maskbench.experiment.cost_probe import StepTimes, summarise, take_turns


class FakeClock:
    """A clock that only steps move."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def step(
        self, name: str, seconds: float | Sequence[float], order: list[tuple[str, int]]
    ) -> Callable[[int], int]:
        """Return a step that takes `seconds`, or each of them in turn."""

        def take(i: int) -> int:
            order.append((name, i))
            self.now += seconds[i % len(seconds)] if isinstance(seconds, Sequence) else seconds
            return 100 + i

        return take


ERRATIC = (0.1, 0.9, 0.2, 1.4, 0.3, 0.5, 1.1)
"""Seconds of steps of which 50 do not say what one takes."""


def test_every_arm_takes_every_step_and_the_order_rotates() -> None:
    clock, order = FakeClock(), []  # type: ignore[var-annotated]
    seconds = {"a": 0.5, "b": 0.5, "c": ERRATIC}
    times = take_turns({name: clock.step(name, own, order) for name, own in seconds.items()}, clock=clock)
    assert times is not None
    assert [name for name, _ in order[:9]] == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]
    assert [i for _, i in order[:9]] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert {name: len(seconds) for name, seconds in times.seconds.items()} == dict.fromkeys(
        "abc", cost_probe.STEPS
    )


def test_the_first_steps_are_not_counted() -> None:
    clock, order = FakeClock(), []  # type: ignore[var-annotated]
    times = take_turns({"a": clock.step("a", 0.5, order)}, clock=clock)
    assert times is not None
    assert times.tokens["a"][0] == 100 + cost_probe.DROPPED_STEPS


def test_slow_arms_end_the_probe_early_but_never_with_too_few_steps() -> None:
    clock, order = FakeClock(), []  # type: ignore[var-annotated]
    times = take_turns({"a": clock.step("a", cost_probe.SECONDS, order)}, clock=clock)
    assert times is not None
    assert len(times.seconds["a"]) == cost_probe.FEWEST_STEPS


@pytest.mark.parametrize(
    ("jitter", "steps"), [(0.0, cost_probe.LOOKS[0]), (0.07, cost_probe.LOOKS[1]), (0.4, cost_probe.STEPS)]
)
def test_a_probe_ends_at_a_look_once_every_interval_is_narrow(jitter: float, steps: int) -> None:
    clock, order = FakeClock(), []  # type: ignore[var-annotated]
    rng = np.random.default_rng(6)
    moving = (
        0.5 * np.exp(jitter * rng.standard_normal(cost_probe.DROPPED_STEPS + cost_probe.STEPS))
    ).tolist()
    arms = {
        "a": clock.step("a", 0.5, order),
        "b": clock.step("b", 0.5, order),
        "c": clock.step("c", moving, order),
    }
    times = take_turns(arms, clock=clock)
    assert times is not None
    assert {len(seconds) for seconds in times.seconds.values()} == {steps}
    gaps = np.log(np.array(times.seconds["c"]) / np.array(times.seconds["a"]))
    means = np.array([part.mean() for part in np.array_split(gaps, min(10, steps // 3))])
    half = stats.t.ppf(0.975, len(means) - 1) * stats.sem(means) if jitter else 0.0
    assert bool(np.expm1(half) <= cost_probe.PRECISION) == (steps < cost_probe.STEPS)


def test_a_probe_that_is_told_to_stop_takes_no_further_step_and_measures_nothing() -> None:
    clock, order = FakeClock(), []  # type: ignore[var-annotated]
    steps = {name: clock.step(name, 0.5, order) for name in ("a", "b")}
    assert take_turns(steps, lambda: len(order) == 13, clock) is None
    assert len(order) == 13


def test_costs_are_medians_and_ratios_geometric_means_over_the_steps() -> None:
    times = StepTimes(
        seconds={"base": [1.0, 2.0, 4.0], "slow": [1.5, 3.0, 48.0]},
        tokens={"base": [100, 100, 100], "slow": [120, 150, 150]},
    )
    cost = summarise(times, {"base": "h0", "slow": "h1"})
    # The cube root of 1.5 * 1.5 * 12.
    assert cost["relative_step_time"] == {"base": 1.0, "slow": pytest.approx(3.0)}
    assert cost["log_step_seconds"]["slow"] == pytest.approx([math.log(x) for x in (1.5, 3.0, 48.0)])
    assert cost["steps"] == 3
    assert cost["step_seconds"] == {"base": 2.0, "slow": 3.0}
    assert cost["tokens_per_second"] == {"base": 50.0, "slow": 50.0}
    assert cost["baseline"] == "base"
    assert cost["identities"] == {"base": "h0", "slow": "h1"}
