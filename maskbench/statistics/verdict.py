"""From paired differences to a verdict that is never louder than the evidence.

A verdict is looked for in this order: `unusable` (too many pairs lost), `identical` or `tied` (nothing to test),
`not testable` (the planned seeds are not all there, or too few to reach alpha at all), `better` or `worse`,
`equivalent` (two one-sided tests, Schuirmann 1987, by the sign-flip interval), and `inconclusive` for the rest.

Under the sequential rule seeds are added until a comparison is decided. Then only the sides of the pairs count
(`maskbench.statistics.sequential`), nothing waits for seeds that an arm no longer needs, and `equivalent` is never
said: the interval it rests on is not valid for a number of pairs that hung on the results.

Here every difference is turned so that positive means "the arm is better than the baseline".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from maskbench.statistics import notes
from maskbench.statistics.paired import (
    Interval,
    holm,
    least_seeds,
    mean_and_sd,
    mean_interval,
    sign_flip_interval,
    sign_flip_p,
    sign_test_p,
)
from maskbench.statistics.pairs import PairedRuns
from maskbench.statistics.power import Family, SeedRange, seeds_for_equivalence, seeds_needed
from maskbench.statistics.sequential import (
    MIN_IDENTICAL_PAIRS,
    Evidence,
    Rule,
    least_pairs,
    strongest_evidence,
)

Verdict: TypeAlias = Literal[
    "identical", "tied", "unusable", "not testable", "better", "worse", "equivalent", "inconclusive"
]

TOO_MANY_LOST = 0.25
"""An arm that lost more than this share of its planned pairs to failed runs gets no verdict: which runs fail may
depend on what is compared."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict and what it rests on; None where a number would claim more than is known."""

    verdict: Verdict
    interval: Interval | None
    p: float | None
    p_holm: float | None
    seeds: SeedRange | None
    notes: tuple[str, ...]
    e_value: float | None = None
    """Evidence under the sequential rule; None under the fixed one."""


def decide(
    pairs: Sequence[PairedRuns],
    alpha: float,
    min_effect: float | None,
    rule: Rule = "fixed",
    *,
    limit: int | None = None,
    simultaneous: bool = False,
) -> list[Decision]:
    """Return a decision for every arm beside the baseline, corrected together.

    Args:
        pairs: one entry per arm; arms without a test stay in the family, so that dropping one makes nobody look better.
        alpha: the chance of a false alarm among all of them, in (0, 1).
        min_effect: the smallest difference that matters, > 0; without it nothing is ever `equivalent`.
        rule: under `sequential` arms may have different numbers of pairs, and waiting ones hold nothing up.
        limit: the most pairs an arm can get under the sequential rule, if that is known.
        simultaneous: whether all intervals together, not each alone, hold with 1 - alpha (Bonferroni: alpha / m each).
    """
    family = Family(len(pairs), alpha)
    level = interval_level(len(pairs), alpha, simultaneous=simultaneous)
    if rule == "sequential":
        return _decide_sequentially(pairs, family, level, limit)
    judge = _FixedSeedsRule(family, min_effect, level)
    p_values = [_p_value(arm) for arm in pairs]
    return [
        judge.decision(arm, p, p_holm)
        for arm, p, p_holm in zip(pairs, p_values, _corrected(p_values), strict=True)
    ]


def interval_level(n_arms: int, alpha: float, *, simultaneous: bool) -> float:
    """Return 1 minus the confidence of each arm's interval, so that it, or all of them together, hold with 1 - alpha."""
    return alpha / max(n_arms, 1) if simultaneous else alpha


def _decide_sequentially(
    planned: Sequence[PairedRuns], family: Family, level: float, limit: int | None
) -> list[Decision]:
    pairs = [replace(arm, waiting=0) for arm in planned]
    found = [None if _untested(arm) else strongest_evidence(arm.in_order) for arm in pairs]
    corrected = _corrected([None if e is None else e.p for e in found])
    # Holm asks less of an arm the more others are decided.
    n_open = sum(p is None or p > family.alpha for p in corrected)
    judge = _SequentialRule(family, Family(n_open, family.alpha), level, limit)
    return [
        judge.decision(arm, e, p, is_waiting=whole.waiting > 0)
        for arm, whole, e, p in zip(pairs, planned, found, corrected, strict=True)
    ]


