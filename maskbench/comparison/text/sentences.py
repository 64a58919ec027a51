"""A comparison in sentences: headline, verdicts with their evidence, and noise; for terminal and page.

Sentences are not escaped; the caller does that. Numbers are in the metric's unit, and a size is turned so that "better by"
and "worse by" are followed by a positive number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from maskbench.comparison.results import ArmResult, Comparison, Difference, NoiseShares
from maskbench.comparison.text.number_format import interval_text, p_text, scale_of, with_sign
from maskbench.comparison.text.table_cells import arm_cells
from maskbench.statistics import notes
from maskbench.statistics.paired import least_seeds, smallest_p
from maskbench.text import count_of

MAX_NAMED = 6
"""A headline names at most this many arms of a kind."""

_SAME = {
    "identical": "is identical to {}: the same training losses and translations, byte for byte",
    "tied": "is tied with {}: the same score with every seed, though not the same outputs",
}

_CLEAR = 2 / 3
"""From this share of the variance on, only its source is worth enlarging."""


def headline(comparison: Comparison) -> str:
    """Return the outcome of a panel in one sentence: what is better or worse, what is undecided and why."""
    judged = comparison.judged
    if not judged:
        return "There is one arm, and nothing to compare it with."
    if not any(row.difference and row.difference.n for row in judged):
        return "Nothing is decided yet: no pair of runs is finished."
    settled = [row for row in judged if row.verdict not in ("not testable", "unusable")]
    if len(settled) < len(judged) and all(row.verdict in _SAME for row in settled):
        same = [_outcome(comparison, settled)] if settled else []
        return " ".join([*same, _undecided(comparison, judged, " else" if same else "")])
    return _outcome(comparison, judged)


def verdict_sentence(row: ArmResult, comparison: Comparison) -> str:
    """Return an arm's verdict with its evidence in a sentence; empty for the baseline."""
    predicate = _predicate(row, comparison)
    return f"{row.title} {predicate}" if predicate else ""


def verdict_sentences(comparison: Comparison) -> list[str]:
    """Return the sentences of all arms; arms with the same verdict and evidence share one."""
    grouped: dict[str, list[str]] = {}
    for row in comparison.rows:
        predicate = _predicate(row, comparison)
        if predicate:
            grouped.setdefault(predicate, []).append(row.title)
    return [
        f"{join_names(titles)} {_agreeing(predicate, len(titles))}" for predicate, titles in grouped.items()
    ]


def noise_sentences(comparison: Comparison) -> list[str]:
    """Return the sources of uncertainty and what would reduce it; nothing where it was not split."""
    noisy = [(r.title, r.difference.noise) for r in comparison.rows if r.difference and r.difference.noise]
    if not noisy:
        return []
    groups: dict[str, list[tuple[str, NoiseShares]]] = {}
    for title, noise in noisy:
        groups.setdefault(_advice(noise), []).append((title, noise))
    scale = scale_of(comparison)
    wide = [f"{title} {interval_text(scale, noise.low, noise.high)}" for title, noise in noisy]
    return [
        *(_noise_line(advice, found, len(groups) > 1) for advice, found in groups.items()),
        f"intervals for other test sentences as well: {', '.join(wide)}",
    ]


def retired_sentences(comparison: Comparison) -> list[str]:
    """Return, for every retired arm, its reason, its numbers where it has any, and whether it is corrected for."""
    said, scale = [], scale_of(comparison)
    for one in comparison.retired:
        parts = [f"retired: {one.title}, not trained any more: {one.reason}"]
        if one.row is not None:
            cells = arm_cells(one.row, scale)
            mean = f"{cells.mean_with_sd('+-', mark='')}{scale.percent}" if cells.mean else "no result to use"
            parts.append(f"it had {mean} over {cells.runs} seed{'' if cells.runs == '1' else 's'}")
            if cells.difference:
                p = f", p {cells.p}" if cells.p else ""
                parts.append(f"{cells.difference_with_interval()} against {comparison.baseline.title}{p}")
            if one.row.difference is not None:
                parts += _paired_means(one.row.difference, comparison.baseline.title, comparison)
        else:
            parts.append("it has no results here")
        counted = f"counted among the {comparison.n_comparisons} arms that are corrected for"
        said.append("; ".join([*parts, counted if one.is_counted else "not counted in the correction"]))
    return said


