"""Effect sizes beside the mean difference: win rate, relative difference, d_z, pairing gain, time ratio."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from maskbench.statistics.paired import mean_and_sd, student_interval
from maskbench.statistics.validation import require_counts, require_finite, require_positive

_Z95 = 1.959963984540054
"""97.5 % quantile of the standard normal distribution."""


@dataclass(frozen=True, slots=True)
class WinRate:
    """Share of wins in [0, 1] with the limits of its 95 % Wilson interval (Wilson 1927)."""

    value: float
    low: float
    high: float


def win_rate(wins: int, n: int) -> WinRate | None:
    """Return wins / n with its 95 % Wilson interval; None if n is 0.

    The interval (Wilson 1927, "Probable inference, the law of succession, and statistical inference") stays
    inside [0, 1] and has positive width even for 8 wins in 8.

    Raises:
        ValueError: a count is negative or no whole number, or there are more wins than pairs.
    """
    require_counts(n=n, wins=wins)
    if wins > n:
        raise ValueError(f"wins must be at most n, got {wins} of {n}")
    if n == 0:
        return None
    share, z2 = wins / n, _Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # For 0 or n wins the limit is exactly 0 or 1; rounding must not move it.
    low, high = (0.0 if wins == 0 else centre - half), (1.0 if wins == n else centre + half)
    return WinRate(share, low, high)


def relative_difference(own: Sequence[float], baseline: Sequence[float]) -> float | None:
    """Return mean difference / |baseline mean|; None if there are no scores or the baseline mean is 0.

    Args:
        own: the arm's scores, one per seed.
        baseline: the baseline's scores, for the same seeds in the same order.
    """
    mean, _ = mean_and_sd(baseline)
    gap, _ = mean_and_sd(_gaps(own, baseline))
    return _finite(gap / abs(mean)) if gap is not None and mean else None


def d_z(own: Sequence[float], baseline: Sequence[float]) -> float | None:
    """Return mean difference / standard deviation of the differences, times Hedges' 1 - 3 / (4 (S - 1) - 1).

    The factor removes the upward bias with few seeds (Hedges 1981, "Distribution theory for Glass's
    estimator of effect size"). None for fewer than three pairs, and if the differences do not vary.
    """
    mean, sd = mean_and_sd(_gaps(own, baseline))
    n = len(own)
    if n < 3 or mean is None or not sd:
        return None
    return _finite((1 - 3 / (4 * (n - 1) - 1)) * mean / sd)


def pairing_gain(own: Sequence[float], baseline: Sequence[float]) -> float | None:
    """Return the share of variance that pairing removes: 1 - Var(difference) / (Var(arm) + Var(baseline)).

    In [-1, 1]; negative if runs with the same seed differ more than runs with different seeds. None for
    fewer than two pairs, and if no score varies.
    """
    (_, own_sd), (_, base_sd), (_, gap_sd) = map(mean_and_sd, (own, baseline, _gaps(own, baseline)))
    if own_sd is None or base_sd is None or gap_sd is None or own_sd == base_sd == 0:
        return None
    # Dividing by the larger standard deviation keeps the squares from overflowing.
    largest = max(own_sd, base_sd)
    return 1 - (gap_sd / largest) ** 2 / ((own_sd / largest) ** 2 + (base_sd / largest) ** 2)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _gaps(own: Sequence[float], baseline: Sequence[float]) -> list[float]:
    return [a - b for a, b in zip(own, baseline, strict=True)]


BATCHES = 10
"""Largest number of batches of consecutive steps; their means are treated as independent."""
STEPS_PER_BATCH = 3
"""Smallest number of steps of a batch, where that leaves three batches."""


@dataclass(frozen=True, slots=True)
class RatioEstimate:
    """Geometric mean ratio with the limits of its 95 % interval, None for fewer than three batches."""

    value: float
    low: float | None
    high: float | None

    @property
    def half_width(self) -> float | None:
        """How far the upper limit is from the value, relative to it; None without limits."""
        return None if self.high is None else self.high / self.value - 1.0


def batch_mean_logs(seconds: Sequence[float]) -> list[float]:
    """Return the mean log step time of up to `BATCHES` batches of consecutive steps, at least three if there are so many.

    Single steps are not independent: a disturbance of the machine lasts several steps, and the order of the
    arms within a turn repeats. Effects of a few steps stay within a batch, and the ratio of two arms per
    batch cancels effects common to all arms, so batch ratios are much closer to independent (method of batch
    means; Schmeiser 1982, "Batch size effects in the analysis of simulation output", finds no gain in more
    than 10 to 30 batches).

    Args:
        seconds: step times, each > 0, in the order of the steps.

    Raises:
        ValueError: a step time is not a finite number above 0.
    """
    require_positive(**{f"step time {index}": value for index, value in enumerate(seconds)})
    n = len(seconds)
    count = min(n, max(3, min(BATCHES, n // STEPS_PER_BATCH)))
    edges = [n * i // count for i in range(count + 1)] if count else [0]
    logs = [math.log(value) for value in seconds]
    return [math.fsum(logs[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]


def geometric_mean_ratio(own: Sequence[float], baseline: Sequence[float]) -> RatioEstimate | None:
    """Return the geometric mean of own time / baseline time, with Student's t interval of the logarithms.

    Args:
        own: the arm's `batch_mean_logs`.
        baseline: the baseline's `batch_mean_logs`, for the same steps.

    Returns:
        None without a batch, or if the two differ in length.

    Raises:
        ValueError: a logarithm is not finite.
    """
    require_finite((*own, *baseline), "logarithms of step times")
    if not own or len(own) != len(baseline):
        return None
    gaps = [a - b for a, b in zip(own, baseline, strict=True)]
    limits = student_interval(gaps, 0.05)
    value = math.exp(math.fsum(gaps) / len(gaps))
    if limits is None:
        return RatioEstimate(value, None, None)
    return RatioEstimate(value, math.exp(limits.low), math.exp(limits.high))
