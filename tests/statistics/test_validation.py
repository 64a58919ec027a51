"""Every public statistic refuses what it cannot be computed from, and says which number it is."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskbench.statistics import effect, paired, power, sequential, verdict
from maskbench.statistics.pairs import PairedRuns
from maskbench.statistics.power import Family

NAN, INF = math.nan, math.inf
FAMILY = Family(3, 0.05)
ODD = (NAN, INF, -INF)

OF_NUMBERS: dict[str, Callable[[list[float]], Any]] = {
    "sign_flip_p": paired.sign_flip_p,
    "sign_flip_interval": lambda values: paired.sign_flip_interval(values, 0.05),
    "student_interval": lambda values: paired.student_interval(values, 0.05),
    "mean_interval": lambda values: paired.mean_interval(values, 0.05),
    "exploratory_interval": lambda values: paired.exploratory_interval(values, 0.05),
    "exploratory_interval of many": lambda values: paired.exploratory_interval(values * 5, 0.05),
    "mean_and_sd": paired.mean_and_sd,
    "relative_difference": lambda values: effect.relative_difference(values, [1.0] * len(values)),
    "relative_difference to it": lambda values: effect.relative_difference([1.0] * len(values), values),
    "d_z": lambda values: effect.d_z(values, [1.0] * len(values)),
    "pairing_gain": lambda values: effect.pairing_gain(values, [1.0, 2.0, 3.0, 4.0]),
    "geometric_mean_ratio": lambda values: effect.geometric_mean_ratio(values, [0.0] * len(values)),
    "geometric_mean_ratio to it": lambda values: effect.geometric_mean_ratio([0.0] * len(values), values),
    "decide": lambda values: verdict.decide([PairedRuns(tuple(values))], 0.05, None),
    "decide with a size": lambda values: verdict.decide([PairedRuns(tuple(values))], 0.05, 0.1),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("statistic", OF_NUMBERS.values(), ids=OF_NUMBERS)
def test_a_number_that_is_none_is_refused_wherever_it_stands(
    statistic: Callable[[list[float]], Any], odd: float
) -> None:
    statistic([0.4, 0.1, -0.2, 0.3])
    for place in range(4):
        values = [0.4, 0.1, -0.2]
        values.insert(place, odd)
        with pytest.raises(ValueError, match="finite"):
            statistic(values)


@given(
    p_values=st.lists(st.floats(0, 1), max_size=6),
    odd=st.sampled_from((NAN, -0.001, 1.001, INF, -INF)),
    data=st.data(),
)
@settings(max_examples=40, deadline=None)
def test_holm_refuses_what_is_no_p_value_and_says_which(
    p_values: list[float], odd: float, data: st.DataObject
) -> None:
    assert all(q >= p for p, q in zip(p_values, paired.holm(p_values), strict=True))
    place = data.draw(st.integers(0, len(p_values)))
    with pytest.raises(ValueError, match=rf"number {place} is {odd}"):
        paired.holm([*p_values[:place], odd, *p_values[place:]])


def test_holm_of_the_ends_and_of_nothing() -> None:
    assert paired.holm([]) == []
    assert paired.holm([0.0, 1.0]) == [0.0, 1.0]


def test_a_sign_may_be_infinite_but_not_nan() -> None:
    assert sequential.strongest_evidence([INF, INF, INF]).wins == 3
    with pytest.raises(ValueError, match="number 1 is nan"):
        sequential.strongest_evidence([1.0, NAN])


OF_A_LEVEL: dict[str, Callable[[float], Any]] = {
    "sign_flip_interval": lambda alpha: paired.sign_flip_interval([0.1, 0.2, 0.3], alpha),
    "student_interval": lambda alpha: paired.student_interval([0.1, 0.2, 0.3], alpha),
    "mean_interval": lambda alpha: paired.mean_interval([0.1, 0.2, 0.3], alpha),
    "least_seeds": lambda alpha: paired.least_seeds(2, alpha),
    "least_pairs": lambda alpha: sequential.least_pairs(2, alpha),
    "is_futile": lambda alpha: sequential.is_futile(1, 1, 9, 2, alpha),
    "interval_level": lambda alpha: verdict.interval_level(2, alpha, simultaneous=True),
    "Family": lambda alpha: Family(2, alpha),
    "detectable_effect": lambda alpha: power.detectable_effect(8, alpha),
    "detectable_effect of many": lambda alpha: power.detectable_effect(80, alpha),
    "t_detectable_effect": lambda alpha: power.t_detectable_effect(8, alpha),
    "decide": lambda alpha: verdict.decide([PairedRuns((0.1, 0.2))], alpha, None),
    "decide in sequence": lambda alpha: verdict.decide([PairedRuns((0.1, 0.2))], alpha, None, "sequential"),
}


@pytest.mark.parametrize("alpha", [NAN, 0.0, 1.0, -0.05, INF])
@pytest.mark.parametrize("statistic", OF_A_LEVEL.values(), ids=OF_A_LEVEL)
def test_a_level_outside_0_and_1_is_refused(statistic: Callable[[float], Any], alpha: float) -> None:
    statistic(0.05)
    with pytest.raises(ValueError, match=r"0 and 1|alpha|level"):
        statistic(alpha)


OF_COUNTS: dict[str, tuple[Callable[..., Any], tuple[int, ...]]] = {
    "sign_test_p": (paired.sign_test_p, (3, 2)),
    "e_value": (sequential.e_value, (3, 2)),
    "win_rate": (effect.win_rate, (3, 5)),
    "smallest_p": (paired.smallest_p, (5,)),
    "least_seeds": (lambda n: paired.least_seeds(n, 0.05), (3,)),
    "least_pairs": (lambda n: sequential.least_pairs(n, 0.05), (3,)),
    "is_futile": (lambda *counts: sequential.is_futile(*counts, alpha=0.05), (3, 2, 9, 3)),
    "Family": (lambda n: Family(n, 0.05), (3,)),
    "pessimistic_factor": (power.pessimistic_factor, (3,)),
    "seeds_needed": (lambda n: power.seeds_needed(0.1, n, 0.1, FAMILY), (3,)),
    "seeds_for_equivalence": (lambda n: power.seeds_for_equivalence(0.1, n, 0.1, FAMILY), (3,)),
}
ODD_COUNTS = [
    pytest.param(statistic, (*counts[:i], odd, *counts[i + 1 :]), id=f"{name}-{i}-{odd}")
    for name, (statistic, counts) in OF_COUNTS.items()
    for i, odd in itertools.product(range(len(counts)), (-1, 2.5, NAN))
]


@pytest.mark.parametrize(("statistic", "counts"), ODD_COUNTS)
def test_a_count_that_is_none_is_refused(statistic: Callable[..., Any], counts: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="whole number"):
        statistic(*counts)


@pytest.mark.parametrize(("statistic", "counts"), OF_COUNTS.values(), ids=OF_COUNTS)
def test_the_counts_without_the_odd_one_are_fine(
    statistic: Callable[..., Any], counts: tuple[int, ...]
) -> None:
    assert statistic(*counts) is not None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: effect.win_rate(6, 5), "6 of 5"),
        (lambda: effect.batch_mean_logs([0.2, NAN]), "step time 1 .* nan"),
        (lambda: effect.batch_mean_logs([0.2, 0.1, 0.0]), r"step time 2 .* 0\.0"),
        (lambda: power.seeds_needed(NAN, 3, 0.1, FAMILY), "sd .* nan"),
        (lambda: power.seeds_needed(-0.1, 3, 0.1, FAMILY), "sd"),
        (lambda: power.seeds_needed(0.1, 3, 0.0, FAMILY), "min_effect"),
        (lambda: power.seeds_for_equivalence(0.1, 3, NAN, FAMILY), "min_effect"),
        (lambda: power.seeds_for_equivalence(0.1, 3, 0.1, Family(1, 0.5)), r"below 0\.5"),
        (lambda: verdict.decide([], 0.05, -0.1), "min_effect"),
        (lambda: verdict.decide([], 0.05, NAN), "min_effect"),
    ],
)
def test_other_numbers_out_of_range_are_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_nothing_is_refused_where_there_is_nothing() -> None:
    assert paired.mean_and_sd([]) == (None, None)
    assert paired.mean_interval([], 0.05) is None
    assert effect.batch_mean_logs([]) == []
    assert effect.win_rate(0, 0) is None
    assert verdict.decide([], 0.05, None) == []
