"""Builds the explanatory sentences that are printed with a verdict."""

from __future__ import annotations

from maskbench.statistics.pairs import PairedRuns
from maskbench.statistics.power import Family, SeedRange
from maskbench.statistics.sequential import Rule, is_futile
from maskbench.text import count_of

NO_DIFFERENCE = {
    "identical": "does exactly what the baseline does: same training losses, same translations, byte for byte",
    "tied": "the same score as the baseline with every seed, though not the same outputs",
}
"""Sentence per verdict, for arms that never differ from the baseline."""


def describe_sameness(pairs: PairedRuns, *, more_to_come: bool) -> list[str]:
    """Return how many pairs are identical or tied, if those are not all planned pairs; else empty."""
    if not more_to_come and not pairs.dropped:
        return []
    kind = "identical" if pairs.identical else "tied"
    return [f"{kind} in the {count_of(pairs.n, 'pair')} there {_are(pairs.n)}{' so far' * more_to_come}"]


def describe_ties(pairs: PairedRuns) -> list[str]:
    """Return how many finished pairs tie if others do not: a sign that the mask is not always applied."""
    if not 0 < pairs.ties < len(pairs.differences):
        return []
    noted = f"{pairs.ties} of {count_of(len(pairs.differences), 'pair')} {_are(pairs.ties)} tied"
    if not pairs.alike:
        return [noted]
    return [f"{noted}, {pairs.alike} of them byte for byte: with those seeds the arm did nothing"]


def describe_too_few(pairs: PairedRuns, counted: int, family: Family, least: int) -> str:
    """Return a sentence: `counted` pairs cannot reach alpha, and how many are missing to `least`."""
    sides = {pairs.wins: "better", pairs.losses: "worse"}
    everyone = f"{'all ' * (pairs.n > 1)}{pairs.n} of {count_of(pairs.n, 'seed')}"
    unanimous = f"{everyone} {sides[pairs.n]}, but " if pairs.n in sides else ""
    arms = f" with {family.n_arms} arms" if family.n_arms > 1 else ""
    return (
        f"{unanimous}{count_of(counted, 'seed')} cannot reach p <= {family.alpha:g}{arms}: "
        f"run at least {least - counted} more"
    )


def describe_correction(family: Family) -> str:
    """Return a sentence: p is within alpha alone, but not after the correction for several arms."""
    return f"clear alone, not after correction for {family.n_arms} arms"


def describe_undecided(pairs: PairedRuns, family: Family, limit: int | None) -> str:
    """Return a sentence on an arm undecided under the sequential rule: pairs done, limit, futility."""
    if limit is None:
        return f"not decided after {count_of(pairs.n, 'seed')}"
    if pairs.n >= limit:
        return f"not decided within the limit of {count_of(limit, 'seed')}"
    if is_given_up(pairs, family, limit):
        return f"given up after {count_of(pairs.n, 'seed')}: winning or losing all up to {limit} would not decide it"
    return f"not decided after {pairs.n} of at most {count_of(limit, 'seed')}"


def is_given_up(pairs: PairedRuns, family: Family, limit: int | None) -> bool:
    """Return whether no further pairs up to `limit` can decide; ties and dropped pairs count towards it."""
    if limit is None:
        return False
    spent = pairs.n + pairs.dropped - pairs.wins - pairs.losses
    return is_futile(pairs.wins, pairs.losses, limit - spent, family.n_arms, family.alpha)


def describe_losses(pairs: PairedRuns, rule: Rule = "fixed") -> list[str]:
    """Return sentences on dropped and diverged runs: how they count, and which pairs the difference uses."""
    notes = []
    if pairs.dropped:
        notes.append(f"{pairs.dropped} of {pairs.planned} pairs dropped")
    if pairs.arm_diverged:
        notes.append(
            f"{count_of(pairs.arm_diverged, 'run')} diverged and {_count(pairs.arm_diverged)} as lost"
        )
    if pairs.baseline_diverged:
        who = count_of(pairs.baseline_diverged, "run")
        notes.append(f"{who} of the baseline diverged and {_count(pairs.baseline_diverged)} as won")
    if pairs.diverged:
        sign_test = "decided by the sign test on wins, and " if rule == "fixed" else ""
        notes.append(f"{sign_test}no interval is given")
    if pairs.differences and pairs.diverged + pairs.dropped:
        notes.append(
            f"the difference is that of the {count_of(len(pairs.differences), 'pair')} that finished"
        )
    return notes


def describe_more_seeds(seeds: SeedRange, to_equal: SeedRange | None, n: int) -> str:
    """Return how many more than `n` seeds detect a difference of min_effect, and how many show equivalence.

    The second part is left out without `to_equal`, and if `n` seeds are enough for it.
    """
    chance = "an 80 % chance to see a difference of min_effect"
    if seeds.high <= n:
        return f"{count_of(n, 'seed')} were enough for {chance}"
    noted = f"{_more(seeds, n)} more seed{'s' * (seeds.high - n > 1)} for {chance}"
    if to_equal is None or to_equal.high <= n:
        return noted
    return f"{noted}, {_more(to_equal, n)} to show that there is none"


def _more(seeds: SeedRange, n: int) -> str:
    low, high = seeds.low - n, seeds.high - n
    if low <= 0:
        return f"up to {high}"
    return f"{low} to {high}" if low < high else f"{high}"


def name_interval(level: float, printed: float) -> str:
    """Return the name of the interval that a size statement uses; empty if it is the printed interval."""
    return "" if level == printed else f" by its {100 * (1 - level):.3g} % interval"


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


def _count(n: int) -> str:
    return "counts" if n == 1 else "count"
