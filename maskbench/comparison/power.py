"""How many seeds a difference takes, from the spread that a few seeds have shown.

The difference to look for is the one somebody declared to matter, never the one observed: planning for the observed
difference promises what luck has shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from maskbench.comparison.statistics import least_seeds

POWER = 0.8
"""The chance of seeing a difference that is there, for which seeds are counted."""

_PESSIMISM = 0.8
"""The confidence of the upper limit on the spread, since a spread from few seeds is often too small."""


@dataclass(frozen=True, slots=True)
class Family:
    """The tests that are corrected together."""

    n_arms: int
    """Arms beside the baseline."""
    alpha: float
    """The chance of at least one false alarm among them that is put up with."""


@dataclass(frozen=True, slots=True)
class SeedRange:
    """Seeds per arm, in all and not in addition."""

    low: int
    """If the spread is as seen."""
    high: int
    """If it is at its upper 80 % limit."""


def seeds_needed(sd: float, n_pairs: int, min_effect: float, family: Family) -> SeedRange:
    """Return the seeds with which a true difference of `min_effect` is seen four times out of five.

    The smallest S with S >= (t(1 - alpha/2m) + t(0.8))**2 * (sd / min_effect)**2, t with S - 1 degrees of freedom, and
    never fewer than the test can use at all (`least_seeds`).

    Args:
        sd: standard deviation of the paired differences, from `n_pairs` >= 2 of them.
        n_pairs: how many pairs it was estimated from.
        min_effect: the smallest difference that matters, > 0.
        family: how many arms are tested, at which level.
    """
    from scipy.special import chdtri

    # chdtri takes the upper tail, so this is the lower 20 % point of chi-square.
    factor = math.sqrt((n_pairs - 1) / float(chdtri(n_pairs - 1, _PESSIMISM)))
    low, high = (_smallest(spread / min_effect, family) for spread in (sd, sd * factor))
    return SeedRange(low, high)


def _smallest(ratio: float, family: Family) -> int:
    from scipy.special import ndtri, stdtrit

    floor = max(2, least_seeds(family.n_arms, family.alpha))
    tail = 1 - family.alpha / family.n_arms / 2
    # Normal quantiles are below those of t, so counting up from there cannot miss the smallest.
    seeds = max(floor, math.ceil(float(ndtri(tail) + ndtri(POWER)) ** 2 * ratio**2))
    while seeds < float(stdtrit(seeds - 1, tail) + stdtrit(seeds - 1, POWER)) ** 2 * ratio**2:
        seeds += 1
    return seeds
