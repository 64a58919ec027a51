"""How many seeds a difference takes, and which difference given seeds can show.

The difference to look for is the one somebody declared to matter, never the one observed: planning for the observed
difference promises what luck has shown.

The p-values of S pairs are multiples of 2**(1 - S), so the sign-flip test works at the largest multiple k * 2**(1 - S)
that is not above its level. With few seeds k is 1 or 2, and the test far weaker than a t-test at the level asked for.
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

_FINEST = 50
"""With more pairs than this a level loses nothing by being rounded down to what they reach."""


@dataclass(frozen=True, slots=True)
class Family:
    """The tests that are corrected together."""

    n_arms: int
    """Arms beside the baseline."""
    alpha: float
    """The chance of at least one false alarm among them that is put up with."""

    @property
    def share(self) -> float:
        """The level that is left to each arm whatever the others show (Bonferroni)."""
        return self.alpha / self.n_arms


@dataclass(frozen=True, slots=True)
class SeedRange:
    """Seeds per arm, in all and not in addition."""

    low: int
    """If the spread is as seen."""
    high: int
    """If it is at its upper 80 % limit."""


def seeds_needed(sd: float, n_pairs: int, min_effect: float, family: Family) -> SeedRange:
    """Return the seeds with which a true difference of `min_effect` is seen four times out of five.

    The smallest S whose `detectable_effect` is no larger, and never fewer than the test can use at all (`least_seeds`).

    Args:
        sd: standard deviation of the paired differences, from `n_pairs` >= 2 of them.
        n_pairs: how many pairs it was estimated from.
        min_effect: the smallest difference that matters, > 0.
        family: how many arms are tested, at which level.
    """
    floor = least_seeds(family.n_arms, family.alpha)

    def seen(seeds: int, ratio: float) -> bool:
        return detectable_effect(seeds, family.share) * ratio <= 1

    return _range(
        sd, n_pairs, lambda spread: _smallest(spread / min_effect, family.share / 2, POWER, floor, seen)
    )


def seeds_for_equivalence(sd: float, n_pairs: int, min_effect: float, family: Family) -> SeedRange:
    """Return the seeds with which an arm that does not differ at all is found `equivalent` four times out of five.

    The smallest S with S >= (t(1 - level) + t(0.9))**2 * (sd / min_effect)**2, t with S - 1 degrees of freedom, for the
    two one-sided tests, which both have to succeed (Julious 2004, "Sample sizes for clinical trials with normal data"),
    at the level that S pairs reach of alpha / m. Never fewer than `least_seeds`. An arm that does differ a little takes
    more.

    Args:
        sd: standard deviation of the paired differences, from `n_pairs` >= 2 of them.
        n_pairs: how many pairs it was estimated from.
        min_effect: the smallest difference that matters, > 0.
        family: how many arms are tested, at which level; alpha / arms here below 0.5.
    """
    floor, both = least_seeds(family.n_arms, family.alpha), (1 + POWER) / 2

    def shown(seeds: int, ratio: float) -> bool:
        from scipy.special import stdtrit

        tail = family.share if seeds > _FINEST else _reachable(seeds, 2 * family.share)[1] / 2
        return seeds >= float(stdtrit(seeds - 1, 1 - tail) + stdtrit(seeds - 1, both)) ** 2 * ratio**2

    return _range(
        sd, n_pairs, lambda spread: _smallest(spread / min_effect, family.share, both, floor, shown)
    )


def detectable_effect(n_seeds: int, alpha: float) -> float:
    """Return the smallest true difference that `n_seeds` pairs show four times out of five, in standard deviations.

    Of the sign-flip test, for normal differences. Where only the smallest p it can reach is small enough (k = 1), all
    pairs have to fall on one side, which has the chance Phi(d)**S. For larger k it is `t_detectable_effect` at the level
    that can be reached, and 1 / k of what that falls short by at k = 1: in simulations the power is then 0.79 to 0.83
    (`tests/statistics/test_power.py`).

    Args:
        n_seeds: pairs, enough to reach `alpha` at all.
        alpha: the level of the test, in (0, 1); for m arms together, alpha / m.

    Raises:
        ValueError: so few pairs cannot reach `alpha`, or it is no level.
    """
    from scipy.special import ndtri

    if n_seeds > _FINEST:
        return t_detectable_effect(n_seeds, alpha)
    rank, level = _reachable(n_seeds, alpha) if n_seeds > 1 else (0, 0.0)
    if rank == 0:
        raise ValueError(f"no difference has power {POWER:g} at level {alpha:g} with {n_seeds} seeds")
    smooth = t_detectable_effect(n_seeds, level)
    all_on_one_side = float(ndtri(POWER ** (1 / n_seeds)))
    return smooth + (all_on_one_side - t_detectable_effect(n_seeds, level / rank)) / rank


def t_detectable_effect(n_seeds: int, alpha: float, power: float = POWER) -> float:
    """Return the smallest true difference that the paired t-test shows with this power, in standard deviations.

    Exactly, by the noncentral t distribution of the two-sided test and its right side.

    Args:
        n_seeds: pairs, at least 2.
        alpha: the level of the test, in (0, 1).
        power: the chance of seeing the difference, in (alpha, 1).

    Raises:
        ValueError: there are fewer than two pairs, or the power does not lie above alpha and below 1.
    """
    from scipy.special import nctdtr, stdtrit

    if n_seeds < 2 or not 0 < alpha < power < 1:
        raise ValueError(f"no difference has power {power:g} at level {alpha:g} with {n_seeds} seeds")
    # By the lower tail: 1 minus a level that 60 pairs can reach is 1.
    df, critical = n_seeds - 1, -float(stdtrit(n_seeds - 1, alpha / 2))

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


def _reachable(n_seeds: int, alpha: float) -> tuple[int, float]:
    """Return how many of 2**(S - 1) sign vectors may be as extreme at `alpha`, and which level that makes."""
    vectors = 2 ** (n_seeds - 1)
    rank = math.floor(alpha * vectors)
    return rank, rank / vectors


def _range(sd: float, n_pairs: int, needed: Callable[[float], int]) -> SeedRange:
    return SeedRange(needed(sd), needed(sd * pessimistic_factor(n_pairs)))


def _smallest(
    ratio: float, tail: float, power: float, floor: int, enough: Callable[[int, float], bool]
) -> int:
    """Return the smallest S >= floor that is enough for a spread of `ratio` times the difference."""
    from scipy.special import ndtri

    # Normal quantiles are below those of t, so counting up from there cannot miss the smallest.
    seeds = max(2, floor, math.ceil(float(ndtri(1 - tail) + ndtri(power)) ** 2 * ratio**2))
    while not enough(seeds, ratio):
        seeds += 1
    return seeds


def _crossing(rising: Callable[[float], float], level: float, low: float, high: float) -> float:
    """Return where a rising function reaches a level, by halving; it is below at `low` and not at `high`."""
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < level else (low, middle)
    return high
