"""How many seeds a difference takes, and which difference given seeds can show.

The difference to look for is the one somebody declared to matter, never the one observed: planning for the observed
difference promises what luck has shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from maskbench.statistics.paired import least_seeds

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
    floor = least_seeds(family.n_arms, family.alpha)
    tail = 1 - family.alpha / family.n_arms / 2
    return _range(sd, n_pairs, lambda spread: _smallest(spread / min_effect, tail, POWER, floor))


def seeds_for_equivalence(sd: float, n_pairs: int, min_effect: float, family: Family) -> SeedRange:
    """Return the seeds with which an arm that does not differ at all is found `equivalent` four times out of five.

    As `seeds_needed`, with t(1 - alpha) + t(0.9) for the two one-sided tests, which both have to succeed (Julious 2004,
    "Sample sizes for clinical trials with normal data"). That claim is made of each arm alone, but not with fewer seeds
    than `least_seeds`. An arm that does differ a little takes more.

    Args:
        sd: standard deviation of the paired differences, from `n_pairs` >= 2 of them.
        n_pairs: how many pairs it was estimated from.
        min_effect: the smallest difference that matters, > 0.
        family: how many arms are tested, at which level, here below 0.5.
    """
    floor, both = least_seeds(family.n_arms, family.alpha), (1 + POWER) / 2
    return _range(sd, n_pairs, lambda spread: _smallest(spread / min_effect, 1 - family.alpha, both, floor))


def detectable_effect(n_seeds: int, alpha: float, power: float = POWER) -> float:
    """Return the smallest true difference that `n_seeds` pairs show with this power, in standard deviations of theirs.

    Exactly, by the noncentral t distribution of the two-sided paired t-test and its right side, which the sign-flip test hardly falls
    short of from 8 seeds. With fewer seeds than `least_seeds` this is what a t-test would show; the sign-flip test then
    shows nothing.

    Args:
        n_seeds: pairs, at least 2.
        alpha: the level of the test, in (0, 1); for m arms together, alpha / m.
        power: the chance of seeing the difference, in (alpha, 1).

    Raises:
        ValueError: there are fewer than two pairs, or the power does not lie above alpha and below 1.
    """
    from scipy.special import nctdtr, stdtrit

    if n_seeds < 2 or not 0 < alpha < power < 1:
        raise ValueError(f"no difference has power {power:g} at level {alpha:g} with {n_seeds} seeds")
    df, critical = n_seeds - 1, float(stdtrit(n_seeds - 1, 1 - alpha / 2))

    def seen(effect: float) -> float:
        # A significant difference of the wrong sign has not been seen; scipy gives nan for that chance anyway.
        return float(1 - nctdtr(df, effect * math.sqrt(n_seeds), critical))

    high = 1.0
    while seen(high) < power:
        high *= 2
    return _crossing(seen, power, 0.0, high)


def pessimistic_factor(n_pairs: int) -> float:
    """Return upper 80 % limit of a spread / spread seen, for one estimated from `n_pairs` >= 2 normal differences."""
    from scipy.special import chdtri

    # chdtri takes the upper tail, so this is the lower 20 % point of chi-square.
    return math.sqrt((n_pairs - 1) / float(chdtri(n_pairs - 1, _PESSIMISM)))


def _range(sd: float, n_pairs: int, needed: Callable[[float], int]) -> SeedRange:
    return SeedRange(needed(sd), needed(sd * pessimistic_factor(n_pairs)))


def _smallest(ratio: float, tail: float, power: float, floor: int) -> int:
    """Return the smallest S >= floor with S >= (t(tail) + t(power))**2 * ratio**2."""
    from scipy.special import ndtri, stdtrit

    # Normal quantiles are below those of t, so counting up from there cannot miss the smallest.
    seeds = max(2, floor, math.ceil(float(ndtri(tail) + ndtri(power)) ** 2 * ratio**2))
    while seeds < float(stdtrit(seeds - 1, tail) + stdtrit(seeds - 1, power)) ** 2 * ratio**2:
        seeds += 1
    return seeds


def _crossing(rising: Callable[[float], float], level: float, low: float, high: float) -> float:
    """Return where a rising function reaches a level, by halving; it is below at `low` and not at `high`."""
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < level else (low, middle)
    return high
