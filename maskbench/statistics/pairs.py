"""One arm against the baseline: how every pair of runs with the same seed ended.

Differences are turned so that positive means "the arm is better than the baseline".
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PairedRuns:
    """One arm against the baseline, seed by seed."""

    differences: tuple[float, ...] = ()
    """Where both runs finished; positive is better."""
    baseline_diverged: int = 0
    """Pairs in which only the baseline diverged: wins."""
    arm_diverged: int = 0
    """Pairs in which only the arm diverged: losses."""
    both_diverged: int = 0
    """Pairs that say nothing either way."""
    lost: int = 0
    """Pairs of which a run failed, is damaged, or belongs elsewhere."""
    waiting: int = 0
    """Pairs of which a run is still to be done."""
    identical: bool = False
    """Whether in all pairs both runs logged and wrote the same bytes."""
    alike: int = 0
    """In how many they did."""
    sides: tuple[float, ...] | None = None
    """For the sequential rule: positive for a win, negative for a loss, 0 for neither, in the order of the seeds and up
    to the first pair that is waiting. None: as the differences lie, the diverged pairs after them."""

    @property
    def wins(self) -> int:
        """Pairs in which the arm did better."""
        return sum(d > 0 for d in self.differences) + self.baseline_diverged

    @property
    def losses(self) -> int:
        """Pairs in which the arm did worse."""
        return sum(d < 0 for d in self.differences) + self.arm_diverged

    @property
    def ties(self) -> int:
        """Finished pairs with a difference of exactly 0."""
        return sum(d == 0 for d in self.differences)

    @property
    def diverged(self) -> int:
        """Pairs of which exactly one run diverged."""
        return self.baseline_diverged + self.arm_diverged

    @property
    def n(self) -> int:
        """Pairs the test counts, ties among them."""
        return len(self.differences) + self.diverged

    @property
    def planned(self) -> int:
        """Pairs there would be if every run were done."""
        return self.n + self.dropped + self.waiting

    @property
    def dropped(self) -> int:
        """Pairs that cannot count."""
        return self.lost + self.both_diverged

    @property
    def in_order(self) -> tuple[float, ...]:
        """`sides`, or what stands for them."""
        if self.sides is not None:
            return self.sides
        return (*self.differences, *[1.0] * self.baseline_diverged, *[-1.0] * self.arm_diverged)

    @property
    def informative(self) -> int:
        """Pairs that count towards the fewest seeds the test needs; a tie has no side for the sign test to take."""
        return self.wins + self.losses if self.diverged else self.n
