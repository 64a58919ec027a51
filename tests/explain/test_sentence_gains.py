"""Which sentences are won, in how many seeds, and what luck alone would do."""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt
import pytest

from maskbench.explain.sentence_gains import SentenceGains, permutation_null, rank_sentences, summarise_group

# Three seeds, five sentences.
GAINS = np.array(
    [
        [1, -1, 0, 1, 2],
        [1, -1, 0, 0, -1],
        [1, 1, 0, -3, 2],
    ],
    dtype=float,
)


def outcomes(gains: npt.NDArray[np.float64]) -> SentenceGains:
    return SentenceGains(gains, np.zeros_like(gains), gains)


def test_a_sentences_score_turns_with_the_metric() -> None:
    arm, base = (np.array([[[3.0, 2.0], [4.0, 5.0]]]), np.array([[[2.0, 2.0], [8.0, 5.0]]]))
    assert SentenceGains.from_counts("token_accuracy", arm, base).gains.tolist() == [
        [0.5, pytest.approx(-0.8)]
    ]
    assert SentenceGains.from_counts("nll", arm, base).gains.tolist() == [[-0.5, pytest.approx(0.8)]]
    assert SentenceGains.from_counts("nll", arm, base).own.tolist() == [[1.5, 0.8]]


def test_scores_that_only_round_differently_are_ties() -> None:
    arm, base = np.array([[[0.1 + 0.2, 1.0]]]), np.array([[[0.3, 1.0]]])
    assert arm[0, 0, 0] != base[0, 0, 0]
    found = SentenceGains.from_counts("nll", arm, base)
    assert found.gains.tolist() == [[0]] and found.won.tolist() == found.lost.tolist() == [0]


def test_seeds_are_counted_by_sentence() -> None:
    found = outcomes(GAINS)
    assert found.won.tolist() == [3, 1, 0, 1, 2]
    assert found.lost.tolist() == [0, 2, 0, 1, 1]


@pytest.mark.parametrize(
    ("seeds", "most"), [(1, 1), (2, 2), (5, 5), (7, 7), (8, 7), (9, 8), (16, 14), (20, 18)]
)
def test_most_seeds_are_seven_of_eight(seeds: int, most: int) -> None:
    assert outcomes(np.zeros((seeds, 2))).majority == most


def test_the_clearest_come_first() -> None:
    """Sentence 3 is won as often as lost, and sentence 2 is a tie: neither is shown."""
    assert rank_sentences(outcomes(GAINS)) == ([0, 4], [1])
    assert rank_sentences(outcomes(np.array([[9, 1], [0, 1]], dtype=float))) == ([1, 0], []), (
        "seeds before gain"
    )
    by_gain = np.array([[1, 3, 1], [1, 2, 1]], dtype=float)
    assert rank_sentences(outcomes(by_gain)) == ([1, 0, 2], [])
    assert rank_sentences(outcomes(-by_gain)) == ([], [1, 0, 2])


def test_a_group_counts_sentences_and_seeds() -> None:
    found = summarise_group("x", outcomes(GAINS[:, [0, 1, 3]]))
    assert (found.name, found.sentences) == ("x", 3)
    assert (found.won, found.lost) == (5 / 9, 3 / 9)
    # Net by seed: +1, 0, +1.
    assert (found.seeds_for, found.seeds_against) == (2, 0)
    assert summarise_group("x", outcomes(-GAINS[:, [0, 1, 3]])).seeds_against == 2


def by_hand(gains: npt.NDArray[np.float64], most: int) -> list[int]:
    """The number of sentences won in most seeds, for every way to swap the names in some seeds."""
    counts = []
    for signs in product((1, -1), repeat=len(gains)):
        swapped = [[sign * gain for gain in row] for sign, row in zip(signs, gains.tolist(), strict=True)]
        won = [sum(gain > 0 for gain in column) for column in zip(*swapped, strict=True)]
        counts.append(sum(n >= most for n in won))
    return counts


def test_luck_is_what_every_way_to_swap_the_names_gives() -> None:
    rng = np.random.default_rng(1)
    for n_seeds in (1, 4, 8):
        gains = rng.integers(-1, 3, (n_seeds, 11)).astype(float)
        found, most = permutation_null(outcomes(gains)), outcomes(gains).majority
        counts = by_hand(gains, most)
        assert found.won == counts[0], "no swap at all comes first"
        assert found.expected == pytest.approx(np.mean(counts))
        assert found.as_many_won == np.mean([count >= found.won for count in counts])
        assert found.lost == counts[-1], "all names swapped come last"
        assert found.as_many_lost == np.mean([count >= found.lost for count in counts])


def test_sentences_of_a_run_are_swapped_together() -> None:
    """Ten copies of one sentence are won together or not at all, so ten won are no better evidence than one."""
    found = permutation_null(outcomes(np.ones((4, 10))))
    assert (found.won, found.expected, found.as_many_won) == (10, 10 / 16, 1 / 16)


def test_with_many_seeds_luck_is_drawn() -> None:
    """Sentences without ties: each is won in at least 14 of 16 seeds with the chance of a binomial variable."""
    gains = np.where(np.random.default_rng(2).random((16, 300)) < 0.5, 1.0, -1.0)
    found = permutation_null(outcomes(gains))
    assert found.expected == pytest.approx(300 * (1 + 16 + 120) / 2**16, rel=0.3)
    assert found == permutation_null(outcomes(gains)), "the same numbers in every call"