def join_names(names: Sequence[str], most: int | None = None) -> str:
    """Return `a`, `a and b`, `a, b and c`; of more than `most`, the first ones and how many more there are."""
    if most is not None and len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1] if names else "")))


def _predicate(row: ArmResult, comparison: Comparison) -> str:
    """Return the sentence about an arm without its name; empty for the baseline."""
    difference, baseline = row.difference, comparison.baseline.title
    if difference is None or row.verdict is None:
        return ""
    if row.verdict in _SAME:
        said = [note for note in row.notes if note not in notes.NO_DIFFERENCE.values()]
        said += _paired_means(difference, baseline, comparison)
        return _ended(_SAME[row.verdict].format(baseline), "; ", [*said, *_costs(row, comparison)])
    if row.verdict in ("not testable", "unusable"):
        means = _paired_means(difference, baseline, comparison)
        return _ended(f"is {row.verdict} against {baseline}", ": ", [*row.notes, *means])
    core = _measured(row, difference, baseline, comparison)
    means = _paired_means(difference, baseline, comparison)
    facts = [core, *means, *_wins(row, difference), *_evidence(difference, comparison)]
    return _ended(", ".join(facts), "; ", [*row.notes, *_costs(row, comparison)])


def _ended(core: str, joint: str, rest: Sequence[str]) -> str:
    return f"{joint.join((core, '; '.join(rest))) if rest else core}."


def _agreeing(predicate: str, subjects: int) -> str:
    """Return a predicate in singular or plural."""
    return predicate if subjects == 1 else f"are {predicate.removeprefix('is ')}"


def _measured(row: ArmResult, difference: Difference, baseline: str, comparison: Comparison) -> str:
    scale = scale_of(comparison)
    if row.verdict in ("better", "worse"):
        # The sign test on wins estimates no size.
        size = f" by {_size(row, difference, comparison)}" if difference.interval else ""
        return f"is {row.verdict} than {baseline}{size}{_between(row, difference, comparison)}"
    found = "" if difference.mean is None else f": {with_sign(scale.number(difference.mean))}{scale.points}"
    if found and difference.interval:
        found += f" {interval_text(scale, difference.interval.low, difference.interval.high)}"
    if row.verdict == "equivalent" and comparison.settings.min_effect is not None:
        matters = f"{scale.number(comparison.settings.min_effect)}{scale.points}"
        return f"is equivalent to {baseline}{found}, within the {matters} that matter"
    return f"is {row.verdict} against {baseline}{found}"


def _is_higher_value(row: ArmResult, comparison: Comparison) -> bool:
    """Whether the verdict says that the arm's value is higher."""
    return comparison.settings.info.higher_is_better == (row.verdict == "better")


def _size(row: ArmResult, difference: Difference, comparison: Comparison) -> str:
    """Return `1.7 points`, turned so that the verdict's word and the sign agree."""
    scale, mean = scale_of(comparison), difference.mean or 0.0
    return f"{scale.number(mean if _is_higher_value(row, comparison) else -mean)}{scale.points}"


def _between(row: ArmResult, difference: Difference, comparison: Comparison) -> str:
    """Return ` [0.9, 2.5]`, turned like the size."""
    limits = difference.interval
    if limits is None:
        return ""
    low, high = limits.low, limits.high
    return " " + interval_text(
        scale_of(comparison), *((low, high) if _is_higher_value(row, comparison) else (-high, -low))
    )


def _paired_means(difference: Difference, baseline: str, comparison: Comparison) -> list[str]:
    """Return `20.1 against 21.0 of none over the 5 seeds of both` where the means of the table are over other seeds."""
    means = difference.paired_means
    if means is None:
        return []
    arm, base = (scale_of(comparison).number(value) for value in (means.arm, means.baseline))
    return [f"{arm} against {base} of {baseline} over the {count_of(means.seeds, 'seed')} of both"]


def _wins(row: ArmResult, difference: Difference) -> Iterator[str]:
    counted = f"{difference.wins} of {difference.n} seeds"
    yield f"in {counted}" if row.verdict == "better" else f"better in {counted}"


