"""Sign-flip test, intervals and Holm correction for paired differences: one difference of two arms per seed.

The test is the sign-flip test (Fisher 1935, "The Design of Experiments", ch. III): if two arms do not
differ, each difference has either sign with equal probability. The interval inverts the same test, so the
interval and the p-value cannot contradict each other; its limits are means of subsets of the differences
(Hartigan 1969, "Using subsample values as typical values"). The correction for several arms is Holm's
(1979).

Computed in numpy; quantiles of Student's t come from `scipy.special`, imported where used because it takes a
quarter of a second to load.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from maskbench.randomness import Key, random_bits
from maskbench.statistics.validation import require_counts, require_finite, require_level, require_p_values

FloatVector: TypeAlias = npt.NDArray[np.float64]

EXACT_UP_TO = 20
"""Largest number of pairs with all sign vectors tried (2**19 sums); above it, `RANDOM_FLIPS` random ones."""

RANDOM_FLIPS = 100_000
"""Number of random sign vectors above `EXACT_UP_TO` pairs."""

MANY_PAIRS = 13
"""From this many pairs, an exact interval for every metric takes too long."""

_TIE = 1e-12
"""Sums closer than this, relative to the sum of absolute differences, tie; ties increase the p-value."""

_CHUNK = 10_000
"""Number of random sign vectors in memory at once."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Confidence limits of a mean difference, and the method that gave them."""

    low: float
    high: float
    method: Literal["test", "t"]
    """`test`: the inverted sign-flip test. `t`: Student's t, which assumes normal differences."""

    def beyond(self, bound: float) -> bool:
        """Whether the interval lies outside (-bound, bound)."""
        return self.low >= bound or self.high <= -bound

    def within(self, bound: float) -> bool:
        """Whether the interval lies strictly inside (-bound, bound)."""
        return -bound < self.low and self.high < bound


def sign_flip_p(differences: Sequence[float]) -> float:
    """Return the two-sided p-value of the sign-flip test that the differences are symmetric about 0.

    It is the share of the 2**S sign vectors whose absolute sum is at least the observed one. Above
    `EXACT_UP_TO` pairs it is (c + 1) / (N + 1) if c of N keyed random sign vectors have such a sum; the
    vectors are the same in every process.

    Raises:
        ValueError: there are no differences, or a difference is not finite.
    """
    values, _ = _canonical(differences)
    total, tie = float(values.sum()), _tie(values)
    hits = tried = 0
    for sums, _sizes in _subsets(values):
        # Flipping the signs of a subset subtracts twice its sum from the total.
        hits += int(np.count_nonzero(np.abs(total - 2 * sums) >= abs(total) - tie))
        tried += sums.size
    return hits / tried if values.size <= EXACT_UP_TO else (hits + 1) / (tried + 1)


def sign_flip_interval(differences: Sequence[float], alpha: float) -> Interval | None:
    """Return the 1 - alpha interval of the mean difference: all shifts the sign-flip test does not reject.

    The limits are the k-th smallest and k-th largest mean of a non-empty subset, k = floor(alpha * 2**(S -
    1)). None if k is 0: with so few pairs the test rejects nothing at `alpha`.

    Raises:
        ValueError: there are no differences, one is not finite, or `alpha` is not in (0, 1).
    """
    require_level(alpha)
    values, sign = _canonical(differences)
    smaller, larger = _pair_means(values)
    # The interval contains a shift if its `sign_flip_p` is above alpha; `rank` is the count this requires.
    exact = values.size <= EXACT_UP_TO
    rank = math.floor(alpha * smaller.size) + 1 if exact else math.floor(alpha * (smaller.size + 1))
    if rank == 0:
        return None
    low, high = _ranked(smaller, rank), -_ranked(-larger, rank)
    if math.isinf(low):
        return None
    return Interval(low, high, "test") if sign > 0 else Interval(0.0 - high, 0.0 - low, "test")


def student_interval(differences: Sequence[float], alpha: float) -> Interval | None:
    """Return mean +- t * sd / sqrt(S), assuming normal differences; None for fewer than three.

    Raises:
        ValueError: a difference is not finite, or `alpha` is not in (0, 1).
    """
    require_level(alpha)
    n = len(differences)
    mean, sd = mean_and_sd(differences)
    if n < 3 or mean is None or sd is None:
        return None
    from scipy.special import stdtrit

    half = float(stdtrit(n - 1, 1 - alpha / 2)) * sd / math.sqrt(n)
    return Interval(mean - half, mean + half, "t")


def mean_interval(differences: Sequence[float], alpha: float) -> Interval | None:
    """Return the sign-flip interval, or Student's t interval for too few pairs; None if neither exists."""
    if len(differences) == 0:
        return None
    return sign_flip_interval(differences, alpha) or student_interval(differences, alpha)


