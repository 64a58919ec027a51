"""Evidence that may be looked at after every seed: its values, its promise, and the verdicts made of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from maskbench.statistics.pairs import PairedRuns
from maskbench.statistics.sequential import e_value, is_futile, least_pairs, strongest_evidence
from maskbench.statistics.verdict import Decision, decide

GAINS = (0.021, 0.019, 0.022, 0.02, 0.018, 0.023, 0.02, 0.021, 0.02, 0.019, 0.021)
counts = st.integers(0, 40)
differences = st.lists(st.sampled_from([-0.5, -0.1, 0.0, 0.2, 0.9]), max_size=25)


def anytime_p(differences_in_seed_order: Sequence[float]) -> float:
    return strongest_evidence(differences_in_seed_order).p


def ordered(pairs: PairedRuns, limit: int | None = 20, arms: int = 1) -> Decision:
    """Decide one arm under the sequential rule, among arms that show nothing."""
    idle = PairedRuns((0.1, -0.1))
    return decide([pairs, *[idle] * (arms - 1)], 0.05, None, "sequential", limit=limit)[0]


class TestTheEvidence:
    @pytest.mark.parametrize(
        ("wins", "losses", "expected"),
        [(0, 0, 1), (1, 0, 1), (8, 0, 256 / 9), (7, 0, 16), (1, 1, 2 / 3), (11, 1, 4096 / 156)],
    )
    def test_worked_values(self, wins: int, losses: int, expected: float) -> None:
        assert e_value(wins, losses) == pytest.approx(expected)

    @given(st.integers(0, 12), st.integers(0, 12))
    def test_it_is_the_likelihood_mixed_over_all_winning_chances(self, wins: int, losses: int) -> None:
        mixed, _ = integrate.quad(lambda q: (2 * q) ** wins * (2 * (1 - q)) ** losses, 0, 1)
        assert e_value(wins, losses) == pytest.approx(mixed)

    @given(counts, counts)
    def test_sides_are_alike(self, wins: int, losses: int) -> None:
        assert e_value(wins, losses) == e_value(losses, wins)

    @given(counts, counts)
    def test_a_fair_toss_neither_adds_nor_takes(self, wins: int, losses: int) -> None:
        expected = (e_value(wins + 1, losses) + e_value(wins, losses + 1)) / 2
        assert expected == pytest.approx(e_value(wins, losses))

    def test_many_pairs_fit_into_a_float(self) -> None:
        assert e_value(400, 400) == pytest.approx(math.sqrt(math.pi * 400) / 801, rel=1e-3)
        assert math.isfinite(e_value(2000, 0))

    @pytest.mark.parametrize("n", [3, 8, 12])
    def test_no_more_than_one_sequence_in_twenty_ever_reaches_twenty(self, n: int) -> None:
        sequences = itertools.product((-1, 1), repeat=n)
        assert sum(anytime_p(s) <= 0.05 for s in sequences) / 2**n <= 0.05


class TestLookingAtAnyTime:
    @given(differences)
    def test_p_is_one_over_the_largest_evidence_of_any_look(self, values: list[float]) -> None:
        looks = [values[:n] for n in range(len(values) + 1)]
        largest = max(e_value(sum(v > 0 for v in look), sum(v < 0 for v in look)) for look in looks)
        assert anytime_p(values) == pytest.approx(1 / largest)

    @given(differences, differences)
    def test_what_was_shown_stays_shown(self, before: list[float], after: list[float]) -> None:
        assert anytime_p(before + after) <= anytime_p(before) <= 1

    @given(differences)
    def test_only_sides_count_and_they_are_alike(self, values: list[float]) -> None:
        signs = [math.copysign(math.inf, v) if v else 0.0 for v in values]
        assert anytime_p(signs) == anytime_p(values) == anytime_p([-v for v in values])

    @given(differences)
    def test_ties_leave_no_trace(self, values: list[float]) -> None:
        assert anytime_p(values) == anytime_p([v for v in values if v])

    def test_it_remembers_for_whom_the_evidence_spoke(self) -> None:
        found = strongest_evidence([1.0] * 8 + [-1.0] * 3)
        assert (found.wins, found.losses, found.e_value) == (8, 0, pytest.approx(256 / 9))


class TestGivingUp:
    @pytest.mark.parametrize(
        ("wins", "losses", "limit", "n_arms", "futile"),
        [
            (7, 0, 8, 1, False),
            (6, 1, 8, 1, True),
            (0, 7, 8, 1, False),
            (7, 0, 8, 2, True),
            (0, 0, 7, 1, True),
        ],
    )
    def test_worked_cases(self, wins: int, losses: int, limit: int, n_arms: int, futile: bool) -> None:
        assert is_futile(wins, losses, limit, n_arms, 0.05) == futile

    @given(st.integers(0, 7), st.integers(0, 7), st.integers(0, 6), st.sampled_from([1, 3]))
    def test_nobody_is_given_up_who_could_still_be_decided(
        self, wins: int, losses: int, left: int, n_arms: int
    ) -> None:
        threshold = n_arms / 0.05
        futures = itertools.product((-1, 1), repeat=left)
        ends = [e_value(wins + f.count(1), losses + f.count(-1)) for f in futures]
        assert is_futile(wins, losses, wins + losses + left, n_arms, 0.05) == (max(ends) < threshold)

    @pytest.mark.parametrize(("n_arms", "least"), [(1, 8), (2, 9), (3, 10)])
    def test_the_fewest_pairs_that_can_decide(self, n_arms: int, least: int) -> None:
        assert least_pairs(n_arms, 0.05) == least


class TestVerdicts:
    @pytest.mark.parametrize(
        ("values", "arms", "verdict"),
        [
            (GAINS[:8], 1, "better"),
            ([-v for v in GAINS[:8]], 1, "worse"),
            (GAINS[:7], 1, "not testable"),
            (GAINS[:9], 3, "not testable"),
            (GAINS[:10], 3, "better"),
            ((*GAINS[:7], -0.1), 1, "inconclusive"),
            ((-0.1, *GAINS[:10]), 1, "inconclusive"),
            ((-0.1, *GAINS[:11]), 1, "better"),
            ((*GAINS[:8], -9.0, -9.0, -9.0), 1, "better"),
            ((0.0, *GAINS[:8]), 1, "better"),
            ((0.0,) * 9, 1, "tied"),
        ],
    )
    def test_which_is_given(self, values: Sequence[float], arms: int, verdict: str) -> None:
        assert ordered(PairedRuns(tuple(values)), arms=arms).verdict == verdict

    def test_holm_lets_the_second_of_two_pass_more_easily(self) -> None:
        first, second = decide([PairedRuns(GAINS[:9]), PairedRuns(GAINS[:8])], 0.05, None, "sequential")
        assert (first.verdict, second.verdict) == ("better", "better")
        assert (first.p_holm, second.p_holm) == (pytest.approx(2 * 10 / 512), pytest.approx(2 * 10 / 512))
        third = decide([PairedRuns(GAINS[:9]), PairedRuns(GAINS[:7])], 0.05, None, "sequential")[1]
        assert (
            third.notes[0]
            == "all 7 of 7 seeds better, but 7 seeds cannot reach p <= 0.05: run at least 1 more"
        )
        alone = decide([PairedRuns(GAINS[:8]), PairedRuns(GAINS[:8])], 0.05, None, "sequential")
        assert {d.verdict for d in alone} == {"not testable"}

    def test_arms_closed_early_hold_nobody_up(self) -> None:
        closed, going = decide(
            [PairedRuns(GAINS[:9], waiting=11), PairedRuns(GAINS)], 0.05, None, "sequential", limit=20
        )
        assert (closed.verdict, going.verdict) == ("better", "better")

    def test_seeds_that_an_arm_no_longer_needs_are_not_missed(self) -> None:
        assert ordered(PairedRuns((0.0,) * 3, identical=True, waiting=17)).verdict == "identical"
        assert ordered(PairedRuns(GAINS[:8], lost=4, waiting=20)).verdict == "unusable"

    def test_p_and_evidence_are_of_the_best_look(self) -> None:
        found = ordered(PairedRuns((*GAINS[:8], -0.1)))
        assert (found.e_value, found.p) == (pytest.approx(256 / 9), pytest.approx(9 / 256))

    def test_an_estimate_after_stopping_says_so(self) -> None:
        assert ordered(PairedRuns(GAINS[:8])).notes == ("estimated after optional stopping",)
        assert ordered(PairedRuns(GAINS[:8])).interval is not None

    def test_small_differences_are_never_equivalent(self) -> None:
        tiny = PairedRuns((0.001, -0.002, 0.001, -0.001, 0.002, -0.001, 0.001, -0.002))
        assert decide([tiny], 0.05, 0.5)[0].verdict == "equivalent"
        assert decide([tiny], 0.05, 0.5, "sequential")[0].verdict == "inconclusive"

    def test_a_diverged_run_is_a_loss_where_it_stands(self) -> None:
        late = PairedRuns(GAINS[:8], arm_diverged=1, sides=(*GAINS[:8], -math.inf))
        early = PairedRuns(GAINS[:8], arm_diverged=1, sides=(-math.inf, *GAINS[:8]))
        assert (ordered(late).verdict, ordered(early).verdict) == ("better", "inconclusive")
        assert "1 run diverged and counts as lost" in ordered(early).notes
        assert ordered(early).interval is None

    def test_pairs_behind_one_that_is_waiting_are_not_looked_at_yet(self) -> None:
        assert ordered(PairedRuns(GAINS[:8], waiting=1, sides=GAINS[:3])).p == 0.5

    def test_too_many_lost_runs_are_unusable_under_any_rule(self) -> None:
        assert ordered(PairedRuns(GAINS[:8], lost=4)).verdict == "unusable"

    @pytest.mark.parametrize(
        ("values", "limit", "note"),
        [
            (GAINS[:5], 20, "all 5 of 5 seeds better, but 5 seeds cannot reach p <= 0.05: run at least 3 more"),
            ((-0.1, *GAINS[:8]), 9, "not decided within the limit of 9 seeds"),
            ((-0.1, *GAINS[:8]), 20, "not decided after 9 of at most 20 seeds"),
            ((-0.1, *GAINS[:8]), 11, "given up after 9 seeds: winning or losing all up to 11 would not decide it"),
            ((-0.1, *GAINS[:8]), None, "not decided after 9 seeds"),
            ((0.0, 0.0, -0.1, *GAINS[:8]), 13, "given up after 11 seeds: winning or losing all up to 13 would not decide it"),
            (GAINS[:5], 5, "not decided within the limit of 5 seeds"),
        ],
    )  # fmt: skip
    def test_what_is_said_of_the_undecided(
        self, values: Sequence[float], limit: int | None, note: str
    ) -> None:
        assert ordered(PairedRuns(tuple(values)), limit=limit).notes[0] == note
