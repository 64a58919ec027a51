"""How much better or worse an arm does on each sentence, seed by seed, and a permutation null for the counts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from maskbench.config.schema.metrics import find_metric
from maskbench.randomness import Key, random_words
from maskbench.records.sentences import Counts, score_sentences

MAJORITY_SHARE = 7 / 8
"""A sentence is won (or lost) in most seeds if it is in at least this share of them."""

_MAX_EXACT_SEEDS = 12
"""With at most this many seeds every way to swap the arms is counted; with more, `_N_RANDOM` random ones."""
_N_RANDOM = 2**_MAX_EXACT_SEEDS
_CHUNK = 256
"""Swaps that are counted at a time, to bound the memory."""
_TOLERANCE = 1e-9
"""Scores this close are equal: sums of the same numbers may round differently."""


@dataclass(frozen=True, slots=True, eq=False)
class SentenceGains:
    """Scores of every sentence under two arms, by seed."""

    own: npt.NDArray[np.float64]
    """Float64[S, N]: the arm's score of each sentence, by seed."""
    baseline: npt.NDArray[np.float64]
    """Float64[S, N]: the baseline's score."""
    gains: npt.NDArray[np.float64]
    """Float64[S, N]: their difference, positive where the arm is better; equal scores give exactly 0."""

    @classmethod
    def from_counts(cls, metric: str, arm: Counts, baseline: Counts) -> SentenceGains:
        """Return the gains from the counts of a metric, Float64[S, N, K] for each arm."""
        own, other = score_sentences(metric, arm), score_sentences(metric, baseline)
        sign = 1 if find_metric(metric).higher_is_better else -1
        equal = np.isclose(own, other, rtol=_TOLERANCE, atol=_TOLERANCE)
        return cls(own, other, np.where(equal, 0.0, sign * (own - other)))

    @property
    def n_seeds(self) -> int:
        """Pairs of runs."""
        return len(self.gains)

    @property
    def majority(self) -> int:
        """The fewest seeds that count as most of them: 7 of 8, 5 of 5."""
        return math.ceil(MAJORITY_SHARE * self.n_seeds)

    @property
    def won(self) -> npt.NDArray[np.int64]:
        """Int64[N]: seeds in which the arm does better."""
        return np.asarray((self.gains > 0).sum(0), dtype=np.int64)

    @property
    def lost(self) -> npt.NDArray[np.int64]:
        """Int64[N]: seeds in which the arm does worse."""
        return np.asarray((self.gains < 0).sum(0), dtype=np.int64)

    def select(self, where: npt.NDArray[np.bool_]) -> SentenceGains:
        """Return only the sentences where `where`, Bool[N], is True."""
        return SentenceGains(self.own[:, where], self.baseline[:, where], self.gains[:, where])


@dataclass(frozen=True, slots=True)
class PermutationNull:
    """How many sentences are won in most seeds, and how many would be by chance if the arms were equal."""

    won: int
    lost: int
    """Sentences lost in most seeds."""
    expected: float
    """Mean number under the null; the same for won and lost."""
    as_many_won: float
    """Share of permutations with at least as many won."""
    as_many_lost: float
    """Share of permutations with at least as many lost."""


def permutation_null(gains: SentenceGains) -> PermutationNull:
    """Return how many sentences the arm wins in most seeds, compared with swapping the two arms at random.

    If the arms are equal, swapping their names in any seed changes nothing systematic. A swap applies to all sentences
    of a seed at once, because they share one training run and so are not independent.
    """
    won, lost, majority = gains.gains > 0, gains.gains < 0, gains.majority
    swaps = _swap_rows(gains.n_seeds)
    counts = np.concatenate(
        [
            ((1 - part) @ won.astype(np.int64) + part @ lost.astype(np.int64) >= majority).sum(1)
            for part in np.split(swaps, range(_CHUNK, len(swaps), _CHUNK))
        ]
    )
    # Every swap has a complement that turns wins into losses, so won and lost have one distribution.
    n_won, n_lost = int((gains.won >= majority).sum()), int((gains.lost >= majority).sum())
    shares = (float((counts >= n).mean()) for n in (n_won, n_lost))
    return PermutationNull(n_won, n_lost, float(counts.mean()), *shares)


def _swap_rows(n: int) -> npt.NDArray[np.int64]:
    """Return Int64[swaps, n] of 0 and 1; 1 swaps the arms in that seed."""
    if n <= _MAX_EXACT_SEEDS:
        return (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    # A counter for each seed, of whose four words the first is used.
    words = random_words(Key.of(0, "swaps", n), np.arange(_N_RANDOM, dtype=np.int64), 4 * n)
    return words[:, ::4] & 1


@dataclass(frozen=True, slots=True)
class SentenceGroup:
    """Wins and losses over the sentences of one group."""

    name: str
    sentences: int
    won: float
    """Share of pairs of sentence and seed in which the arm does better."""
    lost: float
    """Share in which the arm does worse."""
    seeds_for: int
    """Seeds in which the arm wins more sentences than it loses."""
    seeds_against: int
    """Seeds in which the arm loses more sentences than it wins."""


def summarise_group(name: str, gains: SentenceGains) -> SentenceGroup:
    """Summarise the gains of at least one sentence."""
    net = np.sign(gains.gains).sum(1)
    return SentenceGroup(
        name=name,
        sentences=gains.gains.shape[1],
        won=float((gains.gains > 0).mean()),
        lost=float((gains.gains < 0).mean()),
        seeds_for=int((net > 0).sum()),
        seeds_against=int((net < 0).sum()),
    )


def rank_sentences(gains: SentenceGains) -> tuple[list[int], list[int]]:
    """Return the sentences won in more seeds than lost, clearest first, and those lost in more seeds than won.

    Ties in seeds are ordered by mean gain, then by index.
    """
    surplus, mean_gain = gains.won - gains.lost, gains.gains.mean(0)
    places = np.arange(len(surplus))
    best, worst = (np.lexsort((places, -sign * mean_gain, -sign * surplus)) for sign in (1, -1))
    return [int(i) for i in best if surplus[i] > 0], [int(i) for i in worst if surplus[i] < 0]
