"""Sequential test on wins and losses: an e-value that stays valid if it is checked after every seed.

If an arm does not differ from the baseline, each pair is won with probability 1/2. The e-value after k wins
in n pairs is the likelihood ratio of a uniform mixture over all win probabilities against 1/2: E = 2**n /
((n + 1) * C(n, k)) (Robbins 1970, "Statistical methods related to the law of the iterated logarithm").
Without a difference, E ever reaches 1 / p with probability at most p (Ville 1939), so checking after every
seed and stopping at a large E keeps the agreed false positive rate. Only the sign of a difference counts,
not its size.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

from maskbench.statistics.validation import require_counts, require_level

Rule: TypeAlias = Literal["fixed", "sequential"]
"""`fixed`: the seeds are fixed in advance. `sequential`: seeds are added until the comparison is decided."""


MIN_IDENTICAL_PAIRS = 3
"""Number of byte-identical pairs after which an arm gets no more seeds, because it has no effect."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Largest e-value over the checks after every pair, with its wins and losses."""

    e_value: float
    """Largest e-value, at least 1 (its value before the first pair)."""
    wins: int
    losses: int
    """Wins and losses when the e-value was largest; more wins favour the arm."""

    @property
    def p(self) -> float:
        """1 / e_value: upper limit on the probability of this e-value at any check without a difference."""
        return 1.0 / self.e_value


def e_value(wins: int, losses: int) -> float:
    """Return the e-value 2**n / ((n + 1) * C(n, wins)) for n = wins + losses untied pairs; 1 for n = 0.

    Raises:
        ValueError: a count is negative or no whole number.
    """
    require_counts(wins=wins, losses=losses)
    n = wins + losses
    # A fraction, because the integers of many pairs are too large for floats.
    try:
        return float(Fraction(2**n, (n + 1) * math.comb(n, wins)))
    except OverflowError:  # E itself overflows from about a thousand wins in a row.
        return sys.float_info.max


def strongest_evidence(differences: Iterable[float]) -> Evidence:
    """Return the largest e-value after any of the differences, taken in the order of the seeds.

    The order must not depend on the results. Only signs count: pairs with one diverged run are 1 or -1, and
    zeros are left out.

    Raises:
        ValueError: a difference is NaN, which is neither a win nor a loss.
    """
    best, wins, losses = Evidence(1.0, 0, 0), 0, 0
    for index, difference in enumerate(differences):
        if math.isnan(difference):
            raise ValueError(f"differences must have a sign, but number {index} is {difference}")
        wins, losses = wins + int(difference > 0), losses + int(difference < 0)
        now = e_value(wins, losses)
        if now > best.e_value:
            best = Evidence(now, wins, losses)
    return best


def is_futile(wins: int, losses: int, limit: int, n_arms: int, alpha: float) -> bool:
    """Return whether no further pairs can bring the evidence to n_arms / alpha.

    The best case is that the side that is ahead wins all pairs up to the limit. Stopping an arm for futility
    cannot cause a false positive.

    Args:
        wins: number of pairs won so far.
        losses: number of pairs lost so far.
        limit: largest possible number of untied pairs in total.
        n_arms: number of arms corrected together; decided arms may be left out, because Holm's method
            then requires a smaller e-value of the others.
        alpha: accepted probability of a false positive among all arms.

    Raises:
        ValueError: a count is negative or no whole number, or `alpha` is not in (0, 1).
    """
    require_level(alpha)
    require_counts(wins=wins, losses=losses, limit=limit, n_arms=n_arms)
    ahead, behind = max(wins, losses), min(wins, losses)
    left = max(0, limit - wins - losses)
    return e_value(ahead + left, behind) < n_arms / alpha


def least_pairs(n_arms: int, alpha: float) -> int:
    """Return the fewest untied pairs whose e-value reaches n_arms / alpha if one side wins all of them.

    Raises:
        ValueError: `alpha` is not in (0, 1), or `n_arms` is negative.
    """
    require_level(alpha)
    require_counts(n_arms=n_arms)
    n = 1
    while e_value(n, 0) < n_arms / alpha:
        n += 1
    return n
