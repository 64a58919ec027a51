"""Seeds needed to detect a difference, and the difference that a given number of seeds can detect.

Planning uses the smallest difference that matters, set in advance, never the observed one: the observed
difference depends on chance.

The p-values of S pairs are multiples of 2**(1 - S), so the sign-flip test works at the largest multiple k *
2**(1 - S) not above its level. With few seeds k is 1 or 2, and the test has far less power than a t-test at
the same nominal level.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from maskbench.statistics.paired import least_seeds
from maskbench.statistics.validation import require_counts, require_level, require_positive

POWER = 0.8
"""Probability of detecting a true difference that seed counts are planned for."""

_PESSIMISM = 0.8
"""Confidence of the upper limit on the standard deviation, because one from few seeds is often too small."""

_FINEST = 50
"""Largest number of pairs with the level rounded down to a reachable one; above, rounding is negligible."""


@dataclass(frozen=True, slots=True)
class Family:
    """A set of tests that are corrected together."""

    n_arms: int
    """Number of arms beside the baseline."""
    alpha: float
    """Accepted probability of at least one false positive among the tests."""

    def __post_init__(self) -> None:
        """Check both numbers.

        Raises:
            ValueError: `alpha` is not in (0, 1), or `n_arms` is negative or no whole number.
        """
        require_level(self.alpha)
        require_counts(n_arms=self.n_arms)

    @property
    def share(self) -> float:
        """Level of each arm regardless of the other arms: alpha / n_arms (Bonferroni)."""
        return self.alpha / self.n_arms


@dataclass(frozen=True, slots=True)
class SeedRange:
    """Total number of seeds per arm, including those already run."""

    low: int
    """Seeds if the standard deviation is the observed one."""
    high: int
    """Seeds if the standard deviation is at its upper 80 % limit."""


def seeds_needed(sd: float, n_pairs: int, min_effect: float, family: Family) -> SeedRange:
    """Return the seeds with which a true difference of `min_effect` is detected with probability 0.8.

    The smallest S whose `detectable_effect` times the standard deviation is at most `min_effect`, and at
    least `least_seeds`.

    Args:
        sd: standard deviation of the paired differences.
        n_pairs: number of pairs that `sd` is estimated from, at least 2.
        min_effect: smallest difference that matters, > 0.
        family: number of arms and level of the tests.

    Raises:
        ValueError: a number is not in its range.
    """
    _require_plannable(sd, n_pairs, min_effect)
    floor = least_seeds(family.n_arms, family.alpha)

    def seen(seeds: int, ratio: float) -> bool:
        return detectable_effect(seeds, family.share) * ratio <= 1

    return _range(
        sd, n_pairs, lambda spread: _smallest(spread / min_effect, family.share / 2, POWER, floor, seen)
    )


def seeds_for_equivalence(sd: float, n_pairs: int, min_effect: float, family: Family) -> SeedRange:
    """Return the seeds with which an arm with no true difference gets `equivalent` with probability 0.8.

    The smallest S with S >= (t(1 - level) + t(0.9))**2 * (sd / min_effect)**2, t with S - 1 degrees of
    freedom: both one-sided tests must succeed (Julious 2004, "Sample sizes for clinical trials with normal
    data"). The level is the largest that S pairs reach within alpha / m. At least `least_seeds`. An arm with
    a small true difference needs more seeds.

    Args:
        sd: standard deviation of the paired differences.
        n_pairs: number of pairs that `sd` is estimated from, at least 2.
        min_effect: smallest difference that matters, > 0.
        family: number of arms and level of the tests; alpha / n_arms must be below 0.5.

    Raises:
        ValueError: a number is not in its range.
    """
    _require_plannable(sd, n_pairs, min_effect)
    if family.share >= 0.5:
        raise ValueError(f"alpha / n_arms must be below 0.5, got {family.share:g}")
    floor, both = least_seeds(family.n_arms, family.alpha), (1 + POWER) / 2

    def shown(seeds: int, ratio: float) -> bool:
        from scipy.special import stdtrit

        tail = family.share if seeds > _FINEST else _reachable(seeds, 2 * family.share)[1] / 2
        return seeds >= float(stdtrit(seeds - 1, 1 - tail) + stdtrit(seeds - 1, both)) ** 2 * ratio**2

    return _range(
        sd, n_pairs, lambda spread: _smallest(spread / min_effect, family.share, both, floor, shown)
    )


def detectable_effect(n_seeds: int, alpha: float) -> float:
    """Return the smallest true difference, in standard deviations, with power 0.8 in the sign-flip test.

    For normal differences. If only the smallest possible p is within alpha (k = 1), all differences must
    have the same sign, which has probability Phi(d)**S. For larger k it is `t_detectable_effect` at the
    reachable level plus 1 / k of the gap between the two at k = 1; simulated power is then 0.79 to 0.83
    (`tests/statistics/test_power.py`).

    Args:
        n_seeds: number of pairs, enough to reach `alpha`.
        alpha: level of the test, in (0, 1); for m arms together, alpha / m.

    Raises:
        ValueError: the test cannot reach `alpha` with so few pairs, or `alpha` is not in (0, 1).
    """
    from scipy.special import ndtri

    require_level(alpha)
    if n_seeds > _FINEST:
        return t_detectable_effect(n_seeds, alpha)
    rank, level = _reachable(n_seeds, alpha) if n_seeds > 1 else (0, 0.0)
    if rank == 0:
        raise ValueError(f"no difference has power {POWER:g} at level {alpha:g} with {n_seeds} seeds")
    smooth = t_detectable_effect(n_seeds, level)
    all_on_one_side = float(ndtri(POWER ** (1 / n_seeds)))
    return smooth + (all_on_one_side - t_detectable_effect(n_seeds, level / rank)) / rank


def t_detectable_effect(n_seeds: int, alpha: float, power: float = POWER) -> float:
    """Return the smallest true difference, in standard deviations, with `power` in the paired t-test.

    Exact, from the noncentral t distribution. The test is two-sided; only rejections with the right sign
    count.

    Args:
        n_seeds: number of pairs, at least 2.
        alpha: level of the test, in (0, 1).
        power: probability of detecting the difference, in (alpha, 1).

    Raises:
        ValueError: there are fewer than two pairs, or `power` is not in (alpha, 1).
    """
    from scipy.special import nctdtr, stdtrit

    if n_seeds < 2 or not 0 < alpha < power < 1:
        raise ValueError(f"no difference has power {power:g} at level {alpha:g} with {n_seeds} seeds")
    # The lower tail keeps precision: 1 minus a level that 60 pairs can reach rounds to 1.
    df, critical = n_seeds - 1, -float(stdtrit(n_seeds - 1, alpha / 2))

    def seen(effect: float) -> float:
        # A significant difference of the wrong sign is no detection; scipy returns nan for its probability.
        return float(1 - nctdtr(df, effect * math.sqrt(n_seeds), critical))

    high = 1.0
    while seen(high) < power:
        high *= 2
    return _crossing(seen, power, 0.0, high)


def pessimistic_factor(n_pairs: int) -> float:
    """Return upper 80 % limit / estimate of a standard deviation, from `n_pairs` >= 2 normal differences.

    Raises:
        ValueError: there are fewer than two pairs.
    """
    require_counts(2, n_pairs=n_pairs)
    from scipy.special import chdtri

    # chdtri takes the upper tail, so this is the lower 20 % point of chi-square.
    return math.sqrt((n_pairs - 1) / float(chdtri(n_pairs - 1, _PESSIMISM)))


def _reachable(n_seeds: int, alpha: float) -> tuple[int, float]:
    """Return k = floor(alpha * 2**(S - 1)), the rank reachable at `alpha`, and its level k / 2**(S - 1)."""
    vectors = 2 ** (n_seeds - 1)
    rank = math.floor(alpha * vectors)
    return rank, rank / vectors


def _require_plannable(sd: float, n_pairs: int, min_effect: float) -> None:
    require_positive(min_effect=min_effect)
    require_counts(2, n_pairs=n_pairs)
    if not 0 <= sd < math.inf:
        raise ValueError(f"sd must be a finite number of at least 0, got {sd}")


def _range(sd: float, n_pairs: int, needed: Callable[[float], int]) -> SeedRange:
    return SeedRange(needed(sd), needed(sd * pessimistic_factor(n_pairs)))


def _smallest(
    ratio: float, tail: float, power: float, floor: int, enough: Callable[[int, float], bool]
) -> int:
    """Return the smallest S >= floor that is enough at standard deviation / difference = `ratio`."""
    from scipy.special import ndtri

    # Normal quantiles are below those of t, so counting up from their result cannot skip the smallest S.
    seeds = max(2, floor, math.ceil(float(ndtri(1 - tail) + ndtri(power)) ** 2 * ratio**2))
    while not enough(seeds, ratio):
        seeds += 1
    return seeds


def _crossing(rising: Callable[[float], float], level: float, low: float, high: float) -> float:
    """Return by bisection where `rising` reaches `level`, given rising(low) < level <= rising(high)."""
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < level else (low, middle)
    return high
