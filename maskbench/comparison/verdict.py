"""From paired differences to a verdict that is never louder than the evidence.

A verdict is looked for in this order: `unusable` (too many pairs lost), `identical` or `tied` (nothing to test),
`not testable` (the planned seeds are not all there, or too few to reach alpha at all), `better` or `worse`,
`equivalent` (two one-sided tests, Schuirmann 1987, by the sign-flip interval), and `inconclusive` for the rest.

Here every difference is turned so that positive means "the arm is better than the baseline".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from maskbench.comparison.power import Family, SeedRange, seeds_needed
from maskbench.comparison.statistics import (
    Interval,
    holm,
    interval,
    least_seeds,
    mean_and_sd,
    sign_flip_interval,
    sign_flip_p,
    sign_test_p,
)

Verdict: TypeAlias = Literal[
    "identical", "tied", "unusable", "not testable", "better", "worse", "equivalent", "inconclusive"
]

TOO_MANY_LOST = 0.25
"""An arm that lost more than this share of its planned pairs to failed runs gets no verdict: which runs fail may
depend on what is compared."""


@dataclass(frozen=True, slots=True)
class Pairs:
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

    @property
    def wins(self) -> int:
        """Pairs in which the arm did better."""
        return sum(d > 0 for d in self.differences) + self.baseline_diverged

    @property
    def losses(self) -> int:
        """Pairs in which the arm did worse."""
        return sum(d < 0 for d in self.differences) + self.arm_diverged

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
    def informative(self) -> int:
        """Pairs that count towards the fewest seeds the test needs; a tie has no side for the sign test to take."""
        return self.wins + self.losses if self.diverged else self.n


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict and what it rests on; None where a number would claim more than is known."""

    verdict: Verdict
    interval: Interval | None
    p: float | None
    p_holm: float | None
    seeds: SeedRange | None
    notes: tuple[str, ...]


def decide(pairs: Sequence[Pairs], alpha: float, min_effect: float | None) -> list[Decision]:
    """Return a decision for every arm beside the baseline, corrected together.

    Args:
        pairs: one entry per arm; arms without a test stay in the family, so that dropping one makes nobody look better.
        alpha: the chance of a false alarm among all of them, in (0, 1).
        min_effect: the smallest difference that matters, > 0; without it nothing is ever `equivalent`.
    """
    judge = _Judge(Family(len(pairs), alpha), min_effect)
    p_values = [_p_value(arm) for arm in pairs]
    corrected = holm([1.0 if p is None else p for p in p_values])
    return [
        judge.decision(arm, p, None if p is None else p_holm)
        for arm, p, p_holm in zip(pairs, p_values, corrected, strict=True)
    ]


def _untested(pairs: Pairs) -> Verdict | None:
    """Return the verdict of an arm that no test can say anything about."""
    if pairs.dropped > TOO_MANY_LOST * pairs.planned or pairs.planned == 0:
        return "unusable"
    all_here = not pairs.waiting and not pairs.diverged
    if pairs.differences and all_here and not any(pairs.differences):
        return "identical" if pairs.identical else "tied"
    return "not testable" if pairs.n == 0 else None


def _p_value(pairs: Pairs) -> float | None:
    if _untested(pairs) is not None:
        return None
    if pairs.diverged:
        # A diverged run has no number, only a side; so the sides decide.
        return sign_test_p(pairs.wins, pairs.losses)
    return sign_flip_p(pairs.differences)


