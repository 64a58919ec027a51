"""Which verdict is given when, and what is said beside it."""

from __future__ import annotations

import numpy as np
import pytest

from maskbench.statistics import notes
from maskbench.statistics.paired import sign_flip_interval
from maskbench.statistics.pairs import PairedRuns
from maskbench.statistics.power import SeedRange
from maskbench.statistics.sequential import Rule
from maskbench.statistics.verdict import Decision, decide

CLEAR = (0.021, 0.019, 0.022, 0.02, 0.018, 0.023, 0.02, 0.021)
NOISE = (0.004, -0.006, 0.003, -0.002, 0.005, -0.004, 0.001, -0.003)
TINY = tuple(d / 10 for d in CLEAR)


def alone(pairs: PairedRuns, min_effect: float | None = None) -> Decision:
    return decide([pairs], 0.05, min_effect)[0]


def turned(differences: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(-d for d in differences)


@pytest.mark.parametrize(
    ("pairs", "min_effect", "verdict"),
    [
        (PairedRuns((0.0,) * 8, identical=True), None, "identical"),
        (PairedRuns((0.0,) * 8), None, "tied"),
        (PairedRuns(CLEAR), None, "better"),
        (PairedRuns(turned(CLEAR)), None, "worse"),
        (PairedRuns(NOISE), None, "inconclusive"),
        (PairedRuns(NOISE), 0.01, "equivalent"),
        (PairedRuns(NOISE), 0.001, "inconclusive"),
        (PairedRuns(CLEAR[:5]), None, "not testable"),
        (PairedRuns(CLEAR[:1]), None, "not testable"),
        (PairedRuns(CLEAR[:6]), None, "better"),
        (PairedRuns(CLEAR[:7], waiting=1), None, "not testable"),
        (PairedRuns(waiting=8), None, "not testable"),
        (PairedRuns(CLEAR[:6], lost=2), None, "better"),
        (PairedRuns(CLEAR[:5], lost=3), None, "unusable"),
        (PairedRuns(lost=8), None, "unusable"),
        (PairedRuns(both_diverged=8), None, "unusable"),
    ],
)
def test_verdicts(pairs: PairedRuns, min_effect: float | None, verdict: str) -> None:
    assert alone(pairs, min_effect).verdict == verdict


@pytest.mark.parametrize("rule", ["fixed", "sequential"])
@pytest.mark.parametrize("n_arms", [1, 3])
@pytest.mark.parametrize("n", range(1, 13))
def test_equal_scores_are_tied_only_with_seeds_that_could_have_decided(
    n: int, n_arms: int, rule: Rule
) -> None:
    """The oracle: a verdict of unanimous differences, with as many seeds, is more than `not testable`."""
    same, unanimous = PairedRuns((0.0,) * n), PairedRuns(tuple(0.1 + i / 100 for i in range(n)))
    others = [PairedRuns(NOISE) for _ in range(n_arms - 1)]
    could_decide = decide([unanimous, *others], 0.05, None, rule)[0].verdict == "better"
    found = decide([same, *others], 0.05, None, rule)[0]
    assert found.verdict == ("tied" if could_decide else "not testable")
    assert (found.interval, found.p, found.seeds) == (None, None, None)
    pairs = "1 pair there is so far" if n == 1 else f"{n} pairs there are so far"
    assert could_decide or any(f"tied in the {pairs}" in said for said in found.notes)
    assert could_decide or f"{n} seed{'s' * (n > 1)} cannot reach p <= 0.05" in found.notes[0]


def test_equal_bytes_are_a_fact_with_one_seed_already() -> None:
    assert alone(PairedRuns((0.0,), identical=True)).verdict == "identical"


@pytest.mark.parametrize("identical", [True, False])
def test_arms_that_never_differ_get_no_p(identical: bool) -> None:
    found = alone(PairedRuns((0.0,) * 8, identical=identical))
    assert found.interval is None
    assert (found.p, found.p_holm) == (None, None)


def test_five_unanimous_seeds_are_told_what_they_lack() -> None:
    found = alone(PairedRuns((0.9, 0.4, 1.1, 0.2, 0.7)), min_effect=0.5)
    assert (found.verdict, found.p, found.seeds) == ("not testable", 0.0625, SeedRange(7, 13))
    assert "all 5 of 5 seeds better, but 5 seeds cannot reach p <= 0.05: run at least 1 more" in found.notes
    assert any("2 to 8 more seeds" in note for note in found.notes)


def test_more_arms_need_more_seeds() -> None:
    six = [PairedRuns(CLEAR[:6])]
    assert [d.verdict for d in decide(six * 1, 0.05, None)] == ["better"]
    assert {d.verdict for d in decide(six * 2, 0.05, None)} == {"not testable"}


def test_an_interval_clear_of_zero_without_a_verdict_is_explained() -> None:
    almost = (0.02, 0.02, 0.02, 0.02, 0.02, 0.02, -0.001, 0.02)
    found = decide([PairedRuns(almost), *[PairedRuns(NOISE)] * 3], 0.05, None)[0]
    assert found.interval is not None and found.interval.low > 0
    assert found.verdict == "inconclusive"
    assert found.notes == ("clear alone, not after correction for 4 arms",)


@pytest.mark.parametrize(
    ("differences", "min_effect", "note"),
    [
        (CLEAR, 0.01, "by at least min_effect"),
        (CLEAR, 0.02, "size uncertain"),
        (TINY, 0.01, "better, but smaller than what you said matters"),
        (turned(CLEAR), 0.01, "by at least min_effect"),
        (turned(CLEAR), 0.02, "size uncertain"),
        (turned(TINY), 0.01, "worse, but smaller than what you said matters"),
    ],
)
def test_the_size_of_a_real_difference_is_judged(
    differences: tuple[float, ...], min_effect: float, note: str
) -> None:
    said = alone(PairedRuns(differences), min_effect).notes
    # Smaller than what matters rests on an interval that is not the printed one, so that one is named.
    named = " by its 90 % interval" if "smaller" in note else ""
    assert said == (f"{note}{named}",)


def test_without_a_smallest_difference_size_is_not_judged() -> None:
    assert alone(PairedRuns(CLEAR)).notes == ()


class TestDivergedRuns:
    def test_a_diverged_run_counts_as_a_loss_in_a_sign_test(self) -> None:
        found = alone(PairedRuns(CLEAR[:7], arm_diverged=1))
        assert (found.verdict, found.p) == ("inconclusive", 18 / 256)

    def test_no_interval_of_the_survivors_is_given(self) -> None:
        found = alone(PairedRuns(CLEAR[:7], arm_diverged=1), min_effect=0.01)
        assert (found.interval, found.seeds) == (None, None)
        assert "1 run diverged and counts as lost" in found.notes
        assert "decided by the sign test on wins, and no interval is given" in found.notes

    def test_an_arm_that_always_diverges_is_worse(self) -> None:
        assert alone(PairedRuns(arm_diverged=8)).verdict == "worse"

    def test_an_arm_that_trains_where_the_baseline_diverges_is_better(self) -> None:
        assert alone(PairedRuns(CLEAR[:4], baseline_diverged=4)).verdict == "better"

    def test_large_gains_do_not_outweigh_many_losses(self) -> None:
        assert alone(PairedRuns((9.0, 9.0), arm_diverged=8)).verdict != "better"

    def test_ties_leave_the_sign_test_fewer_pairs(self) -> None:
        assert alone(PairedRuns((*[0.0] * 3, *CLEAR[:4]), baseline_diverged=1)).verdict == "not testable"

    def test_a_diverged_run_is_never_equivalent(self) -> None:
        assert alone(PairedRuns(NOISE, arm_diverged=1), min_effect=0.5).verdict == "inconclusive"


def test_dropped_pairs_are_always_mentioned() -> None:
    for pairs in (
        PairedRuns(CLEAR[:6], lost=2),
        PairedRuns((0.0,) * 7, lost=1, identical=True),
        PairedRuns(NOISE[:5], lost=3),
    ):
        assert any("pairs dropped" in note for note in alone(pairs).notes)


def test_an_untestable_arm_still_counts_in_the_correction() -> None:
    with_idle = decide(
        [PairedRuns(CLEAR), PairedRuns((0.0,) * 8, identical=True), PairedRuns(lost=8)], 0.05, None
    )
    assert with_idle[0].p_holm == 3 / 128


def test_more_seeds_are_asked_for_than_there_are() -> None:
    found = alone(PairedRuns(NOISE), min_effect=0.001)
    assert found.seeds is not None and found.seeds.low > 8
    low, high = found.seeds.low - 8, found.seeds.high - 8
    (note,) = found.notes
    assert note.startswith(
        f"{low} to {high} more seeds for an 80 % chance to see a difference of min_effect, "
    )
    # 124 to 232 for the difference; its absence is dearer.
    assert note.endswith(", 135 to 253 to show that there is none")


def test_two_of_the_same_recipe_are_rarely_told_apart() -> None:
    rng = np.random.default_rng(7)
    verdicts = [alone(PairedRuns(tuple(rng.normal(0, 1, 8)))).verdict for _ in range(600)]
    assert verdicts.count("inconclusive") / 600 >= 0.95 - 3 * (0.05 * 0.95 / 600) ** 0.5


def test_equivalence_takes_the_90_percent_interval() -> None:
    narrow, wide = sign_flip_interval(NOISE, 0.1), sign_flip_interval(NOISE, 0.05)
    assert narrow is not None and wide is not None
    between = (max(-narrow.low, narrow.high) + max(-wide.low, wide.high)) / 2
    assert narrow.within(between) and not wide.within(between)
    assert alone(PairedRuns(NOISE), min_effect=between).verdict == "equivalent"


class TestTogether:
    def test_equivalence_and_size_are_corrected_like_the_verdicts(self) -> None:
        alone_, together = sign_flip_interval(NOISE, 0.1), sign_flip_interval(NOISE, 0.1 / 3)
        assert alone_ is not None and together is not None
        between = (max(-alone_.low, alone_.high) + max(-together.low, together.high)) / 2
        assert alone(PairedRuns(NOISE), min_effect=between).verdict == "equivalent"
        assert decide([PairedRuns(NOISE)] * 3, 0.05, between)[0].verdict == "inconclusive"
        # All of CLEAR lie above 0.018; one interval of three reaches further down than one alone.
        limits, wide = sign_flip_interval(CLEAR, 0.05), sign_flip_interval(CLEAR, 0.05 / 3)
        assert limits is not None and wide is not None and wide.low < limits.low
        least = (limits.low + wide.low) / 2
        assert alone(PairedRuns(CLEAR), least).notes == ("by at least min_effect",)
        assert decide([PairedRuns(CLEAR)] * 3, 0.05, least)[0].notes == ("size uncertain",)
        (named,) = decide([PairedRuns(CLEAR)] * 3, 0.05, wide.low)[0].notes
        assert named == "by at least min_effect by its 98.3 % interval"


def test_ties_among_pairs_that_differ_are_told() -> None:
    half = PairedRuns((*[0.0] * 5, *CLEAR[:3]), alike=4)
    note = "5 of 8 pairs are tied, 4 of them byte for byte: with those seeds the arm did nothing"
    assert note in alone(half).notes
    assert "1 of 8 pairs is tied" in alone(PairedRuns((0.0, *CLEAR[:7]))).notes
    assert not any("tied" in said for said in alone(PairedRuns(CLEAR)).notes)


def test_sameness_is_said_of_the_pairs_there_are() -> None:
    same = PairedRuns((0.0,) * 7, lost=1, identical=True, alike=7)
    assert "identical in the 7 pairs there are" in alone(same).notes
    waiting = PairedRuns((0.0,) * 3, waiting=5, identical=True, alike=3)
    assert "identical in the 3 pairs there are so far" in alone(waiting).notes
    (found,) = decide([waiting], 0.05, None, "sequential")
    assert found.verdict == "identical" and "identical in the 3 pairs there are so far" in found.notes
    for n, early in ((1, True), (2, True), (3, False)):
        (found,) = decide([PairedRuns((0.0,) * n, identical=True)], 0.05, None, "sequential")
        assert any("so far" in said for said in found.notes) == early


def test_the_difference_of_survivors_says_so() -> None:
    assert (
        "the difference is that of the 7 pairs that finished"
        in alone(PairedRuns(CLEAR[:7], arm_diverged=1)).notes
    )
    assert "the difference is that of the 6 pairs that finished" in alone(PairedRuns(CLEAR[:6], lost=2)).notes
    (found,) = decide([PairedRuns(CLEAR[:7], arm_diverged=1)], 0.05, None, "sequential")
    assert "no interval is given" in found.notes


def test_seeds_that_were_enough_are_not_asked_for_again() -> None:
    enough, some, more = SeedRange(6, 8), SeedRange(7, 9), SeedRange(10, 13)
    chance = "an 80 % chance to see a difference of min_effect"
    assert notes.describe_more_seeds(enough, more, 8) == f"8 seeds were enough for {chance}"
    assert notes.describe_more_seeds(some, None, 8) == f"up to 1 more seed for {chance}"
    assert notes.describe_more_seeds(more, enough, 8) == f"2 to 5 more seeds for {chance}"
    assert notes.describe_more_seeds(some, more, 6).endswith(f"{chance}, 4 to 7 to show that there is none")


def test_a_difference_that_is_surely_there_is_not_to_be_shown_absent() -> None:
    clear = (0.02, 0.02, 0.02, 0.02, 0.02, 0.02, 0.0005, 0.02)
    found = decide([PairedRuns(clear), *[PairedRuns(NOISE)] * 6], 0.05, 0.0003)
    assert found[0].verdict != "better" and not any("there is none" in said for said in found[0].notes)
    assert any("there is none" in said for said in found[1].notes)


def test_one_seed_is_not_all() -> None:
    assert any(said.startswith("1 of 1 seed better") for said in alone(PairedRuns(CLEAR[:1])).notes)
