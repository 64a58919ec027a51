"""Outcome counts of all pairs of runs: one run of an arm, one of the baseline, with the same seed.

Positive differences mean that the arm is better than the baseline.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PairedRuns:
    """Differences and outcome counts of one arm against the baseline; one pair per seed."""

    differences: tuple[float, ...] = ()
    """Metric differences of pairs in which both runs finished; positive means the arm is better."""
    baseline_diverged: int = 0
    """Number of pairs in which only the baseline diverged; they count as wins."""
    arm_diverged: int = 0
    """Number of pairs in which only the arm diverged; they count as losses."""
    both_diverged: int = 0
    """Number of pairs in which both runs diverged; they are dropped."""
    lost: int = 0
    """Number of pairs with a run that failed, is damaged, or belongs elsewhere; they are dropped."""
    waiting: int = 0
    """Number of pairs with a run that is not done yet, and none that failed."""
    identical: bool = False
    """Whether in all finished pairs (at least one) both runs logged and wrote identical bytes."""
    alike: int = 0
    """Number of finished pairs in which both runs logged and wrote identical bytes."""
    sides: tuple[float, ...] | None = None
    """Signs for the sequential rule: positive for a win, negative for a loss, 0 for neither.

    In the order of the seeds, up to the first waiting pair. None: `differences`, then the diverged pairs.
    """

    @property
    def wins(self) -> int:
        """Number of pairs in which the arm is better, or only the baseline diverged."""
        return sum(d > 0 for d in self.differences) + self.baseline_diverged

    @property
    def losses(self) -> int:
        """Number of pairs in which the arm is worse, or only the arm diverged."""
        return sum(d < 0 for d in self.differences) + self.arm_diverged

    @property
    def ties(self) -> int:
        """Number of finished pairs with a difference of exactly 0."""
        return sum(d == 0 for d in self.differences)

    @property
    def diverged(self) -> int:
        """Number of pairs in which exactly one run diverged."""
        return self.baseline_diverged + self.arm_diverged

    @property
    def n(self) -> int:
        """Number of pairs that the test counts, ties included."""
        return len(self.differences) + self.diverged

    @property
    def planned(self) -> int:
        """Number of planned pairs: counted, dropped and waiting."""
        return self.n + self.dropped + self.waiting

    @property
    def dropped(self) -> int:
        """Number of pairs that cannot count: lost, or both runs diverged."""
        return self.lost + self.both_diverged

    @property
    def in_order(self) -> tuple[float, ...]:
        """`sides`; if None, the differences followed by 1 or -1 per diverged pair."""
        if self.sides is not None:
            return self.sides
        return (*self.differences, *[1.0] * self.baseline_diverged, *[-1.0] * self.arm_diverged)

    @property
    def informative(self) -> int:
        """Number of pairs that count towards the fewest seeds of the test; the sign test leaves out ties."""
        return self.wins + self.losses if self.diverged else self.n
