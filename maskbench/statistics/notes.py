"""The sentences that stand beside a verdict."""

from __future__ import annotations

from maskbench.statistics.pairs import Pairs
from maskbench.statistics.power import Family, SeedRange
from maskbench.statistics.sequential import is_futile

SAME = {
    "identical": "does exactly what the baseline does: same training losses, same translations, byte for byte",
    "tied": "the same score as the baseline with every seed, though not the same outputs",
}
"""By verdict, of arms that nothing can be tested about."""


def too_few(pairs: Pairs, counted: int, family: Family, least: int) -> str:
    """Say that `counted` pairs cannot decide anything, and how many more it takes to `least`."""
    sides = {pairs.wins: "better", pairs.losses: "worse"}
    unanimous = f"all {pairs.n} of {pairs.n} seeds {sides[pairs.n]}, but " if pairs.n in sides else ""
    arms = f" with {family.n_arms} arms" if family.n_arms > 1 else ""
    return (
        f"{unanimous}{seed_count(counted)} cannot reach p <= {family.alpha:g}{arms}: "
        f"run at least {least - counted} more"
    )


def uncorrected(family: Family) -> str:
    """Say why a small p is not enough."""
    return f"clear alone, not after correction for {family.n_arms} arms"


def undecided(pairs: Pairs, family: Family, limit: int | None) -> str:
    """Say how far the sequential rule got with an arm that it did not decide."""
    if limit is None:
        return f"not decided after {seed_count(pairs.n)}"
    if pairs.n >= limit:
        return f"not decided within the limit of {seed_count(limit)}"
    ties = pairs.n - pairs.wins - pairs.losses
    if is_futile(pairs.wins, pairs.losses, limit - ties, family.n_arms, family.alpha):
        return (
            f"given up after {seed_count(pairs.n)}: winning or losing all up to {limit} would not decide it"
        )
    return f"not decided after {pairs.n} of at most {seed_count(limit)}"


def losses(pairs: Pairs) -> list[str]:
    """Say which runs did not end as planned, and how they count."""
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


def more_seeds(seeds: SeedRange, to_equal: SeedRange | None, n: int) -> str:
    """Say how many more seeds a difference takes, and its absence."""
    more, plural = _more(seeds, n)
    noted = f"{more} more seed{plural} for an 80 % chance to see a difference of min_effect"
    return noted if to_equal is None else f"{noted}, {_more(to_equal, n)[0]} to show that there is none"


def _more(seeds: SeedRange, n: int) -> tuple[str, str]:
    low, high = max(seeds.low - n, 1), max(seeds.high - n, 1)
    return (f"{low} to {high}" if low < high else f"{high}"), ("s" if high > 1 else "")


def seed_count(n: int) -> str:
    """Return `1 seed`, `2 seeds`."""
    return f"{n} seed" if n == 1 else f"{n} seeds"


def _runs(n: int) -> str:
    return f"{n} run" if n == 1 else f"{n} runs"


def _count(n: int) -> str:
    return "counts" if n == 1 else "count"