def _corrected(p_values: Sequence[float | None]) -> list[float | None]:
    """Correct by Holm's method; arms without a test count in it as arms that show nothing."""
    corrected = holm([1.0 if p is None else p for p in p_values])
    return [None if p is None else p_holm for p, p_holm in zip(p_values, corrected, strict=True)]


def _untested(pairs: PairedRuns) -> Verdict | None:
    """Return the verdict of an arm that no test can say anything about."""
    if pairs.dropped > TOO_MANY_LOST * pairs.planned or pairs.planned == 0:
        return "unusable"
    all_here = not pairs.waiting and not pairs.diverged
    if pairs.differences and all_here and not any(pairs.differences):
        return "identical" if pairs.identical else "tied"
    return "not testable" if pairs.n == 0 else None


def _p_value(pairs: PairedRuns) -> float | None:
    if _untested(pairs) is not None:
        return None
    if pairs.diverged:
        # A diverged run has no number, only a side; so the sides decide.
        return sign_test_p(pairs.wins, pairs.losses)
    return sign_flip_p(pairs.differences)


@dataclass(frozen=True, slots=True)
class _FixedSeedsRule:
    """Decides once, when all planned seeds are there."""

    family: Family
    min_effect: float | None
    level: float
    """Of the intervals."""

    def decision(self, pairs: PairedRuns, p: float | None, p_holm: float | None) -> Decision:
        verdict = self._verdict(pairs, p_holm)
        limits = _limits(pairs, self.level)
        seeds = self._seeds(pairs) if verdict in ("inconclusive", "not testable") else None
        said = [
            *notes.describe_losses(pairs),
            *self._verdict_notes(verdict, pairs),
            *notes.describe_ties(pairs),
        ]
        undecided = verdict in ("inconclusive", "equivalent")
        if undecided and p is not None and p_holm is not None and p <= self.family.alpha < p_holm:
            said.append(notes.describe_correction(self.family))
        if seeds is not None:
            said.append(notes.describe_more_seeds(seeds, self._seeds_to_equal(pairs, limits), pairs.n))
        return Decision(verdict, limits, p, p_holm, seeds, tuple(said))

    def _verdict(self, pairs: PairedRuns, p_holm: float | None) -> Verdict:
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

    def _favoured(self, pairs: PairedRuns) -> bool:
        """Whether the statistic the test used speaks for the arm."""
        return pairs.wins > pairs.losses if pairs.diverged else sum(pairs.differences) > 0

    def _equivalent(self, pairs: PairedRuns) -> bool:
        if self.min_effect is None or pairs.diverged or self.family.share >= 0.5:
            return False
        limits = sign_flip_interval(pairs.differences, 2 * self.family.share)
        return limits is not None and limits.within(self.min_effect)

    def _seeds(self, pairs: PairedRuns) -> SeedRange | None:
        _, sd = mean_and_sd(pairs.differences)
        if self.min_effect is None or sd is None or pairs.waiting or pairs.diverged:
            return None
        return seeds_needed(sd, len(pairs.differences), self.min_effect, self.family)

    def _seeds_to_equal(self, pairs: PairedRuns, limits: Interval | None) -> SeedRange | None:
        _, sd = mean_and_sd(pairs.differences)
        if self.min_effect is None or sd is None or self.family.share >= 0.5:
            return None
        if limits is not None and limits.beyond(self.min_effect):
            return None
        return seeds_for_equivalence(sd, len(pairs.differences), self.min_effect, self.family)

    def _verdict_notes(self, verdict: Verdict, pairs: PairedRuns) -> list[str]:
        if verdict in notes.NO_DIFFERENCE:
            return [notes.NO_DIFFERENCE[verdict], *notes.describe_sameness(pairs, more_to_come=False)]
        if verdict == "not testable":
            return self._untestable_notes(pairs)
        if verdict == "equivalent":
            return [f"within min_effect{notes.name_interval(2 * self.family.share, self.level)}"]
        if verdict in ("better", "worse") and self.min_effect is not None:
            return self._size_notes(verdict, pairs, self.min_effect)
        return []

    def _untestable_notes(self, pairs: PairedRuns) -> list[str]:
        if not pairs.waiting:
            return [notes.describe_too_few(pairs, pairs.informative, self.family, self._least())]
        waits = f"{pairs.n} of {pairs.planned} pairs so far; the verdict waits for the planned seeds"
        alike = pairs.differences and not any(pairs.differences) and not pairs.diverged
        return [waits, *notes.describe_sameness(pairs, more_to_come=True)] if alike else [waits]

    def _size_notes(self, verdict: Verdict, pairs: PairedRuns, min_effect: float) -> list[str]:
        """Judge the size, of all arms together like the verdicts."""
        if self._equivalent(pairs):
            judged = notes.name_interval(2 * self.family.share, self.level)
            return [f"{verdict}, but smaller than what you said matters{judged}"]
        limits = _limits(pairs, self.family.share)
        if limits is None or not limits.beyond(min_effect):
            return ["size uncertain"]
        return [f"by at least min_effect{notes.name_interval(self.family.share, self.level)}"]


