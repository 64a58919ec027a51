"""Failed and diverged runs: counted by arm, and compared with the baseline's."""

from __future__ import annotations

import math
from collections.abc import Sequence

from maskbench.comparison.results import ArmResult, RunCounts


def fisher_exact_p(bad: int, n: int, other_bad: int, other_n: int) -> float:
    """Return the two-sided p-value that `bad` of `n` and `other_bad` of `other_n` have one rate.

    Fisher's exact test (1935, "The Design of Experiments"): the chance, with the margins as they are, of a table that
    is no more likely than this one; 1 if a group is empty.
    """
    total, all_bad = n + other_n, bad + other_bad
    # Integer counts instead of probabilities: they compare exactly.
    ways = [math.comb(n, k) * math.comb(other_n, all_bad - k) for k in range(min(n, all_bad) + 1)]
    seen = math.comb(n, bad) * math.comb(other_n, other_bad)
    return sum(count for count in ways if count <= seen) / math.comb(total, all_bad)


def failure_sentences(rows: Sequence[ArmResult], baseline: str) -> list[str]:
    """Return a sentence for every arm of which a run failed or diverged.

    Args:
        rows: all arms.
        baseline: the name of the one the others are tested against.
    """
    reference = next(row.counts for row in rows if row.arm == baseline)
    return [
        f"{row.arm}: {_counted(row.counts)}{'' if row.arm == baseline else _tested(row.counts, reference)}"
        for row in rows
        if row.counts.failed or row.counts.diverged
    ]


def _counted(counts: RunCounts) -> str:
    """Return how many runs failed or diverged."""
    kinds = ((counts.failed, "failed"), (counts.diverged, "diverged"))
    told = " and ".join(f"{n} {word}" for n, word in kinds if n)
    return f"{told} of {counts.ended} runs"


def _tested(counts: RunCounts, reference: RunCounts) -> str:
    """Return a test of how often runs diverged; failures are a matter of the machine, so they are not tested."""
    if not counts.diverged:
        return ""
    n, other_n = counts.done + counts.diverged, reference.done + reference.diverged
    p = fisher_exact_p(counts.diverged, n, reference.diverged, other_n)
    others = f"{reference.diverged or 'none'} of the baseline's {other_n} diverged"
    verdict = "more than chance explains" if p <= 0.05 else f"{n} runs cannot tell it from chance"
    return f", {others}: {verdict} (Fisher's exact test, p = {p:.2g})"
