"""How large a difference is, beside its mean: wins, share of the baseline, standard deviations, and what pairing gave."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from maskbench.statistics.paired import mean_and_sd, student_interval

_Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class WinRate:
    """A share with its Wilson interval (Wilson 1927), 95 %."""

    value: float
    low: float
    high: float


def win_rate(wins: int, n: int) -> WinRate | None:
    """Return wins / n with its 95 % interval; None without a pair.

    The interval is Wilson's (1927, "Probable inference, the law of succession, and statistical inference"), which stays
    inside [0, 1] and says something of 8 wins in 8.
    """
    if n == 0:
        return None
    share, z2 = wins / n, _Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # At the ends the limit is the end itself; rounding must not move it.
    low, high = (0.0 if wins == 0 else centre - half), (1.0 if wins == n else centre + half)
    return WinRate(share, low, high)


def relative_difference(own: Sequence[float], baseline: Sequence[float]) -> float | None:
    """Return the mean difference as a share of the baseline's absolute mean; None where that is 0 or unknown.

    Args:
        own: an arm's scores, by seed.
        baseline: the baseline's, of the same seeds.
    """
    mean, _ = mean_and_sd(baseline)
    gap, _ = mean_and_sd(_gaps(own, baseline))
    return _finite(gap / abs(mean)) if gap is not None and mean else None


def d_z(own: Sequence[float], baseline: Sequence[float]) -> float | None:
    """Return mean difference / standard deviation of the differences, times Hedges' 1 - 3 / (4 (S - 1) - 1).

    The factor takes out what few seeds exaggerate (Hedges 1981, "Distribution theory for Glass's estimator of effect
    size"). None for fewer than three pairs, of which nothing would be left, and where the differences do not vary.
    """
    mean, sd = mean_and_sd(_gaps(own, baseline))
    n = len(own)
    if n < 3 or mean is None or not sd:
        return None
    return _finite((1 - 3 / (4 * (n - 1) - 1)) * mean / sd)


def pairing_gain(own: Sequence[float], baseline: Sequence[float]) -> float | None:
    """Return 1 - Var(difference) / (Var(arm) + Var(baseline)): what common random numbers took out of the variance.

    In [-1, 1], and negative where runs of one seed differ more than runs of different seeds. None for fewer than two
    pairs, and where no score varies.
    """
    (_, own_sd), (_, base_sd), (_, gap_sd) = map(mean_and_sd, (own, baseline, _gaps(own, baseline)))
    if own_sd is None or base_sd is None or gap_sd is None or own_sd == base_sd == 0:
        return None
    # By the larger spread, so that squares stay within what a float can hold.
    largest = max(own_sd, base_sd)
    return 1 - (gap_sd / largest) ** 2 / ((own_sd / largest) ** 2 + (base_sd / largest) ** 2)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _gaps(own: Sequence[float], baseline: Sequence[float]) -> list[float]:
    return [a - b for a, b in zip(own, baseline, strict=True)]


BATCHES = 10
"""Groups of consecutive steps whose means count as independent."""


@dataclass(frozen=True, slots=True)
class RatioEstimate:
    """A geometric mean ratio with its 95 % interval; without limits where there are too few batches."""

    value: float
    low: float | None
    high: float | None


def batch_mean_logs(seconds: Sequence[float]) -> list[float]:
    """Return the mean logarithm of step times in `BATCHES` runs of consecutive steps, fewer if there are fewer steps.

    Single steps are no independent sample: a machine that is disturbed stays so for a while, and who goes first in a
    turn comes round again. What lasts a few steps stays within a batch, and dividing batch by batch takes out what
    befalls all arms, so the ratios of batches are far nearer to independent (the method of batch means; Schmeiser 1982,
    "Batch size effects in the analysis of simulation output", who finds no gain in more than 10 to 30 of them).

    Args:
        seconds: each > 0, in the order of the steps.
    """
    n, count = len(seconds), min(BATCHES, len(seconds))
    edges = [n * i // count for i in range(count + 1)] if count else [0]
    logs = [math.log(value) for value in seconds]
    return [math.fsum(logs[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]


def geometric_mean_ratio(own: Sequence[float], baseline: Sequence[float]) -> RatioEstimate | None:
    """Return the geometric mean of own time / baseline's time, with Student's t on the logarithms.

    Args:
        own: an arm's `batch_mean_logs`.
        baseline: the baseline's, of the same steps.

    Returns:
        None without a batch, or if the two are not of the same steps.
    """
    if not own or len(own) != len(baseline):
        return None
    gaps = [a - b for a, b in zip(own, baseline, strict=True)]
    limits = student_interval(gaps, 0.05)
    value = math.exp(math.fsum(gaps) / len(gaps))
    if limits is None:
        return RatioEstimate(value, None, None)
    return RatioEstimate(value, math.exp(limits.low), math.exp(limits.high))
