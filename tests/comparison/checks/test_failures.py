"""Runs that failed or diverged, counted and compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from maskbench.comparison.checks.failures import failure_sentences, fisher_exact_p
from maskbench.comparison.results import ArmCost, ArmResult, RunCounts

group = st.integers(0, 25).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def arm(name: str, done: int, failed: int = 0, diverged: int = 0, waiting: int = 0) -> ArmResult:
    return ArmResult(
        arm=name, title=name, values={}, mean=None, sd=None, difference=None, verdict=None, seeds_needed=None,
        unsafe=False, also_different=(), cost=ArmCost(None, None, None, None),
        counts=RunCounts(done, failed, diverged, waiting), notes=(), other_metrics={},
    )  # fmt: skip


@given(group, group)
def test_it_agrees_with_scipy(one: tuple[int, int], other: tuple[int, int]) -> None:
    (a, n), (b, m) = one, other
    assert fisher_exact_p(a, n, b, m) == pytest.approx(stats.fisher_exact([[a, n - a], [b, m - b]]).pvalue)


@given(group, group)
def test_groups_are_alike(one: tuple[int, int], other: tuple[int, int]) -> None:
    assert fisher_exact_p(*one, *other) == fisher_exact_p(*other, *one)


def test_worked_values() -> None:
    # All 4 bad runs on one side: 2 * C(8, 4) / C(16, 4) = 140 / 1820; none anywhere: nothing to tell apart.
    assert fisher_exact_p(4, 8, 0, 8) == 140 / 1820
    assert fisher_exact_p(0, 8, 0, 8) == 1.0
    assert fisher_exact_p(3, 3, 0, 0) == 1.0


def test_only_arms_with_bad_runs_are_spoken_of() -> None:
    assert failure_sentences([arm("none", 8), arm("window", 8), arm("late", 3, waiting=5)], "none") == []


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [arm("none", 8), arm("window", 6, failed=1, diverged=1), arm("fine", 8)],
            [
                "window: 1 failed and 1 diverged of 8 runs, none of the baseline's 8 diverged: 7 runs cannot tell it from chance "
                "(Fisher's exact test, p = 0.47)"
            ],
        ),
        (
            [arm("none", 7, diverged=1), arm("bad", 0, diverged=8)],
            [
                "none: 1 diverged of 8 runs",
                "bad: 8 diverged of 8 runs, 1 of the baseline's 8 diverged: more than chance explains "
                "(Fisher's exact test, p = 0.0014)",
            ],
        ),
        (
            [arm("late", 3, failed=1, waiting=4), arm("none", 5)],
            # What failed says something of the machine, so it is counted and not tested.
            ["late: 1 failed of 4 runs"],
        ),
    ],
)  # fmt: skip
def test_each_is_compared_with_the_baseline(rows: list[ArmResult], said: list[str]) -> None:
    assert failure_sentences(rows, "none") == said