def exploratory_interval(differences: Sequence[float], alpha: float) -> Interval | None:
    """Return the interval of a metric without a verdict: `mean_interval`; Student's t from `MANY_PAIRS` on.

    A table may hold hundreds of such metrics. From `MANY_PAIRS` pairs the two intervals differ by about 1 %
    of their width.
    """
    if len(differences) < MANY_PAIRS:
        return mean_interval(differences, alpha)
    return student_interval(differences, alpha)


def sign_test_p(wins: int, losses: int) -> float:
    """Return the exact two-sided p-value of the sign test for `wins` and `losses`; ties are excluded.

    Raises:
        ValueError: a count is negative or no whole number.
    """
    require_counts(wins=wins, losses=losses)
    n = wins + losses
    tail = sum(math.comb(n, i) for i in range(max(wins, losses), n + 1))
    # A fraction, because the integers of many pairs are too large for floats.
    return min(1.0, float(Fraction(2 * tail, 2**n)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values, in the order given; valid for any dependence between the tests.

    Raises:
        ValueError: a p-value is NaN or outside [0, 1]; sorting would put a NaN anywhere.
    """
    require_p_values(p_values)
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def smallest_p(n_pairs: int) -> float:
    """Return the smallest two-sided p-value with S = `n_pairs` pairs: 2**(1 - S); 1 without pairs.

    Raises:
        ValueError: the number is negative or no whole one.
    """
    require_counts(n_pairs=n_pairs)
    return min(1.0, 2.0 ** (1 - n_pairs))


def least_seeds(n_arms: int, alpha: float) -> int:
    """Return the fewest seeds with which one of `n_arms` arms beside the baseline can pass Holm at `alpha`.

    That is the smallest S with n_arms * 2**(1 - S) <= alpha.

    Raises:
        ValueError: `alpha` is not in (0, 1), or `n_arms` is negative.
    """
    require_level(alpha)
    require_counts(n_arms=n_arms)
    seeds = 1
    while n_arms * smallest_p(seeds) > alpha:
        seeds += 1
    return seeds


def mean_and_sd(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Return mean and sample standard deviation (n - 1); None for fewer than one and two values.

    Raises:
        ValueError: a value is not finite.
    """
    require_finite(values, "values of a mean")
    if len(values) == 0:
        return None, None
    # `statistics` rounds once, at the end: means of equal numbers are exact, seed order has no effect.
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None


def _canonical(differences: Sequence[float]) -> tuple[FloatVector, int]:
    """Return the differences sorted, with the sign (1 or -1) that makes their sum non-negative.

    Results then do not depend on the order of seeds or arms.

    Raises:
        ValueError: there are no differences, or a difference is not finite.
    """
    values = np.sort(np.asarray(differences, dtype=np.float64))
    if values.size == 0 or not np.isfinite(values).all():
        raise ValueError("the sign-flip test needs at least one difference, and finite ones")
    return (values, 1) if values.sum() >= 0 else (np.sort(-values), -1)


def _tie(values: FloatVector) -> float:
    return _TIE * float(np.abs(values).sum())


def _subsets(values: FloatVector) -> Iterator[tuple[FloatVector, npt.NDArray[np.int64]]]:
    """Yield sums and sizes of subsets: one of every complementary pair; random ones above `EXACT_UP_TO`."""
    if values.size > EXACT_UP_TO:
        for start in range(0, RANDOM_FLIPS, _CHUNK):
            picked = _random_subsets(values.size, start, _CHUNK)
            yield picked @ values, picked.sum(axis=1)
        return
    sums, sizes = np.zeros(1), np.zeros(1, dtype=np.int64)
    # Flipping a subset or its complement gives the same absolute sum, so the last value can stay out.
    for value in values[:-1]:
        sums, sizes = np.concatenate([sums, sums + value]), np.concatenate([sizes, sizes + 1])
    yield sums, sizes


def _random_subsets(n: int, start: int, count: int) -> npt.NDArray[np.int64]:
    """Return `count` keyed random 0/1 rows of length `n`, numbered from `start`."""
    return random_bits(Key.of(0, "sign-flip", n), np.arange(start, start + count, dtype=np.int64), n)


def _pair_means(values: FloatVector) -> tuple[FloatVector, FloatVector]:
    """Return, for every subset, the smaller and the larger of its mean and its complement's mean.

    Flipping the subset gives a sum at least as extreme exactly for the shifts between the two means.
    Flipping none or all does so for every shift, so the empty and the full subset get -inf and inf.
    """
    parts = list(_subsets(values))
    sums, sizes = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    trivial = (sizes == 0) | (sizes == values.size)
    sizes = np.where(trivial, 1, sizes)
    tie = _tie(values) / 2
    inside, outside = (np.where(np.abs(part) <= tie, 0.0, part) for part in (sums, values.sum() - sums))
    means = inside / sizes, outside / np.maximum(values.size - sizes, 1)
    return np.where(trivial, -np.inf, np.minimum(*means)), np.where(trivial, np.inf, np.maximum(*means))


def _ranked(values: FloatVector, rank: int) -> float:
    """Return the `rank`-th smallest value, counted from 1."""
    return float(np.partition(values, rank - 1)[rank - 1])
