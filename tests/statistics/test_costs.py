"""Ratios of step times: their mean, their interval, and what drifts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from maskbench.statistics.effect import BATCHES, STEPS_PER_BATCH, batch_mean_logs, geometric_mean_ratio

times = st.lists(st.floats(1e-4, 10.0), min_size=1, max_size=57)


@given(times)
def test_batches_are_consecutive_and_lose_no_step(seconds: list[float]) -> None:
    found = batch_mean_logs(seconds)
    n = len(seconds)
    parts = np.array_split(
        np.log(seconds), next(c for c in range(BATCHES, 0, -1) if c <= max(min(3, n), n / 3))
    )
    if n % len(parts) == 0:
        assert found == pytest.approx([part.mean() for part in parts], abs=1e-9)
    assert len(found) == len(parts)
    assert np.array_split(np.log(seconds), len(parts))[-1].size >= STEPS_PER_BATCH or n < 9


def test_without_steps_there_is_nothing() -> None:
    assert batch_mean_logs([]) == []
    assert geometric_mean_ratio((), (0.1, 0.2)) is None
    assert geometric_mean_ratio((0.1,), (0.1, 0.2)) is None


def test_the_ratio_is_a_geometric_mean_with_students_interval_on_logarithms() -> None:
    rng = np.random.default_rng(4)
    own, base = rng.lognormal(0.3, 0.1, 50), rng.lognormal(0.0, 0.1, 50)
    found = geometric_mean_ratio(batch_mean_logs(own), batch_mean_logs(base))
    gaps = np.log(own / base).reshape(10, 5).mean(axis=1)
    limits = stats.ttest_1samp(gaps, 0).confidence_interval(0.95)
    assert found is not None
    assert found.value == pytest.approx(stats.gmean(own / base))
    assert (found.low, found.high) == pytest.approx((np.exp(limits.low), np.exp(limits.high)))


@given(st.lists(st.tuples(st.floats(0.01, 1.0), st.floats(0.01, 1.0)), min_size=3, max_size=30))
def test_turned_round_it_is_the_reciprocal(pairs: list[tuple[float, float]]) -> None:
    own, base = (batch_mean_logs(column) for column in zip(*pairs, strict=True))
    there, back = geometric_mean_ratio(own, base), geometric_mean_ratio(base, own)
    assert there is not None and back is not None and back.low is not None and back.high is not None
    assert (there.value, there.low, there.high) == pytest.approx(
        (1 / back.value, 1 / back.high, 1 / back.low)
    )


def test_two_steps_give_a_ratio_without_limits() -> None:
    found = geometric_mean_ratio(batch_mean_logs([2.0, 8.0]), batch_mean_logs([1.0, 1.0]))
    assert found is not None
    assert (found.value, found.low, found.high) == (pytest.approx(4.0), None, None)


def test_what_slows_both_arms_for_a_while_leaves_no_trace() -> None:
    steady = np.full(50, 0.1)
    slowed = steady * np.repeat([1, 4, 1, 9, 1], 10)
    found = geometric_mean_ratio(batch_mean_logs(1.25 * slowed), batch_mean_logs(slowed))
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((1.25, 1.25, 1.25))


def test_intervals_hold_where_steps_drift_together_and_single_steps_would_not() -> None:
    """Step times with a disturbance of one arm that fades over a few steps: what batches are for."""
    rng, n_sets = np.random.default_rng(8), 600
    shocks = rng.normal(0, 0.1, (n_sets, 60))
    drift = np.zeros((n_sets, 60))
    for i in range(1, 60):
        drift[:, i] = 0.6 * drift[:, i - 1] + shocks[:, i]
    logs = drift[:, 10:]
    found = [geometric_mean_ratio(batch_mean_logs(np.exp(row)), [0.0] * BATCHES) for row in logs]
    covered = np.mean([r is not None and r.low is not None and r.low <= 1 <= (r.high or 0) for r in found])
    half = stats.t.ppf(0.975, 49) * logs.std(axis=1, ddof=1) / np.sqrt(50)
    naive = np.mean(np.abs(logs.mean(axis=1)) <= half)
    assert naive < 0.75 < 0.85 < covered