def _evidence(difference: Difference, comparison: Comparison) -> Iterator[str]:
    if difference.p_holm is None:
        return
    arms = comparison.n_comparisons
    kind = "anytime p" if comparison.rule == "sequential" else "p"
    corrected = f"Holm {kind}" if arms > 1 else kind
    evidence = "" if difference.e_value is None else f" (E {difference.e_value:.3g})"
    yield f"{corrected} {p_text(difference.p_holm)}{evidence}"


def _costs(row: ArmResult, comparison: Comparison) -> list[str]:
    cost = arm_cells(row, scale_of(comparison)).cost_with_interval("x")
    return [f"a step costs {cost}"] if cost else []


def _undecided(comparison: Comparison, judged: Sequence[ArmResult], other: str) -> str:
    """Return why no arm could be tested, and how many seeds it takes."""
    testable = [row for row in judged if row.verdict == "not testable"]
    if not testable:
        return f"Nothing{other} can be decided: too many runs failed."
    seeds = max(row.difference.n for row in testable if row.difference)
    counts = [row.counts for row in judged if row.counts.waiting]
    if counts:
        planned = max(count.planned for count in counts)
        return f"Nothing{other} is decided yet: {seeds} of {planned} pairs are finished."
    if comparison.rule == "sequential":
        return f"Nothing{other} is decided after {count_of(seeds, 'seed')}."
    n_arms, alpha = comparison.n_comparisons, comparison.settings.alpha
    least, smallest = least_seeds(n_arms, alpha), min(1.0, n_arms * smallest_p(seeds))
    arms = f" with {n_arms} arms" if n_arms > 1 else ""
    return (
        f"{count_of(seeds, 'seed')} cannot decide anything{other}: the smallest p they can "
        f"reach{arms} is {smallest:.2g}, above alpha {alpha:g}; it takes at least {least} seeds."
    )


def _outcome(comparison: Comparison, judged: Sequence[ArmResult]) -> str:
    baseline, parts = comparison.baseline.title, []
    of: dict[str | None, list[ArmResult]] = {}
    for row in judged:
        of.setdefault(row.verdict, []).append(row)
    for verdict in ("better", "worse"):
        if verdict in of:
            parts.append(f"{verdict} than {baseline}: {_by_size(of[verdict], comparison)}")
    for words, verdicts in _GROUPS.items():
        titles = [row.title for verdict in verdicts for row in of.get(verdict, ())]
        if titles:
            parts.append(f"{words.format(baseline)}: {join_names(titles, MAX_NAMED)}")
    sentence = "; ".join(parts)
    return f"{sentence[:1].upper()}{sentence[1:]}."


_GROUPS: Mapping[str, Sequence[str]] = {
    "identical to {}": ("identical",),
    "tied with {}": ("tied",),
    "equivalent to {}": ("equivalent",),
    "not decided": ("inconclusive", "not testable", "unusable"),
}


def _by_size(rows: Sequence[ArmResult], comparison: Comparison) -> str:
    """Return the arms with their differences, the greatest first."""
    ordered = sorted(rows, key=lambda row: -abs(row.difference.mean or 0.0 if row.difference else 0.0))
    sizes = [
        _size(r, r.difference, comparison) if r.difference and r.difference.interval else "" for r in ordered
    ]
    return join_names(
        [f"{r.title} by {s}" if s else r.title for r, s in zip(ordered, sizes, strict=True)], MAX_NAMED
    )


def _advice(noise: NoiseShares) -> str:
    if noise.seeds >= _CLEAR:
        return "more seeds help, more sentences hardly"
    if noise.sentences >= _CLEAR:
        return "more test sentences help, more seeds hardly"
    return "more seeds and more test sentences both help"


def _noise_line(advice: str, found: Sequence[tuple[str, NoiseShares]], named: bool) -> str:
    who = f" of {join_names([title for title, _ in found])}" if named else ""
    seeds = _percent([noise.seeds for _, noise in found])
    sentences = _percent([noise.sentences for _, noise in found])
    return f"noise{who}: {seeds} seeds, {sentences} test sentences: {advice}"


def _percent(shares: Sequence[float]) -> str:
    low, high = (f"{100 * share:.0f}" for share in (min(shares), max(shares)))
    return f"{low} %" if low == high else f"{low} to {high} %"
