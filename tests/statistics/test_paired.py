"""The statistics against loops, against scipy.stats, and against what they promise."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from maskbench.statistics.paired import (
    EXACT_UP_TO,
    MANY_PAIRS,
    exploratory_interval,
    holm,
    least_seeds,
    mean_and_sd,
    mean_interval,
    sign_flip_interval,
    sign_flip_p,
    sign_test_p,
    smallest_p,
    student_interval,
)
from maskbench.statistics.pairs import PairedRuns
from maskbench.statistics.verdict import decide

WORKED_EXAMPLE = [0.9, 0.4, 1.1, 0.2, 0.7]

scores = st.integers(-1000, 1000).map(lambda n: n / 1000)
differences = st.lists(scores, min_size=1, max_size=9)
enough_differences = st.lists(scores, min_size=6, max_size=9)
levels = st.sampled_from([0.05, 0.1, 0.2, 0.4])


def looped_p(values: Sequence[float]) -> float:
    """Flip every sign in turn, in exact arithmetic."""
    whole = [round(v * 1000) for v in values]
    sums = [abs(sum(s * v for s, v in zip(signs, whole, strict=True))) for signs in flips(len(whole))]
    return sum(s >= abs(sum(whole)) for s in sums) / len(sums)


def flips(n: int) -> list[tuple[int, ...]]:
    return list(itertools.product((-1, 1), repeat=n))


def looped_interval(values: Sequence[float], k: int) -> tuple[float, float]:
    """Sort the means of all non-empty subsets and count k in from both ends."""
    subsets = (c for size in range(1, len(values) + 1) for c in itertools.combinations(values, size))
    means = sorted(math.fsum(subset) / len(subset) for subset in subsets)
    return means[k - 1], means[-k]


class TestTheSignFlipTest:
    def test_five_seeds_that_agree_give_two_of_32_sign_vectors(self) -> None:
        assert sign_flip_p(WORKED_EXAMPLE) == 2 / 32

    def test_eight_equal_differences_give_one_in_128(self) -> None:
        # With > in place of >= the observed sign vector would not count itself, and p would be 0.
        assert sign_flip_p([0.3] * 8) == 1 / 128

    @given(differences)
    def test_it_agrees_with_a_loop_over_all_sign_vectors(self, values: list[float]) -> None:
        assert sign_flip_p(values) == looped_p(values)

    @pytest.mark.parametrize("n", [6, 11])
    def test_it_agrees_with_scipy(self, n: int) -> None:
        values = np.random.default_rng(n).normal(0.4, 1.0, n)
        oracle = stats.permutation_test(
            (values,), np.sum, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
        )
        assert sign_flip_p(list(values)) == pytest.approx(oracle.pvalue)

    @given(differences, st.randoms(use_true_random=False))
    def test_neither_the_order_of_seeds_nor_of_arms_matters(
        self, values: list[float], random: object
    ) -> None:
        shuffled = list(values)
        random.shuffle(shuffled)  # type: ignore[attr-defined]
        assert sign_flip_p(shuffled) == sign_flip_p(values) == sign_flip_p([-v for v in values])

    @given(differences, st.sampled_from([1e-6, 0.1, 3.0, 1e6]))
    def test_the_unit_does_not_matter(self, values: list[float], factor: float) -> None:
        assert sign_flip_p([v * factor for v in values]) == sign_flip_p(values)

    @given(differences)
    def test_no_p_is_below_the_smallest_one_promised(self, values: list[float]) -> None:
        assert smallest_p(len(values)) <= sign_flip_p(values) <= 1

    def test_sums_that_differ_by_rounding_only_are_ties(self) -> None:
        # 0.1 + 0.2 - 0.3 is 5.6e-17, not 0.
        assert sign_flip_p([0.1, 0.2, -0.3]) == 1

    def test_more_pairs_than_can_be_enumerated_are_sampled_the_same_way_every_time(self) -> None:
        values = list(np.random.default_rng(3).normal(0.4, 1.0, EXACT_UP_TO + 5))
        assert sign_flip_p(values) == sign_flip_p(values[::-1]) == sign_flip_p([-v for v in values])

    def test_sampled_sign_vectors_give_nearly_what_a_t_test_gives(self) -> None:
        values = list(np.random.default_rng(5).normal(0.2, 1.0, 150))
        assert sign_flip_p(values) == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.01)

    def test_sampled_p_is_never_zero(self) -> None:
        assert sign_flip_p([1.0] * 40) == 1 / 100_001

    @pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
    def test_what_is_no_difference_is_refused(self, values: list[float]) -> None:
        with pytest.raises(ValueError, match="finite"):
            sign_flip_p(values)


class TestTheInterval:
    @pytest.mark.parametrize(("n", "k"), [(6, 1), (7, 3), (8, 6), (10, 25), (12, 102)])
    def test_its_limits_are_the_kth_subset_means(self, n: int, k: int) -> None:
        values = list(np.random.default_rng(n).normal(0.2, 1.0, n))
        found = sign_flip_interval(values, 0.05)
        assert found is not None
        assert (found.low, found.high) == pytest.approx(looped_interval(values, k))

    @given(st.lists(scores, min_size=6, max_size=8), levels)
    def test_it_excludes_zero_exactly_if_the_test_rejects(self, values: list[float], alpha: float) -> None:
        found = sign_flip_interval(values, alpha)
        assert found is not None
        assert (found.low > 0 or found.high < 0) == (sign_flip_p(values) <= alpha)

    def test_that_holds_for_sampled_sign_vectors_too(self) -> None:
        rng = np.random.default_rng(11)
        for shift in (0.3, 0.35, 0.4, 0.45, 0.5):
            values = list(rng.normal(shift, 1.0, EXACT_UP_TO + 3))
            found = sign_flip_interval(values, 0.05)
            assert found is not None
            assert (found.low > 0 or found.high < 0) == (sign_flip_p(values) <= 0.05)

    @given(enough_differences)
    def test_a_wider_level_nests_inside(self, values: list[float]) -> None:
        outer, inner = sign_flip_interval(values, 0.05), sign_flip_interval(values, 0.2)
        assert outer is not None and inner is not None
        assert outer.low <= inner.low <= inner.high <= outer.high

    @given(enough_differences)
    def test_turning_the_signs_mirrors_it(self, values: list[float]) -> None:
        found, mirrored = sign_flip_interval(values, 0.05), sign_flip_interval([-v for v in values], 0.05)
        assert found is not None and mirrored is not None
        assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low), abs=1e-12)

    @given(enough_differences, scores)
    def test_shifting_all_differences_shifts_it(self, values: list[float], shift: float) -> None:
        found, moved = sign_flip_interval(values, 0.05), sign_flip_interval([v + shift for v in values], 0.05)
        assert found is not None and moved is not None
        assert (moved.low, moved.high) == pytest.approx((found.low + shift, found.high + shift), abs=1e-9)

    @pytest.mark.parametrize(("n", "coverage"), [(6, 0.969), (7, 0.953), (8, 0.953), (10, 0.951)])
    def test_it_covers_the_truth_as_often_as_computed(self, n: int, coverage: float) -> None:
        rng, n_sets = np.random.default_rng(n), 1500
        found = [sign_flip_interval(list(rng.normal(0.0, 1.0, n)), 0.05) for _ in range(n_sets)]
        covered = sum(i is not None and i.low <= 0 <= i.high for i in found) / n_sets
        assert covered == pytest.approx(coverage, abs=4 * math.sqrt(coverage * (1 - coverage) / n_sets))

    @pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
    def test_fewer_than_six_pairs_have_no_95_percent_interval(self, n: int) -> None:
        assert sign_flip_interval([0.1] * n, 0.05) is None

    def test_the_worked_example_falls_back_to_student(self) -> None:
        found = mean_interval(WORKED_EXAMPLE, 0.05)
        assert found is not None
        assert (found.method, round(found.low, 2), round(found.high, 2)) == ("t", 0.21, 1.11)

    def test_student_agrees_with_scipy(self) -> None:
        found = student_interval(WORKED_EXAMPLE, 0.1)
        low, high = stats.ttest_1samp(WORKED_EXAMPLE, 0).confidence_interval(0.9)
        assert found is not None
        assert (found.low, found.high) == pytest.approx((low, high))

    @pytest.mark.parametrize("n", [0, 1, 2])
    def test_two_pairs_have_no_interval_at_all(self, n: int) -> None:
        assert mean_interval([0.1] * n, 0.05) is None

    def test_six_pairs_use_the_test(self) -> None:
        found = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 0.05)
        assert found is not None
        assert (found.low, found.high, found.method) == (1.0, 6.0, "test")


class TestIntervalsOfMetricsWithoutAVerdict:
    @pytest.mark.parametrize("n", [0, 2, 4, 7, MANY_PAIRS - 1])
    def test_few_pairs_get_the_same_as_the_compared_metric(self, n: int) -> None:
        values = list(np.random.default_rng(n).normal(0.2, 1.0, n))
        assert exploratory_interval(values, 0.05) == mean_interval(values, 0.05)

    @pytest.mark.parametrize("n", [MANY_PAIRS, 16])
    def test_many_pairs_get_students_which_is_hardly_different_by_then(self, n: int) -> None:
        values = list(np.random.default_rng(n).normal(0.2, 1.0, n))
        found, exact = exploratory_interval(values, 0.05), mean_interval(values, 0.05)
        assert found is not None and exact is not None
        assert (found.method, exact.method) == ("t", "test")
        assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=0.08)


class TestTheFamily:
    """How the raw p-values and the corrected ones move when scores and arms do."""

    family = st.lists(st.lists(scores, min_size=7, max_size=7), min_size=1, max_size=3)

    @given(family, st.lists(scores, min_size=7, max_size=7))
    def test_another_arm_leaves_raw_p_alone_and_lowers_no_corrected_one(
        self, arms: list[list[float]], more: list[float]
    ) -> None:
        few, many = ([PairedRuns(tuple(arm)) for arm in found] for found in (arms, [*arms, more]))
        for one, other in zip(decide(few, 0.05, None), decide(many, 0.05, None), strict=False):
            assert one.p == other.p
            assert one.p_holm is None or (other.p_holm is not None and one.p_holm <= other.p_holm)

    @given(family)
    def test_turning_arm_and_baseline_turns_verdicts_and_nothing_else(self, arms: list[list[float]]) -> None:
        turned = {"better": "worse", "worse": "better"}
        for rule in ("fixed", "sequential"):
            there = decide([PairedRuns(tuple(arm)) for arm in arms], 0.05, None, rule)
            back = decide([PairedRuns(tuple(-d for d in arm)) for arm in arms], 0.05, None, rule)
            assert [turned.get(d.verdict, d.verdict) for d in there] == [d.verdict for d in back]
            assert [d.p_holm for d in there] == [d.p_holm for d in back]


class TestHolm:
    p_values = st.lists(st.floats(0, 1), min_size=1, max_size=7)

    @given(p_values)
    def test_it_agrees_with_the_definition(self, values: list[float]) -> None:
        m, ordered = len(values), sorted(values)
        steps = [min(1.0, (m - i) * p) for i, p in enumerate(ordered)]
        expected = [max(steps[: ordered.index(p) + 1]) for p in values]
        tied = [max(steps[: m - ordered[::-1].index(p)]) for p in values]
        assert all(a <= found <= b for found, a, b in zip(holm(values), expected, tied, strict=True))

    @given(p_values)
    def test_it_keeps_the_order_and_lowers_nothing(self, values: list[float]) -> None:
        adjusted = holm(values)
        assert all(q >= p for p, q in zip(values, adjusted, strict=True))
        pairs = itertools.product(zip(values, adjusted, strict=True), repeat=2)
        assert all(q1 <= q2 for (p1, q1), (p2, q2) in pairs if p1 < p2)

    @given(p_values, st.floats(0, 1))
    def test_another_arm_never_lowers_the_p_of_the_rest(self, values: list[float], more: float) -> None:
        longer = holm([*values, more])[:-1]
        assert all(b >= a for a, b in zip(holm(values), longer, strict=True))

    @pytest.mark.parametrize("m", [1, 2, 3, 5, 9])
    def test_it_agrees_with_statsmodels(self, m: int) -> None:
        values = list(np.random.default_rng(m).uniform(0, 0.4, m))
        assert holm(values) == pytest.approx(list(multipletests(values, method="holm")[1]))

    def test_one_arm_needs_no_correction(self) -> None:
        assert holm([0.03]) == [0.03]


class TestTheFloor:
    @pytest.mark.parametrize(
        ("n_arms", "seeds"), [(1, 6), (2, 7), (3, 7), (4, 8), (6, 8), (7, 9), (12, 9), (13, 10)]
    )
    def test_least_seeds_at_five_percent(self, n_arms: int, seeds: int) -> None:
        assert least_seeds(n_arms, 0.05) == seeds

    @given(st.integers(1, 40), levels)
    def test_the_least_seeds_reach_alpha_and_one_fewer_do_not(self, n_arms: int, alpha: float) -> None:
        seeds = least_seeds(n_arms, alpha)
        reached = [holm([smallest_p(n)] * n_arms)[0] <= alpha for n in (seeds - 1, seeds)]
        assert reached == [False, True]


@given(st.integers(0, 30), st.integers(0, 30))
def test_the_sign_test_agrees_with_scipy(wins: int, losses: int) -> None:
    expected = stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert sign_test_p(wins, losses) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "mean", "sd"),
    [([], None, None), ([0.3], 0.3, None), ([0.1] * 3, 0.1, 0.0), ([1, 3], 2, 2**0.5)],
)
def test_mean_and_sd_say_nothing_without_data(
    values: list[float], mean: float | None, sd: float | None
) -> None:
    assert mean_and_sd(values) == (mean, sd)
