"""Calibration error: by hand, by a loop over bins, and with end marks aside."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskbench.data.vocabulary import EOS
from maskbench.metrics.calibration import (
    BINS,
    drop_end_marks,
    expected_calibration_error,
)
from maskbench.metrics.teacher_forcing import TeacherForcedScores


def sure(*tokens: tuple[float, bool], gold: int = 9) -> TeacherForcedScores:
    """Tokens as (confidence, whether it is right)."""
    said = [gold if right else gold + 1 for _, right in tokens]
    n = len(tokens)
    return TeacherForcedScores(
        np.full(n, gold), np.array(said, np.int64), np.zeros(n), np.array([c for c, _ in tokens])
    )


def test_a_value_worked_out_by_hand():
    # Of 15 bins, 0.91 and 0.93 are in the 14th: mean confidence 0.92, accuracy 1/2. 0.5 and 0.52 are in the 8th: 0.51
    # and 1. 0.1 is alone in the 2nd and wrong. (2 * 0.42 + 2 * 0.49 + 1 * 0.1) / 5 = 0.384.
    tokens = sure((0.91, True), (0.5, True), (0.1, False), (0.93, False), (0.52, True))
    assert expected_calibration_error(tokens) == pytest.approx(0.384)


def test_a_bin_ends_with_its_upper_limit():
    # 1/2 is the end of the first of two bins, so these two do not meet and their errors do not cancel.
    assert expected_calibration_error(sure((0.5, True), (0.75, False)), bins=2) == pytest.approx(0.625)
    assert expected_calibration_error(sure((0.5, True), (0.25, False)), bins=2) == pytest.approx(0.125)


@pytest.mark.parametrize(("share", "expected"), [(1.0, 0.0), (0.0, 1.0), (0.7, 0.3)])
def test_who_is_always_certain_errs_by_the_share_of_errors(share: float, expected: float):
    tokens = sure(*((1.0, i < 10 * share) for i in range(10)))
    assert expected_calibration_error(tokens) == pytest.approx(expected)


@given(st.lists(st.tuples(st.floats(0.001, 1.0), st.booleans()), min_size=1, max_size=60), st.integers(1, 20))
def test_it_is_the_sum_over_bins(pairs: list[tuple[float, bool]], bins: int):
    expected = 0.0
    for b in range(1, bins + 1):
        inside = [(c, right) for c, right in pairs if max(1, int(np.ceil(c * bins))) == b]
        if inside:
            accuracy = sum(right for _, right in inside) / len(inside)
            confidence = sum(c for c, _ in inside) / len(inside)
            expected += len(inside) / len(pairs) * abs(accuracy - confidence)
    found = expected_calibration_error(sure(*pairs), bins)
    assert found == pytest.approx(expected, abs=1e-12) and found is not None and 0 <= found <= 1


def test_there_are_fifteen_bins():
    # Confidences of one bin of fifteen and of two of sixteen.
    tokens = sure((0.935, True), (0.94, False))
    assert BINS == 15
    assert expected_calibration_error(tokens) == pytest.approx(abs(0.5 - 0.9375))


def test_end_marks_are_no_words():
    # Where a word of the first is missed, an end mark is said; where the end mark of the second is, a word.
    tokens, ends = sure((0.9, True), (0.3, False), gold=EOS - 1), sure((0.6, False), gold=EOS)
    both = TeacherForcedScores(
        *(np.concatenate([getattr(t, f) for t in (tokens, ends)]) for f in TeacherForcedScores.__slots__)
    )
    assert drop_end_marks(both).confidence.tolist() == [0.9, 0.3]
    assert expected_calibration_error(drop_end_marks(both)) == expected_calibration_error(tokens)
    assert expected_calibration_error(both) != expected_calibration_error(tokens)


def test_of_no_tokens_there_is_none():
    assert expected_calibration_error(sure()) is None
