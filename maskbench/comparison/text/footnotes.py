"""The sentences under a comparison's table besides its verdicts: notes on arms, the method, warnings."""

from __future__ import annotations

from collections.abc import Iterator

from maskbench.comparison.results import Comparison, TestKind
from maskbench.comparison.text.number_format import scale_of
from maskbench.comparison.text.sentences import join_names, retired_sentences
from maskbench.statistics.paired import RANDOM_FLIPS
from maskbench.text import count_of

_TESTS: dict[TestKind, str] = {
    "exact sign-flip": "exact sign-flip test",
    "random sign-flip": f"sign-flip test over {RANDOM_FLIPS:,} random sign vectors",
    "sign": "exact sign test on wins, because runs diverged",
    "sequential": "from wins alone, valid however often one looks (sequential rule)",
}


def arm_notes(comparison: Comparison) -> list[str]:
    """Return notes on arms (other seeds, also different, unsafe, oracle, retired), each once with all its arms."""
    grouped: dict[str, list[str]] = {}
    for row in comparison.rows:
        for note in _notes_of(row.also_different, row.unsafe, row.oracle):
            grouped.setdefault(note, []).append(row.title)
    own = [f"{join_names(titles)}: {note}" for note, titles in grouped.items()]
    return [*unequal_seeds(comparison), *own, *retired_sentences(comparison)]


def unequal_seeds(comparison: Comparison) -> Iterator[str]:
    """Yield, for every arm with other seeds than the baseline, the means whose difference the table shows."""
    scale, baseline = scale_of(comparison), comparison.baseline
    for row in comparison.rows:
        means = row.difference.paired_means if row.difference else None
        if means is not None:
            yield (
                f"unequal seeds: {row.title} and {baseline.title} have different ones ({len(row.values)} and "
                f"{len(baseline.values)}), so the difference is not that of their means: over the "
                f"{count_of(means.seeds, 'seed')} of both {row.title} has {scale.number(means.arm)} and {baseline.title} "
                f"{scale.number(means.baseline)}"
            )


def _notes_of(also_different: tuple[str, ...], unsafe: bool, oracle: bool) -> Iterator[str]:
    if also_different:
        yield f"also different: {', '.join(also_different)}"
    if unsafe:
        yield "unsafe: its author says that its masks let through what they should hide"
    if oracle:
        yield "its mask is told what no model knows; what it gains is a bound"


def grouped_warnings(comparison: Comparison) -> list[str]:
    """Return the warnings; those that differ only in the arm at their beginning are joined."""
    names = {name for row in comparison.rows for name in (row.arm, row.title)}
    grouped: dict[str, list[str]] = {}
    for warning in comparison.warnings:
        arm = max(
            (name for name in names if warning.startswith((f"{name}, ", f"{name}: "))), key=len, default=""
        )
        grouped.setdefault(warning.removeprefix(arm) if arm else warning, []).append(arm)
    return [join_names([arm for arm in arms if arm]) + rest for rest, arms in grouped.items()]


def method_sentences(comparison: Comparison) -> Iterator[str]:
    """Yield sentences on how the table was computed."""
    differences = [row.difference for row in comparison.rows if row.difference is not None]
    if not any(difference.n for difference in differences):
        return
    yield "differences: arm minus baseline, paired by seed; the claim is about other seeds, on these sentences"
    yield from _p_values(comparison)
    methods = {d.interval.method for d in differences if d.interval}
    if "test" in methods:
        yield f"interval: the shifts that the sign-flip test does not reject, {_level(comparison)}"
    if "t" in methods:
        yield f"interval from few pairs: Student's t, which assumes normal differences, {_level(comparison)}"
    if any(row.cost.relative_step_time is not None for row in comparison.rows):
        yield "cost: time of a training step relative to the baseline's"
    if comparison.metric_signature:
        yield f"{comparison.settings.metric}: {comparison.metric_signature}"


def _p_values(comparison: Comparison) -> Iterator[str]:
    """Yield the test behind the p-values, with the names of the arms if there are several tests."""
    arms: dict[TestKind, list[str]] = {}
    judged = comparison.judged
    for row in judged:
        if row.difference and row.difference.test:
            arms.setdefault(row.difference.test, []).append(row.title)
    n_arms = comparison.n_comparisons
    corrected = f", corrected for {n_arms} arms (Holm)" if n_arms > 1 else ""
    for test, titles in arms.items():
        yield f"p{f' of {join_names(titles)}' if len(arms) > 1 else ''}: {_TESTS[test]}{corrected}"


def _level(comparison: Comparison) -> str:
    if comparison.settings.simultaneous:
        return "wide enough for all arms to hold together"
    return "each for itself, before correction"