@dataclass(frozen=True, slots=True)
class _Judge:
    family: Family
    min_effect: float | None

    def decision(self, pairs: Pairs, p: float | None, p_holm: float | None) -> Decision:
        verdict = self._verdict(pairs, p_holm)
        # An interval of the surviving pairs alone would be kinder than the truth.
        limits = None if pairs.diverged else interval(pairs.differences, self.family.alpha)
        seeds = self._seeds(pairs) if verdict in ("inconclusive", "not testable") else None
        notes = [*_losses_noted(pairs), *self._verdict_notes(verdict, pairs, limits)]
        undecided = verdict in ("inconclusive", "equivalent")
        if undecided and p is not None and p_holm is not None and p <= self.family.alpha < p_holm:
            notes.append(f"clear alone, not after correction for {self.family.n_arms} arms")
        if seeds is not None:
            notes.append(_seeds_noted(seeds, pairs.n))
        return Decision(verdict, limits, p, p_holm, seeds, tuple(notes))

    def _verdict(self, pairs: Pairs, p_holm: float | None) -> Verdict:
        untested = _untested(pairs)
        if untested is not None:
            return untested
        # Looking early and stopping at the first small p would find differences that are not there.
        if pairs.waiting or p_holm is None or pairs.informative < self._least():
            return "not testable"
        if p_holm <= self.family.alpha:
            return "better" if self._favoured(pairs) else "worse"
        return "equivalent" if self._equivalent(pairs) else "inconclusive"

    def _least(self) -> int:
        return least_seeds(self.family.n_arms, self.family.alpha)

    def _favoured(self, pairs: Pairs) -> bool:
        """Whether the statistic the test used speaks for the arm."""
        return pairs.wins > pairs.losses if pairs.diverged else sum(pairs.differences) > 0

    def _equivalent(self, pairs: Pairs) -> bool:
        if self.min_effect is None or pairs.diverged or self.family.alpha >= 0.5:
            return False
        limits = sign_flip_interval(pairs.differences, 2 * self.family.alpha)
        return limits is not None and limits.within(self.min_effect)

    def _seeds(self, pairs: Pairs) -> SeedRange | None:
        _, sd = mean_and_sd(pairs.differences)
        if self.min_effect is None or sd is None or pairs.waiting or pairs.diverged:
            return None
        return seeds_needed(sd, len(pairs.differences), self.min_effect, self.family)

    def _verdict_notes(self, verdict: Verdict, pairs: Pairs, limits: Interval | None) -> list[str]:
        if verdict == "identical":
            return [
                "does exactly what the baseline does: same training losses, same translations, byte for byte"
            ]
        if verdict == "tied":
            return ["the same score as the baseline with every seed, though not the same outputs"]
        if verdict == "not testable":
            return [self._untestable_note(pairs)]
        if verdict in ("better", "worse") and self.min_effect is not None:
            return [self._size_note(verdict, pairs, limits, self.min_effect)]
        return []

    def _untestable_note(self, pairs: Pairs) -> str:
        if pairs.waiting:
            return f"{pairs.n} of {pairs.planned} pairs so far; the verdict waits for the planned seeds"
        sides = {pairs.wins: "better", pairs.losses: "worse"}
        unanimous = f"all {pairs.n} of {pairs.n} seeds {sides[pairs.n]}, but " if pairs.n in sides else ""
        least, alpha = self._least(), self.family.alpha
        arms = f" with {self.family.n_arms} arms" if self.family.n_arms > 1 else ""
        return (
            f"{unanimous}{_seeds(pairs.informative)} cannot reach p <= {alpha:g}{arms}: "
            f"run at least {least - pairs.informative} more"
        )

    def _size_note(self, verdict: Verdict, pairs: Pairs, limits: Interval | None, min_effect: float) -> str:
        if self._equivalent(pairs):
            return f"{verdict}, but smaller than what you said matters"
        beyond = limits is not None and (
            limits.low >= min_effect if verdict == "better" else limits.high <= -min_effect
        )
        return "by at least min_effect" if beyond else "size uncertain"


def _losses_noted(pairs: Pairs) -> list[str]:
    notes = []
    if pairs.dropped:
        notes.append(f"{pairs.dropped} of {pairs.planned} pairs dropped")
    if pairs.arm_diverged:
        notes.append(f"{_runs(pairs.arm_diverged)} diverged and {_count(pairs.arm_diverged)} as lost")
    if pairs.baseline_diverged:
        who = _runs(pairs.baseline_diverged)
        notes.append(f"{who} of the baseline diverged and {_count(pairs.baseline_diverged)} as won")
    if pairs.diverged:
        notes.append("decided by the sign test on wins, and no interval is given")
    return notes


def _seeds_noted(seeds: SeedRange, n: int) -> str:
    low, high = max(seeds.low - n, 1), max(seeds.high - n, 1)
    more = f"{low} to {high}" if low < high else f"{high}"
    return f"{more} more seed{'s' if high > 1 else ''} for an 80 % chance to see a difference of min_effect"


def _seeds(n: int) -> str:
    return f"{n} seed" if n == 1 else f"{n} seeds"


def _runs(n: int) -> str:
    return f"{n} run" if n == 1 else f"{n} runs"


def _count(n: int) -> str:
    return "counts" if n == 1 else "count"