@dataclass(frozen=True, slots=True)
class _SequentialRule:
    """Decides whenever it is asked, from the strongest evidence so far."""

    family: Family
    undecided: Family
    level: float
    limit: int | None

    def decision(
        self, pairs: PairedRuns, found: Evidence | None, p_holm: float | None, *, is_waiting: bool
    ) -> Decision:
        verdict = self._verdict(pairs, found, p_holm)
        limits = _limits(pairs, self.level)
        noted = self._verdict_notes(verdict, pairs, is_waiting)
        said = [*notes.describe_losses(pairs, "sequential"), *noted, *notes.describe_ties(pairs)]
        if found is None:
            return Decision(verdict, limits, None, None, None, tuple(said))
        if verdict == "inconclusive" and p_holm is not None and found.p <= self.family.alpha < p_holm:
            said.append(notes.describe_correction(self.family))
        said.append("estimated after optional stopping")
        return Decision(verdict, limits, found.p, p_holm, None, tuple(said), found.e_value)

    def _verdict(self, pairs: PairedRuns, found: Evidence | None, p_holm: float | None) -> Verdict:
        untested = _untested(pairs)
        if untested is not None:
            return untested
        # Enough evidence at an earlier look stays enough, so this comes before all counting of pairs.
        if found is not None and p_holm is not None and p_holm <= self.family.alpha:
            return "better" if found.wins > found.losses else "worse"
        return "not testable" if pairs.wins + pairs.losses < self._least() else "inconclusive"

    def _least(self) -> int:
        return least_pairs(self.undecided.n_arms, self.undecided.alpha)

    def _verdict_notes(self, verdict: Verdict, pairs: PairedRuns, is_waiting: bool) -> list[str]:
        if verdict in notes.NO_DIFFERENCE:
            more_to_come = is_waiting or pairs.n < MIN_IDENTICAL_PAIRS
            return [notes.NO_DIFFERENCE[verdict], *notes.describe_sameness(pairs, more_to_come=more_to_come)]
        is_over = notes.is_given_up(pairs, self.undecided, self.limit)
        if verdict == "not testable" and pairs.n < (self.limit or math.inf) and not is_over:
            return [notes.describe_too_few(pairs, pairs.wins + pairs.losses, self.undecided, self._least())]
        if verdict in ("not testable", "inconclusive"):
            return [notes.describe_undecided(pairs, self.undecided, self.limit)]
        return []


def _limits(pairs: PairedRuns, level: float) -> Interval | None:
    # An interval of the surviving pairs alone would be kinder than the truth; and where no pair differs, one of width 0
    # would claim to know what only the same outputs show.
    if pairs.diverged or not any(pairs.differences):
        return None
    return mean_interval(pairs.differences, level)
