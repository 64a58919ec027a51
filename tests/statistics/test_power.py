"""How many seeds it takes, and what given seeds can show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestPower

from maskbench.statistics.paired import sign_flip_p
from maskbench.statistics.power import (
    Family,
    SeedRange,
    detectable_effect,
    pessimistic_factor,
    seeds_for_equivalence,
    seeds_needed,
    t_detectable_effect,
)


def looped_for_sight(ratio: float, level: float) -> int:
    """Try every number of seeds that can reach the level."""
    n = 2
    while 0.5 ** (n - 1) > level or detectable_effect(n, level) > 1 / ratio:
        n += 1
    return n


def looped_seeds(ratio: float, level: float, power: float = 0.8) -> int:
    """Try every number of seeds from two on."""
    n = np.arange(2, 2000)
    needed = (stats.t.ppf(1 - level / 2, n - 1) + stats.t.ppf(power, n - 1)) ** 2 * ratio**2
    return int(n[n >= needed][0])


class TestSeedsNeeded:
    def test_the_worked_example_takes_seven_to_thirteen_seeds(self) -> None:
        assert seeds_needed(0.365, 5, 0.5, Family(1, 0.05)) == SeedRange(7, 13)

    @settings(max_examples=20, deadline=None)
    @given(st.floats(0.1, 3.0), st.integers(1, 6))
    def test_it_agrees_with_a_search_from_below(self, ratio: float, n_arms: int) -> None:
        found = seeds_needed(ratio, 8, 1.0, Family(n_arms, 0.05)).low
        assert found == looped_for_sight(ratio, 0.05 / n_arms)

    def test_what_a_t_test_would_see_with_six_seeds_takes_seven(self) -> None:
        # At 0.05 all six pairs must agree, which is rarer than what a t-test asks.
        assert seeds_needed(0.7, 8, 1.0, Family(1, 0.05)).low == 7
        assert t_detectable_effect(6, 0.05) < 1 / 0.69 < detectable_effect(6, 0.05)

    @pytest.mark.parametrize(("n_pairs", "factor"), [(3, 2.12), (5, 1.56), (8, 1.35), (12, 1.25)])
    def test_the_upper_end_takes_the_upper_limit_of_the_spread(self, n_pairs: int, factor: float) -> None:
        family = Family(1, 0.05)
        pessimist = seeds_needed(4.0, n_pairs, 1.0, family).high
        assert pessimist == pytest.approx(seeds_needed(4.0 * factor, n_pairs, 1.0, family).low, rel=0.02)

    def test_no_spread_still_takes_as_many_seeds_as_the_test(self) -> None:
        assert seeds_needed(0.0, 8, 0.01, Family(4, 0.05)) == SeedRange(8, 8)


class TestSeedsForEquivalence:
    @given(st.floats(0.4, 8.0))
    def test_both_one_sided_tests_have_to_succeed(self, ratio: float) -> None:
        # Power 0.9 of each of the two is 0.8 of both; the interval behind them is the one at twice the arm's share,
        # rounded down to what so many pairs reach.
        found = seeds_for_equivalence(ratio, 8, 1.0, Family(3, 0.05)).low
        smooth = max(7, looped_seeds(ratio, 0.1 / 3, 0.9))
        assert smooth <= found <= smooth + 1

    @given(st.floats(1.0, 8.0))
    def test_absence_is_dearer_than_presence(self, ratio: float) -> None:
        absent, present = (
            seeds_for_equivalence(ratio, 8, 1.0, Family(1, 0.05)),
            seeds_needed(ratio, 8, 1.0, Family(1, 0.05)),
        )
        assert absent.low >= present.low and absent.high > present.high

    def test_no_spread_still_takes_as_many_seeds_as_the_test(self) -> None:
        assert seeds_for_equivalence(0.0, 8, 1.0, Family(4, 0.05)) == SeedRange(8, 8)

    def test_that_many_seeds_find_equal_arms_equal_four_times_out_of_five(self) -> None:
        rng, n_sets = np.random.default_rng(1), 2000
        seeds = seeds_for_equivalence(2.0, 8, 1.0, Family(1, 0.05)).low
        drawn = rng.normal(0, 2, (n_sets, seeds))
        limits = stats.ttest_1samp(drawn, 0, axis=1).confidence_interval(0.9)
        share = np.mean((limits.low > -1) & (limits.high < 1))
        assert share == pytest.approx(0.8, abs=0.03)


class TestTheDetectableEffect:
    def test_where_all_must_agree_it_is_the_chance_that_they_do(self) -> None:
        for n_seeds, alpha in ((6, 0.05), (7, 0.05 / 3), (8, 0.05 / 6), (9, 0.05 / 12)):
            assert stats.norm.cdf(detectable_effect(n_seeds, alpha)) ** n_seeds == pytest.approx(0.8)

    @pytest.mark.parametrize(
        ("n_seeds", "effect"),
        [(6, 1.79), (7, 1.36), (8, 1.21), (10, 1.01), (12, 0.89), (15, 0.78), (20, 0.66), (30, 0.53)],
    )
    def test_the_printed_table(self, n_seeds: int, effect: float) -> None:
        assert detectable_effect(n_seeds, 0.05) == pytest.approx(effect, abs=0.0051)

    def test_many_pairs_are_a_t_test(self) -> None:
        for n_seeds in (40, 50, 51, 60, 1000):
            assert detectable_effect(n_seeds, 0.05) == pytest.approx(t_detectable_effect(n_seeds, 0.05))

    @pytest.mark.parametrize(("n_seeds", "alpha"), [(5, 0.05), (7, 0.05 / 4), (1, 0.5), (0, 0.5)])
    def test_too_few_pairs_see_nothing(self, n_seeds: int, alpha: float) -> None:
        with pytest.raises(ValueError, match="no difference has power"):
            detectable_effect(n_seeds, alpha)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("n_seeds", "n_arms"),
        [
            (6, 1),
            (7, 1),
            (7, 2),
            (7, 3),
            (8, 1),
            (8, 3),
            (8, 4),
            (8, 6),
            (9, 12),
            (10, 1),
            (10, 12),
            (11, 12),
        ],
    )
    def test_the_sign_flip_test_has_the_promised_power(self, n_seeds: int, n_arms: int) -> None:
        effect, level = detectable_effect(n_seeds, 0.05 / n_arms), 0.05 / n_arms
        drawn = np.random.default_rng(n_seeds * 100 + n_arms).normal(effect, 1, (4000, n_seeds))
        seen = np.mean([row.sum() > 0 and sign_flip_p(tuple(row)) <= level for row in drawn])
        assert 0.78 <= seen <= 0.84


class TestTheDetectableEffectOfTheTTest:
    @pytest.mark.parametrize(
        ("n_seeds", "effect"),
        [(3, 3.26), (4, 2.13), (5, 1.68), (6, 1.43), (7, 1.27), (8, 1.16), (10, 1.00), (12, 0.89), (15, 0.78),
         (20, 0.66), (30, 0.53)],
    )  # fmt: skip
    def test_the_published_table(self, n_seeds: int, effect: float) -> None:
        assert t_detectable_effect(n_seeds, 0.05) == pytest.approx(effect, abs=0.0051)

    @given(st.integers(2, 60), st.floats(0.001, 0.3), st.floats(0.5, 0.95))
    def test_it_has_the_power_that_was_asked_for(self, n_seeds: int, alpha: float, power: float) -> None:
        effect, df = t_detectable_effect(n_seeds, alpha, power), n_seeds - 1
        assert stats.nct.sf(stats.t.ppf(1 - alpha / 2, df), df, effect * n_seeds**0.5) == pytest.approx(power)

    @pytest.mark.parametrize("n_seeds", [5, 8, 20, 64])
    @pytest.mark.parametrize("alpha", [0.05, 0.05 / 3])
    def test_it_agrees_with_statsmodels(self, n_seeds: int, alpha: float) -> None:
        oracle = TTestPower().solve_power(nobs=n_seeds, alpha=alpha, power=0.8)
        assert t_detectable_effect(n_seeds, alpha) == pytest.approx(oracle, rel=1e-4)

    @given(st.integers(2, 40))
    def test_more_seeds_see_more_and_more_arms_less(self, n_seeds: int) -> None:
        one = t_detectable_effect(n_seeds, 0.05)
        assert t_detectable_effect(n_seeds + 1, 0.05) < one < t_detectable_effect(n_seeds, 0.05 / 3)

    @pytest.mark.parametrize(
        ("n_seeds", "alpha", "power"),
        [(1, 0.05, 0.8), (0, 0.05, 0.8), (8, 0.0, 0.8), (8, 0.9, 0.8), (8, 0.05, 1.0)],
    )
    def test_what_cannot_be_asked_is_refused(self, n_seeds: int, alpha: float, power: float) -> None:
        with pytest.raises(ValueError, match="no difference has power"):
            t_detectable_effect(n_seeds, alpha, power)


@pytest.mark.parametrize(
    ("n_pairs", "factor"),
    [(3, 2.12), (4, 1.73), (5, 1.56), (6, 1.46), (7, 1.40), (8, 1.35), (10, 1.29), (12, 1.25), (15, 1.22),
     (20, 1.18), (30, 1.14)],
)  # fmt: skip
def test_the_upper_limit_of_a_spread(n_pairs: int, factor: float) -> None:
    assert pessimistic_factor(n_pairs) == pytest.approx(factor, abs=0.0051)
    below = stats.chi2.cdf((n_pairs - 1) / pessimistic_factor(n_pairs) ** 2, n_pairs - 1)
    assert below == pytest.approx(0.2)
