"""Decide one verdict per arm from paired differences.

The first verdict that applies is given: `unusable` (too many pairs dropped), `identical` (equal byte for
byte), `not testable` (planned seeds are missing, or too few to reach alpha), `tied` (no pair differs),
`better` or `worse`, `equivalent` (two one-sided tests, Schuirmann 1987, by the sign-flip interval), else
`inconclusive`.

Under the sequential rule seeds are added until a comparison is decided. Only the signs of the differences
count (`maskbench.statistics.sequential`), and missing seeds block no verdict. `equivalent` is never given:
its interval is not valid if the number of pairs depends on the results.

Positive differences mean that the arm is better than the baseline.
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
from maskbench.statistics.validation import require_counts, require_level, require_positive

Verdict: TypeAlias = Literal[
    "identical", "tied", "unusable", "not testable", "better", "worse", "equivalent", "inconclusive"
]

TOO_MANY_LOST = 0.25
"""Largest share of planned pairs that may be dropped; above it the arm is `unusable`.

Which runs fail may depend on the arm, so the remaining pairs would be a biased sample.
"""


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict with its interval, p-values and notes; a number that is not valid for the pairs is None."""

    verdict: Verdict
    interval: Interval | None
    p: float | None
    p_holm: float | None
    seeds: SeedRange | None
    notes: tuple[str, ...]
    e_value: float | None = None
    """Largest e-value under the sequential rule; None under the fixed rule."""


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
        pairs: one entry per arm; untested arms stay in the family, so that dropping one lowers no p-value.
        alpha: accepted probability of a false positive among all arms, in (0, 1).
        min_effect: smallest difference that matters, > 0; if None, no arm is `equivalent`.
        rule: under `sequential` arms may have different numbers of pairs, and waiting pairs block no
            verdict.
        limit: largest number of pairs an arm can get under the sequential rule, if known.
        simultaneous: whether the intervals hold jointly with 1 - alpha (Bonferroni: alpha / m each), not
            each alone.

    Raises:
        ValueError: `alpha` is not in (0, 1), `min_effect` is not above 0, or a difference is not finite.
    """
    if min_effect is not None:
        require_positive(min_effect=min_effect)
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
    """Return 1 - confidence of each arm's interval: alpha, or alpha / n_arms for joint validity.

    Raises:
        ValueError: `alpha` is not in (0, 1), or `n_arms` is negative.
    """
    require_level(alpha)
    require_counts(n_arms=n_arms)
    return alpha / max(n_arms, 1) if simultaneous else alpha


def _decide_sequentially(
    planned: Sequence[PairedRuns], family: Family, level: float, limit: int | None
) -> list[Decision]:
    pairs = [replace(arm, waiting=0) for arm in planned]
    found = [None if _untested(arm) or _is_alike(arm) else strongest_evidence(arm.in_order) for arm in pairs]
    corrected = _corrected([None if e is None else e.p for e in found])
    # The e-value that Holm's method requires of an open arm falls with every decided arm.
    n_open = sum(p is None or p > family.alpha for p in corrected)
    judge = _SequentialRule(family, Family(n_open, family.alpha), level, limit)
    return [
        judge.decision(arm, e, p, is_waiting=whole.waiting > 0)
        for arm, whole, e, p in zip(pairs, planned, found, corrected, strict=True)
    ]


def _corrected(p_values: Sequence[float | None]) -> list[float | None]:
    """Return Holm's adjusted p-values; untested arms count with p = 1 and stay None."""
    corrected = holm([1.0 if p is None else p for p in p_values])
    return [None if p is None else p_holm for p, p_holm in zip(p_values, corrected, strict=True)]


def _untested(pairs: PairedRuns) -> Verdict | None:
    """Return the verdict of an arm that cannot be tested; None if it can."""
    if pairs.dropped > TOO_MANY_LOST * pairs.planned or pairs.planned == 0:
        return "unusable"
    if _is_alike(pairs) and pairs.identical and not pairs.waiting:
        return "identical"
    return "not testable" if pairs.n == 0 else None


def _is_alike(pairs: PairedRuns) -> bool:
    """Whether there is a finished pair, and all pairs so far have equal scores."""
    return bool(pairs.differences) and not pairs.diverged and not any(pairs.differences)


def _p_value(pairs: PairedRuns) -> float | None:
    if _untested(pairs) is not None or (_is_alike(pairs) and not pairs.waiting):
        return None
    if pairs.diverged:
        # A diverged run has no metric value, only a win or a loss, so the sign test applies.
        return sign_test_p(pairs.wins, pairs.losses)
    return sign_flip_p(pairs.differences)


