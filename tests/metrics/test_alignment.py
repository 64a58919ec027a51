"""Alignment error rates worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from looking import split

from maskbench.data.corpus import Ragged
from maskbench.metrics.alignment import NOWHERE, alignment_error_rate, most_attended, split_aer


def test_the_error_rate_worked_out_by_hand():
    found = {(0, 0), (1, 2), (2, 1), (3, 3)}
    # |A| = 4, |S| = 3, in both 2: 1 - (2 + 2) / 7.
    assert alignment_error_rate(found, {(0, 0), (2, 1), (4, 4)}) == pytest.approx(3 / 7)
    # With (1, 2) possible as well: 1 - (2 + 3) / 7.
    assert alignment_error_rate(
        found, {(0, 0), (2, 1), (4, 4)}, {(0, 0), (2, 1), (4, 4), (1, 2)}
    ) == pytest.approx(2 / 7)
    assert alignment_error_rate(found, found) == 0.0
    assert (
        alignment_error_rate(found, {(0, 1)})
        == alignment_error_rate(found, set())
        == alignment_error_rate(set(), found)
        == 1.0
    )
    assert alignment_error_rate(set(), set()) == 0.0


def test_a_target_token_points_at_the_greatest_weight_among_the_candidates():
    weights = np.array(
        [
            [[0.1, 0.3, 0.6], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0], [0.2, 0.7, 0.1]],
            [[0.9, 0.1, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.4, 0.6, 0.0]],
        ]
    )
    candidates = np.array([[True, True, False], [True, False, False]])
    assert most_attended(weights, candidates).tolist() == [[1, 0, NOWHERE, 1], [0, NOWHERE, NOWHERE, 0]]


def test_links_of_end_marks_are_left_out_of_a_split():
    # Three source words and their end mark, two target words and theirs; one source word alone, one target word.
    links = Ragged.from_rows([[0, 2, 7, 9, 11], [0, 3]])
    src, tgt = Ragged.from_rows([[9, 8, 7, 3], [6, 3]]), Ragged.from_rows([[5, 6, 3], [7, 3]])
    data = replace(split(), src=src, tgt=tgt, links=links, junk=None)
    # Gold: word 0 with source words 0 and 2, word 0 of the second pair with its only one.
    assert split_aer(data, np.array([2, 1, 3, 0, 1])) == pytest.approx(1 - 4 / 6)
    # What end marks are aligned with is not read, and a word that is aligned with nothing is no link.
    assert split_aer(data, np.array([2, NOWHERE, 0, 0, 0])) == pytest.approx(1 - 4 / 5)
    # The same numbers in another sentence are other links.
    swapped = Ragged.from_rows([[0], [1]])
    assert split_aer(replace(data, links=swapped), np.array([0, NOWHERE, 0, 0, 0])) == pytest.approx(1 / 3)
    assert split_aer(data, np.array([1, NOWHERE, 0, NOWHERE, 0])) == 1.0
