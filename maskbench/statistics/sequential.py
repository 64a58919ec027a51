"""Looking after every seed without raising false alarms: the evidence of wins and losses, valid at any moment.

If an arm does not differ from the baseline, each pair is a fair coin toss. Betting against that with every winning
probability at once, uniformly mixed, leaves a capital of E = 2**n / ((n + 1) * C(n, k)) after k wins in n tosses
(Robbins 1970, "Statistical methods related to the law of the iterated logarithm"). Capital won in a fair game rises to
1 / p at any time with a chance of at most p (Ville 1939), so whoever looks after every seed and stops when E is large
is wrong no more often than was agreed. How large a difference was plays no part, only its side.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

Rule: TypeAlias = Literal["fixed", "sequential"]
"""Whether the seeds were fixed in advance, or are added until the comparison is decided."""


MIN_IDENTICAL_PAIRS = 3
"""Pairs that must be the same byte for byte before an arm is closed as one that does nothing."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The strongest evidence over all looks, one after every pair."""

    e_value: float
    """At least 1, the value before the first pair."""
    wins: int
    losses: int
    """At that look: they say for whom it speaks."""

    @property
    def p(self) -> float:
        """An upper limit on the chance of so much evidence, at any look, if nothing differs."""
        return 1.0 / self.e_value


def e_value(wins: int, losses: int) -> float:
    """Return 2**n / ((n + 1) * C(n, wins)) for n = wins + losses untied pairs; 1 without any."""
    n = wins + losses
    # A fraction, because the integers of many pairs are too large for floats.
    try:
        return float(Fraction(2**n, (n + 1) * math.comb(n, wins)))
    except OverflowError:  # From a thousand wins in a row on so is E itself.
        return sys.float_info.max


def strongest_evidence(differences: Iterable[float]) -> Evidence:
    """Return the strongest evidence after any of the differences, taken in the order of the seeds.

    The order must not depend on the results. Only signs count, so 1 and -1 may stand for pairs of which one run diverged; zeros are left out.
    """
    best, wins, losses = Evidence(1.0, 0, 0), 0, 0
    for difference in differences:
        wins, losses = wins + int(difference > 0), losses + int(difference < 0)
        now = e_value(wins, losses)
        if now > best.e_value:
            best = Evidence(now, wins, losses)
    return best


def is_futile(wins: int, losses: int, limit: int, n_arms: int, alpha: float) -> bool:
    """Return whether no further pairs can bring the evidence to n_arms / alpha.

    Even if all pairs up to the limit fell to the side that is ahead. Giving up then cannot cause a false alarm.

    Args:
        wins: pairs won so far.
        losses: pairs lost so far.
        limit: pairs there can be in all, tied ones left out.
        n_arms: arms that are corrected together; those already decided may be left out, because Holm's method then
            asks less of the others.
        alpha: the chance of a false alarm among all of them.
    """
    ahead, behind = max(wins, losses), min(wins, losses)
    left = max(0, limit - wins - losses)
    return e_value(ahead + left, behind) < n_arms / alpha


def least_pairs(n_arms: int, alpha: float) -> int:
    """Return the fewest untied pairs that can decide anything: all on one side, the evidence at least n_arms / alpha."""
    n = 1
    while e_value(n, 0) < n_arms / alpha:
        n += 1
    return n
