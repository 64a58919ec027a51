"""Sentences that an arm does better or worse than the baseline, seed by seed, and what luck alone would do."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from maskbench.config.schema.metrics import METRICS
from maskbench.randomness import Key, philox
from maskbench.records.sentences import Counts, score_sentences

MOST = 7 / 8
"""The share of seeds that counts as most of them."""

_EXACT_UP_TO = 12
"""With at most this many seeds every way to swap the arms' names counts; with more, 4,096 random ones."""
_ALL_OF = 2**_EXACT_UP_TO
_CHUNK = 256
# Sums of the same numbers may round differently.
_SAME = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """Gains of single sentences."""

    own: npt.NDArray[np.float64]
    """Float64[S, N]: the arm's score of each sentence, by seed."""
    baseline: npt.NDArray[np.float64]
    """Float64[S, N]: the baseline's."""
    gains: npt.NDArray[np.float64]
    """Float64[S, N]: their difference, turned so that above 0 the arm is better; equal scores give exactly 0."""

    @classmethod
    def of(cls, metric: str, arm: Counts, baseline: Counts) -> Outcomes:
        """Compare what the sentences of two arms add to a metric, Float64[S, N, K] each."""
        own, other = score_sentences(metric, arm), score_sentences(metric, baseline)
        sign = 1 if METRICS[metric].higher_is_better else -1
        equal = np.isclose(own, other, rtol=_SAME, atol=_SAME)
        return cls(own, other, np.where(equal, 0.0, sign * (own - other)))

    @property
    def n_seeds(self) -> int:
        """How many pairs of runs there are."""
        return len(self.gains)

    @property
    def most(self) -> int:
        """The least number of seeds that is most of them: 7 of 8, 5 of 5."""
        return math.ceil(MOST * self.n_seeds)

    @property
    def won(self) -> npt.NDArray[np.int64]:
        """Int64[N]: in how many seeds the arm does better."""
        return np.asarray((self.gains > 0).sum(0), dtype=np.int64)

    @property
    def lost(self) -> npt.NDArray[np.int64]:
        """Int64[N]: in how many seeds it does worse."""
        return np.asarray((self.gains < 0).sum(0), dtype=np.int64)

    def at(self, where: npt.NDArray[np.bool_]) -> Outcomes:
        """Return the sentences at which `where`, Bool[N], is True."""
        return Outcomes(self.own[:, where], self.baseline[:, where], self.gains[:, where])


@dataclass(frozen=True, slots=True)
class Luck:
    """How many sentences are won in most seeds, and how many would be if the arms were equal."""

    won: int
    lost: int
    """Sentences that are lost in most seeds."""
    expected: float
    """What luck alone gives on average, of either."""
    as_many_won: float
    """Share of cases in which luck alone lets as many be won."""
    as_many_lost: float
    """Share of cases in which it lets as many be lost."""


def luck(outcomes: Outcomes) -> Luck:
    """Return how many sentences luck alone would let the arm win in most seeds.

    If the arms are equal, their names could as well be swapped in any seed. That is done in every possible way, in a
    seed for all sentences at once: the sentences of a run have its training in common, so many can be won together.
    """
    won, lost, most = outcomes.gains > 0, outcomes.gains < 0, outcomes.most
    swaps = _swaps(outcomes.n_seeds)
    counts = np.concatenate(
        [
            ((1 - part) @ won.astype(np.int64) + part @ lost.astype(np.int64) >= most).sum(1)
            for part in np.split(swaps, range(_CHUNK, len(swaps), _CHUNK))
        ]
    )
    # Swapping the names in the other seeds instead turns wins into losses, so one distribution serves both.
    n_won, n_lost = int((outcomes.won >= most).sum()), int((outcomes.lost >= most).sum())
    shares = (float((counts >= n).mean()) for n in (n_won, n_lost))
    return Luck(n_won, n_lost, float(counts.mean()), *shares)


def _swaps(n: int) -> npt.NDArray[np.int64]:
    """Return rows of 0 and 1, Int64[ways, n]: in which seeds the names are swapped."""
    if n <= _EXACT_UP_TO:
        return (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    row, column = np.arange(_ALL_OF, dtype=np.int64)[:, None], np.arange(n, dtype=np.int64)[None, :]
    words = philox(Key.of(0, "swaps", n), row, column, np.zeros((1, 1), dtype=np.int64))
    return words[0] & 1


@dataclass(frozen=True, slots=True)
class Group:
    """Sentences that have something in common."""

    name: str
    sentences: int
    won: float
    """Share of sentences and seeds in which the arm does better."""
    lost: float
    """Share in which it does worse."""
    seeds_for: int
    """Seeds in which it wins more of the sentences than it loses."""
    seeds_against: int
    """Seeds in which it loses more than it wins."""


def group(name: str, outcomes: Outcomes) -> Group:
    """Sum up some sentences, at least one."""
    net = np.sign(outcomes.gains).sum(1)
    return Group(
        name=name,
        sentences=outcomes.gains.shape[1],
        won=float((outcomes.gains > 0).mean()),
        lost=float((outcomes.gains < 0).mean()),
        seeds_for=int((net > 0).sum()),
        seeds_against=int((net < 0).sum()),
    )


def ranked(outcomes: Outcomes) -> tuple[list[int], list[int]]:
    """Return the sentences that are won in more seeds than lost, clearest first, and those lost in more than won.

    Those with the same seeds go by the mean gain, and then by their place.
    """
    surplus, gain = outcomes.won - outcomes.lost, outcomes.gains.mean(0)
    places = np.arange(len(surplus))
    best, worst = (np.lexsort((places, -sign * gain, -sign * surplus)) for sign in (1, -1))
    return [int(i) for i in best if surplus[i] > 0], [int(i) for i in worst if surplus[i] < 0]
