"""What alterations cost: interference and information loss by hand, and curves of exact match."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers import token_accuracy
from hypothesis import given
from hypothesis import strategies as st

from maskbench.data.corpus import Ragged, Split, encode_split
from maskbench.data.generation.annotations import annotate_split
from maskbench.data.generation.noise import make_noisy_splits
from maskbench.data.vocabulary import EOS, WordVocabulary
from maskbench.metrics.alterations import (
    information_loss,
    interference,
    milder_copies,
    relative_drop,
    robustness,
)
from maskbench.metrics.teacher_forcing import TeacherForcedScores


def altered(*touched: list[int], name: str = "noise-drop-20", origin: str | None = "test") -> Split:
    """An altered copy that says of the tokens of each sentence whether they are touched."""
    src, tgt = (
        Ragged.from_rows([[8, EOS]] * len(touched)),
        Ragged.from_rows([[9] * len(row) for row in touched]),
    )
    return Split(name, src, tgt, [], [], origin=origin, touched=Ragged.from_rows(touched))


def ranked(*right: int) -> TeacherForcedScores:
    """Tokens of which some are ranked first."""
    gold, n = np.arange(len(right)) + 7, len(right)
    return TeacherForcedScores(gold, np.where(np.array(right, bool), gold, 3), np.zeros(n), np.ones(n))


def test_values_worked_out_by_hand():
    # Tokens: words 1 to 3 and an end mark, then a word and an end mark; touched are the 2nd, the 4th and the last.
    split = altered([0, 1, 0, 1], [0, 1])
    clean, noisy = ranked(1, 1, 1, 1, 0, 1), ranked(1, 0, 0, 0, 0, 1)
    # Untouched: 2 of 3 right before, 1 of 3 after. Touched: 3 of 3 before, 1 of 3 after.
    assert interference(clean, noisy, split) == pytest.approx(1 / 3)
    assert information_loss(clean, noisy, split) == pytest.approx(2 / 3)


def test_an_alteration_that_helps_is_below_zero_and_one_that_does_nothing_is_zero():
    split = altered([0, 1, 0])
    assert interference(ranked(0, 1, 0), ranked(1, 1, 0), split) == -0.5
    assert information_loss(ranked(0, 1, 0), ranked(1, 1, 0), split) == 0.0


def test_without_a_token_to_look_at_there_is_no_value():
    some = ranked(1, 0)
    assert interference(some, some, altered([1, 1])) is None
    assert information_loss(some, some, altered([1, 1])) == 0.0
    assert information_loss(some, some, altered([0, 0])) is None
    assert interference(some, some, altered([0, 0])) == 0.0


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=40))
def test_the_two_make_up_the_whole_loss_of_accuracy(tokens: list[tuple[int, int, int]]):
    touched, before, after = (list(column) for column in zip(*tokens, strict=True))
    split, clean, noisy = altered(touched), ranked(*before), ranked(*after)
    parts = [
        (sum(touched), information_loss(clean, noisy, split)),
        (len(touched) - sum(touched), interference(clean, noisy, split)),
    ]
    assert [value is None for _, value in parts] == [n == 0 for n, _ in parts]
    whole = sum(n * value for n, value in parts if value is not None) / len(touched)
    assert whole == pytest.approx(token_accuracy(clean) - token_accuracy(noisy))


def test_tokens_are_matched_pair_by_pair_or_not_at_all():
    clean, noisy = ranked(1, 0), ranked(1, 0)
    with pytest.raises(ValueError, match="references of noise-drop-20 are not those of test"):
        interference(replace(clean, gold=clean.gold + 1), noisy, altered([0, 1]))
    with pytest.raises(ValueError, match="does not say which of its tokens are touched"):
        interference(clean, noisy, replace(altered([0, 1]), touched=None))


def test_touched_tokens_are_those_that_hang_on_what_was_altered():
    """From the words on: who gets exactly the touched words wrong has lost information and suffers no interference."""
    words = WordVocabulary([f"w{i}" for i in range(9)])
    lines = ["w1 w2 w3 w4 w5 w6", "w7 w8 w1 w2 w3 w4 w5", "w3 w5"]
    clean = annotate_split(
        encode_split("test", [(line, line) for line in lines], words),
        [[i * (len(line.split()) + 1) + i for i in range(len(line.split()))] for line in lines],
    )
    noisy = next(s for s in make_noisy_splits(clean, words, ["w0"]) if s.name == "noise-mask-30")
    right, wrong = [], []
    for line, now in zip(lines, noisy.sources, strict=True):
        kept = [a == b for a, b in zip(line.split(), now.split(), strict=True)]
        right += [True] * (len(kept) + 1)
        # The end mark hangs on every word.
        wrong += [*kept, all(kept)]
    before, after = ranked(*right), ranked(*wrong)
    assert 0 < sum(wrong) < len(wrong)
    assert interference(before, after, noisy) == 0.0
    assert information_loss(before, after, noisy) == 1.0


def test_a_family_is_made_of_the_milder_copies_of_the_same_split():
    names = ["noise-drop-30", "noise-drop-10", "noise-mask-20", "noise-drop-20", "distract-8", "distract-1"]
    splits = {name: altered([0], name=name) for name in names}
    splits["noise-drop-5"] = altered([0], name="noise-drop-5", origin="valid")
    splits["noise-drop-15"] = altered([0], name="noise-drop-15", origin=None)
    splits["upside-down"] = altered([0], name="upside-down")
    assert milder_copies(splits["noise-drop-30"], splits) == [
        (10, "noise-drop-10"),
        (20, "noise-drop-20"),
        (30, "noise-drop-30"),
    ]
    assert milder_copies(splits["noise-drop-20"], splits) == [(10, "noise-drop-10"), (20, "noise-drop-20")]
    assert milder_copies(splits["noise-mask-20"], splits) == [(20, "noise-mask-20")]
    assert milder_copies(splits["distract-8"], splits) == [(1, "distract-1"), (8, "distract-8")]
    assert milder_copies(splits["upside-down"], splits) == [(1, "upside-down")]


def test_the_area_under_a_curve_worked_out_by_hand():
    # 0 to 10: (0.9 + 0.7) / 2 * 10 = 8; 10 to 30: (0.7 + 0.1) / 2 * 20 = 8; together 16 of 30.
    assert robustness([(0, 0.9), (10, 0.7), (30, 0.1)]) == pytest.approx(16 / 30)
    assert robustness([(0, 1.0), (10, 0.7)]) == pytest.approx(0.85)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.floats(0, 1))
def test_what_alterations_do_not_touch_keeps_its_height(steps: list[int], height: float):
    at = np.cumsum([0, *steps]).tolist()
    assert robustness([(x, height) for x in at]) == pytest.approx(height)
    # A straight fall to nothing is half of where it began, however many points there are on it.
    assert robustness([(x, height * (1 - x / at[-1])) for x in at]) == pytest.approx(height / 2)


@pytest.mark.parametrize(
    ("clean", "altered", "expected"),
    [
        (0.8, 0.6, 0.25),
        (0.8, 0.0, 1.0),
        (0.5, 0.5, 0.0),
        (0.5, 0.75, -0.5),
        (0.0, 0.0, None),
        (0.0, 0.1, None),
    ],
)
def test_the_relative_drop(clean: float, altered: float, expected: float | None):
    assert relative_drop(clean, altered) == (None if expected is None else pytest.approx(expected))
