"""Wins, shares, standard deviations and what pairing gave, against other people's formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from maskbench.statistics.effect import d_z, pairing_gain, relative_difference, win_rate

score = st.integers(1, 1000).map(lambda n: n / 1000)
couples = st.lists(st.tuples(score, score), min_size=3, max_size=9)

OWN, BASE = (31.9, 30.4, 32.1, 31.2, 30.7), (31.0, 30.0, 31.0, 31.0, 30.0)
"""The worked example: differences of 0.9, 0.4, 1.1, 0.2 and 0.7."""


class TestWins:
    @pytest.mark.parametrize(
        ("wins", "n", "low", "high"), [(8, 8, 0.68, 1.0), (5, 5, 0.57, 1.0), (0, 5, 0.0, 0.43)]
    )
    def test_worked_values(self, wins: int, n: int, low: float, high: float) -> None:
        found = win_rate(wins, n)
        assert found is not None
        assert (found.value, round(found.low, 2), round(found.high, 2)) == (wins / n, low, high)

    @given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
    def test_it_agrees_with_statsmodels(self, counted: tuple[int, int]) -> None:
        found = win_rate(*counted)
        assert found is not None
        assert (found.low, found.high) == pytest.approx(
            proportion_confint(*counted, method="wilson"), abs=1e-12
        )
        assert 0 <= found.low <= found.value <= found.high <= 1

    def test_without_a_pair_there_is_no_share(self) -> None:
        assert win_rate(0, 0) is None


class TestTheShareOfTheBaseline:
    def test_worked_example(self) -> None:
        assert relative_difference(OWN, BASE) == pytest.approx(0.66 / 30.6)

    def test_a_negative_baseline_does_not_turn_the_sign(self) -> None:
        assert relative_difference((-1.0, -1.0), (-2.0, -2.0)) == 0.5

    @pytest.mark.parametrize(("own", "base"), [((), ()), ((1.0,), (0.0,)), ((2.0, 3.0), (-1.0, 1.0))])
    def test_a_baseline_of_nothing_has_no_shares(
        self, own: tuple[float, ...], base: tuple[float, ...]
    ) -> None:
        assert relative_difference(own, base) is None


class TestStandardDeviations:
    def test_worked_example(self) -> None:
        # 0.66 / 0.365 = 1.81, of which five seeds exaggerate a fifth: 1 - 3 / 15 is left.
        assert d_z(OWN, BASE) == pytest.approx(0.8 * 0.66 / 0.36469, rel=1e-4)

    @given(couples)
    def test_it_is_hedges_corrected_and_changes_sides_with_the_arms(
        self, pairs: list[tuple[float, float]]
    ) -> None:
        own, base = map(np.array, zip(*pairs, strict=True))
        gaps, df = own - base, len(pairs) - 1
        found = d_z(tuple(own), tuple(base))
        if np.ptp(gaps) < 1e-9:
            return
        assert found == pytest.approx(gaps.mean() / gaps.std(ddof=1) * (1 - 3 / (4 * df - 1)), abs=1e-9)
        # Hedges' exact factor; the usual approximation is within 3 % of it from three pairs on.
        exact = math.gamma(df / 2) / math.sqrt(df / 2) / math.gamma((df - 1) / 2)
        assert found == pytest.approx(gaps.mean() / gaps.std(ddof=1) * exact, rel=0.03, abs=1e-9)
        assert d_z(tuple(base), tuple(own)) == pytest.approx(-found, abs=1e-9)

    @pytest.mark.parametrize("own", [(1.0, 3.0), (2.0,), ()])
    def test_two_pairs_say_nothing(self, own: tuple[float, ...]) -> None:
        assert d_z(own, (0.0,) * len(own)) is None

    def test_a_difference_that_never_varies_has_no_measure(self) -> None:
        assert d_z((2.0, 3.0, 4.0), (1.0, 2.0, 3.0)) is None


@given(
    st.lists(st.tuples(*[st.sampled_from([-1e300, -1e-300, 0.0, 5e-324, 0.3, 1e160, 1e300])] * 2), min_size=3)
)
def test_scores_out_of_all_bounds_give_numbers_or_nothing(pairs: list[tuple[float, float]]) -> None:
    for measure in (relative_difference, d_z, pairing_gain):
        found = measure(*zip(*pairs, strict=True))
        assert found is None or math.isfinite(found)


class TestPairing:
    def test_shared_luck_is_taken_out(self) -> None:
        assert pairing_gain((2.0, 4.0, 9.0), (1.0, 3.0, 8.0)) == 1.0

    def test_opposite_luck_does_harm(self) -> None:
        assert pairing_gain((1.0, 2.0, 3.0), (3.0, 2.0, 1.0)) == pytest.approx(-1.0)

    @given(couples)
    def test_it_is_twice_the_covariance_over_the_variances(self, pairs: list[tuple[float, float]]) -> None:
        found = pairing_gain(*zip(*pairs, strict=True))
        matrix = np.cov(np.array(pairs).T)
        if matrix.trace() > 1e-12:
            assert found == pytest.approx(2 * matrix[0, 1] / matrix.trace(), abs=1e-6)

    @pytest.mark.parametrize(("own", "base"), [((), ()), ((1.0,), (2.0,)), ((1.0, 1.0), (2.0, 2.0))])
    def test_nothing_to_gain_where_nothing_varies(
        self, own: tuple[float, ...], base: tuple[float, ...]
    ) -> None:
        assert pairing_gain(own, base) is None
