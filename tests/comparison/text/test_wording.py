"""What is said of a comparison in words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_comparisons import comparison, difference, every_verdict, on, row

from maskbench.comparison.results import ArmCost, NoiseShares, RunCounts
from maskbench.comparison.text.sentences import (
    headline,
    join_names,
    noise_sentences,
    verdict_sentence,
    verdict_sentences,
)

FREE = ArmCost(None, None, None, None)
BASE = row("static")
UP = row("up", difference(0.0167, 0.009, 0.0251, p_holm=0.0078125), "better", cost=FREE)


def said(found) -> str:
    return verdict_sentence(found.rows[1], found)


def test_a_verdict_comes_with_its_size_its_wins_its_p_and_its_cost():
    up = replace(UP, cost=ArmCost(None, 0.99, None, None))
    sentence = (
        "up is better than static by 1.7 points [0.9, 2.5], in 8 of 8 seeds, p 0.008; a step costs 0.99x."
    )
    assert said(comparison(BASE, up)) == sentence


def test_with_several_arms_p_is_holms():
    assert "seeds, Holm p 0.008." in said(comparison(BASE, UP, UP))


@pytest.mark.parametrize(
    ("metric", "verdict", "words"),
    [
        (
            "test/token_accuracy",
            "worse",
            "worse than static by 3.3 points [2.6, 4.1], better in 0 of 8 seeds",
        ),
        ("test/nll", "better", "better than static by 0.033 nats per token [0.026, 0.041], in 0 of 8 seeds"),
        ("test/bleu", "worse", "worse than static by 0.03 BLEU points [0.03, 0.04], better in 0 of 8 seeds"),
    ],
)
def test_a_size_agrees_with_its_word_whichever_way_is_better(metric, verdict, words):
    down = row("down", difference(-0.0333, -0.041, -0.0262, wins=0), verdict, cost=FREE)
    assert words in said(on(metric, comparison(BASE, down)))


def test_a_higher_loss_is_worse_by_as_much():
    up = replace(UP, verdict="worse")
    assert "worse than static by 0.017 nats per token [0.009, 0.025]," in said(
        on("test/nll", comparison(BASE, up))
    )


def test_what_is_not_decided_keeps_its_sign():
    found = comparison(
        BASE, row("x", difference(-0.0018, -0.018, 0.048, p_holm=0.578, wins=5), "inconclusive")
    )
    assert said(found).startswith(
        "x is inconclusive against static: -0.2 points [-1.8, 4.8], better in 5 of 8"
    )


def test_the_sign_test_gives_no_size():
    found = comparison(
        BASE, row("x", difference(0.5, p_holm=0.008, wins=8), "better", cost=FREE, notes=("why",))
    )
    assert said(found) == "x is better than static, in 8 of 8 seeds, p 0.008; why."


def test_the_sequential_rule_has_a_p_for_any_time_and_its_evidence():
    evident = replace(UP, difference=difference(0.0167, 0.009, 0.0251, p_holm=0.035, e_value=28.444))
    found = comparison(BASE, evident, rule="sequential")
    assert "in 8 of 8 seeds, anytime p 0.035 (E 28.4)." in said(found)


def test_what_the_engine_notes_of_equal_arms_is_not_said_twice():
    (twin,) = (s for s in verdict_sentences(every_verdict()) if s.startswith("twin"))
    assert twin == (
        "twin is identical to static: the same training losses and translations, byte for byte; a step costs 1.00x."
    )


def test_arms_of_which_the_same_is_true_share_a_sentence():
    nothing = difference(None, p=None, p_holm=None, wins=0, n=0)
    late = [row(name, nothing, "not testable", notes=("0 of 8 pairs so far",)) for name in "abc"]
    assert verdict_sentences(comparison(BASE, *late, UP)) == [
        "a, b and c are not testable against static: 0 of 8 pairs so far.",
        "up is better than static by 1.7 points [0.9, 2.5], in 8 of 8 seeds, Holm p 0.008.",
    ]


def test_the_baseline_gets_no_verdict():
    found = every_verdict()
    assert verdict_sentence(found.rows[0], found) == ""
    assert len(verdict_sentences(found)) == len(found.rows) - 1


def test_the_headline_has_every_arm_the_greatest_difference_first():
    far = row("far", difference(0.1, 0.09, 0.11), "better")
    assert headline(comparison(BASE, UP, far, row("x", difference(0.0), "inconclusive"))) == (
        "Better than static: far by 10.0 points and up by 1.7 points; not decided: x."
    )


def test_a_long_headline_counts_the_rest():
    arms = [row(f"arm-{n}", difference(0.0), "inconclusive") for n in range(9)]
    assert headline(comparison(BASE, *arms)) == (
        "Not decided: arm-0, arm-1, arm-2, arm-3, arm-4, arm-5 and 3 more."
    )


THREE = difference(0.02, 0.01, 0.03, p=0.25, p_holm=0.25, wins=3, n=3, method="t")


def test_three_seeds_decide_nothing_and_the_headline_says_what_would():
    few = row("up", THREE, "not testable", counts=RunCounts(3, 0, 0, 0))
    assert headline(comparison(BASE, few)) == (
        "3 seeds cannot decide anything: the smallest p they can reach is 0.25, above alpha 0.05; "
        "it takes at least 6 seeds."
    )
    # Holm: twice 0.25, and 2 * 2**-6 is at most 0.05, 2 * 2**-5 is not.
    assert headline(comparison(BASE, few, few)) == (
        "3 seeds cannot decide anything: the smallest p they can reach with 2 arms is 0.5, above alpha 0.05; "
        "it takes at least 7 seeds."
    )


def test_equal_arms_are_known_with_any_number_of_seeds():
    twin = row("twin", replace(THREE, mean=0.0), "identical")
    few = row("up", THREE, "not testable", counts=RunCounts(3, 0, 0, 0))
    assert headline(comparison(BASE, twin)) == "Identical to static: twin."
    assert headline(comparison(BASE, twin, few)).startswith(
        "Identical to static: twin. 3 seeds cannot decide anything else: "
    )


def test_the_headline_waits_with_the_runs():
    late = row("up", THREE, "not testable", counts=RunCounts(3, 0, 0, 5))
    assert headline(comparison(BASE, late)) == "Nothing is decided yet: 3 of 8 pairs are finished."
    none = row("up", replace(THREE, n=0), "not testable")
    assert headline(comparison(BASE, none)) == "Nothing is decided yet: no pair of runs is finished."


def test_too_many_failures_decide_nothing():
    assert (
        headline(comparison(BASE, row("up", THREE, "unusable")))
        == "Nothing can be decided: too many runs failed."
    )


def test_one_arm_is_no_comparison():
    assert headline(comparison(BASE)) == "There is one arm, and nothing to compare it with."


@pytest.mark.parametrize(
    ("seeds", "advice"),
    [
        (0.71, "more seeds help, more sentences hardly"),
        (0.29, "more test sentences help, more seeds hardly"),
        (0.5, "more seeds and more test sentences both help"),
    ],
)
def test_the_noise_says_what_would_help(seeds, advice):
    noisy = replace(UP, difference=replace(UP.difference, noise=NoiseShares(seeds, 1 - seeds, 0.005, 0.029)))
    assert noise_sentences(comparison(BASE, noisy)) == [
        f"noise: {100 * seeds:.0f} % seeds, {100 - 100 * seeds:.0f} % test sentences: {advice}",
        "intervals for other test sentences as well: up [0.5, 2.9]",
    ]


def test_arms_with_other_noise_are_told_apart():
    shares = {"a": 0.9, "b": 0.8, "c": 0.1}
    arms = [
        row(name, difference(0.1, 0.0, 0.2, noise=NoiseShares(share, 1 - share, 0.0, 0.1)), "better")
        for name, share in shares.items()
    ]
    lines = noise_sentences(comparison(BASE, *arms))
    assert [line.partition(":")[0] for line in lines] == [
        "noise of a and b",
        "noise of c",
        "intervals for other test sentences as well",
    ]
    assert "80 to 90 % seeds, 10 to 20 % test sentences" in lines[0]
    assert noise_sentences(comparison(BASE, UP)) == []


@pytest.mark.parametrize(
    ("names", "most", "text"),
    [
        ([], None, ""),
        (["a"], None, "a"),
        (["a", "b"], None, "a and b"),
        (["a", "b", "c"], 3, "a, b and c"),
        (["a", "b", "c", "d"], 2, "a, b and 2 more"),
    ],
)
def test_names_are_listed_as_one_says_them(names, most, text):
    assert join_names(names, most) == text