@dataclass(frozen=True, slots=True)
class _FixedSeedsRule:
    """The fixed rule: decide once, when all planned seeds are done."""

    family: Family
    min_effect: float | None
    level: float
    """1 - confidence of the intervals."""

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
        # Testing early and stopping at the first small p would raise the false positive rate.
        if pairs.waiting or pairs.informative < self._least():
            return "not testable"
        # A metric that counts sentences is equal by chance with a few seeds, so the seeds are counted first.
        if p_holm is None:
            return "tied"
        if p_holm <= self.family.alpha:
            return "better" if self._favoured(pairs) else "worse"
        return "equivalent" if self._equivalent(pairs) else "inconclusive"

    def _least(self) -> int:
        return least_seeds(self.family.n_arms, self.family.alpha)

    def _favoured(self, pairs: PairedRuns) -> bool:
        """Whether the statistic of the test (wins, or the sum of differences) favours the arm."""
        return pairs.wins > pairs.losses if pairs.diverged else sum(pairs.differences) > 0

    def _equivalent(self, pairs: PairedRuns) -> bool:
        if self.min_effect is None or pairs.diverged or self.family.share >= 0.5:
            return False
        limits = sign_flip_interval(pairs.differences, 2 * self.family.share)
        return limits is not None and limits.within(self.min_effect)

    def _seeds(self, pairs: PairedRuns) -> SeedRange | None:
        _, sd = mean_and_sd(pairs.differences)
        if self.min_effect is None or not sd or pairs.waiting or pairs.diverged:
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
        alike = notes.describe_sameness(pairs, more_to_come=True) if _is_alike(pairs) else []
        if not pairs.waiting:
            too_few = notes.describe_too_few(pairs, pairs.informative, self.family, self._least())
            return [too_few, *alike]
        waits = f"{pairs.n} of {pairs.planned} pairs so far; the verdict waits for the planned seeds"
        return [waits, *alike]

    def _size_notes(self, verdict: Verdict, pairs: PairedRuns, min_effect: float) -> list[str]:
        """Return a note on the size of a difference against min_effect, corrected for all arms."""
        if self._equivalent(pairs):
            judged = notes.name_interval(2 * self.family.share, self.level)
            return [f"{verdict}, but smaller than what you said matters{judged}"]
        limits = _limits(pairs, self.family.share)
        if limits is None or not limits.beyond(min_effect):
            return ["size uncertain"]
        return [f"by at least min_effect{notes.name_interval(self.family.share, self.level)}"]


@dataclass(frozen=True, slots=True)
class _SequentialRule:
    """The sequential rule: decide after every seed from the largest evidence so far."""

    family: Family
    """All arms."""
    undecided: Family
    """Only the arms not decided yet; sets the number of pairs still needed."""
    level: float
    """1 - confidence of the intervals."""
    limit: int | None
    """Largest number of pairs per arm; None if unknown."""

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
        # Evidence that was enough at an earlier check stays enough, so this precedes the counting of pairs.
        if found is not None and p_holm is not None and p_holm <= self.family.alpha:
            return "better" if found.wins > found.losses else "worse"
        if _is_alike(pairs) and pairs.n >= self._least():
            return "tied"
        return "not testable" if pairs.wins + pairs.losses < self._least() else "inconclusive"

    def _least(self) -> int:
        return least_pairs(self.undecided.n_arms, self.undecided.alpha)

    def _verdict_notes(self, verdict: Verdict, pairs: PairedRuns, is_waiting: bool) -> list[str]:
        if verdict in notes.NO_DIFFERENCE:
            more_to_come = is_waiting or pairs.n < MIN_IDENTICAL_PAIRS
            return [notes.NO_DIFFERENCE[verdict], *notes.describe_sameness(pairs, more_to_come=more_to_come)]
        is_over = notes.is_given_up(pairs, self.undecided, self.limit)
        if verdict == "not testable" and pairs.n < (self.limit or math.inf) and not is_over:
            if not _is_alike(pairs):
                counted = pairs.wins + pairs.losses
                return [notes.describe_too_few(pairs, counted, self.undecided, self._least())]
            too_few = notes.describe_too_few(pairs, pairs.n, self.undecided, self._least())
            return [too_few, *notes.describe_sameness(pairs, more_to_come=True)]
        if verdict in ("not testable", "inconclusive"):
            return [notes.describe_undecided(pairs, self.undecided, self.limit)]
        return []


def _limits(pairs: PairedRuns, level: float) -> Interval | None:
    # With diverged runs, an interval of the finished pairs alone would be biased. If no pair differs, an
    # interval of width 0 would claim a certainty that equal scores do not give.
    if pairs.diverged or not any(pairs.differences):
        return None
    return mean_interval(pairs.differences, level)
