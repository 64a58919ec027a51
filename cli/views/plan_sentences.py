"""A plan in sentences: time, memory, disk, and what the seeds can show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maskbench.config.schema.experiment import CompareConfig, Experiment
from maskbench.config.schema.metrics import metric_name
from maskbench.text import count_of

from ..progress.display import format_duration

if TYPE_CHECKING:
    from maskbench.forecast.attention_paths import SitePath
    from maskbench.forecast.cost_estimate import CostEstimate, StepTime
    from maskbench.forecast.power import PowerForecast
    from maskbench.forecast.trial_steps import ArmName
    from maskbench.records.plans import Plan


def expense_sentences(expected: CostEstimate, due: int) -> Iterator[tuple[str, str]]:
    """Yield label and sentence for the time, memory and disk that the due runs take."""
    if not due:
        return
    at_once = "one run at a time" if expected.workers == 1 else f"{expected.workers} runs at a time"
    yield (
        "time",
        f"about {format_duration(expected.seconds)} of training on this machine, {at_once}; evaluating comes on top",
    )
    yield "", f"step times: {'; '.join(_sources(expected))}"
    whole = "" if expected.workers == 1 else f", {format_size(expected.workers * expected.memory)} in all"
    audit = expected.audit_memory
    more = f"; {format_size(audit)} to audit the arms before" if audit > expected.memory else ""
    yield "memory", f"about {format_size(expected.memory)} for a run{whole}{more}"
    yield "disk", f"at most {format_size(expected.disk)} of checkpoints, and a little for the logs"


def attention_sentences(attention: Mapping[ArmName, Sequence[SitePath]]) -> list[str]:
    """Return how attention computes the longest sentences, arms with the same ways together; empty where all are short."""
    arms: dict[tuple[str, ...], list[str]] = {}
    for (panel, arm), ways in attention.items():
        sites = Counter(way.site for way in ways)
        said = tuple(_way(way, names_layers=sites[way.site] > 1) for way in ways)
        arms.setdefault(said, []).append(f"{panel}/{arm}" if panel else arm)
    return [f"{', '.join(names)}: {'; '.join(ways)}" for ways, names in arms.items() if ways]


def _way(one: SitePath, names_layers: bool) -> str:
    lengths = f"{one.q_len:,}" if one.q_len == one.kv_len else f"{one.q_len:,} x {one.kv_len:,}"
    layers = ", ".join(map(str, one.layers))
    which = f" (layer{'s' * (len(one.layers) > 1)} {layers})" if names_layers else ""
    where = f"{one.site}{which} of {lengths} tokens"
    if one.path == "dense":
        return f"{where} as one matrix, because {one.reason}"
    return (
        f"{where} by torch's fused kernel"
        if one.path == "fused"
        else f"{where} in blocks, {one.share:.1%} of the pairs"
    )


def outlook_sentences(
    outlook: PowerForecast, compare: CompareConfig, expected: CostEstimate
) -> Iterator[str]:
    """Yield sentences on what the seeds of a panel can show, and on what they cannot."""
    arms = f"{count_of(outlook.n_arms, 'arm')} beside the baseline"
    seeds = count_of(outlook.n_seeds, "seed")
    if not outlook.can_decide:
        yield (
            f"{seeds} can decide nothing: the smallest p they can reach{_correction(outlook)} is"
            f" {_smallest_p(outlook):.2g}, and a verdict at alpha {outlook.alpha:g} with {arms} takes"
            f" {outlook.least_seeds} seeds"
        )
        yield _what_it_takes(outlook, expected)
        yield from _in_sight(outlook, compare)
        return
    yield (
        f"the smallest p that {seeds} can reach{_correction(outlook)} is {_smallest_p(outlook):.2g}; a verdict at alpha"
        f" {outlook.alpha:g} with {arms} takes {outlook.least_seeds} seeds"
    )
    if outlook.difference is not None and outlook.spread is not None:
        yield (
            f"{seeds} see a difference of {format_difference(outlook.difference, compare.metric)} of {compare.metric} (80 %"
            f" power), if it varies as in {outlook.spread.pairs} pairs of {outlook.spread.experiment}"
        )
    elif outlook.effect is not None:
        yield (
            f"{seeds} see a difference of {outlook.effect:.2f} standard deviations of the paired differences (80 %"
            f" power); no finished pair of runs with {compare.metric} shows yet how large that is"
        )
    yield from _in_sight(outlook, compare)


def until_decided_sentence(panel: str | None, present: Plan) -> str:
    """Return the state of a panel whose seeds are added until it is decided."""
    closed = ", ".join(present.closed_in(panel))
    rest = f"; {closed} get{'s' * (len(present.closed_in(panel)) == 1)} no more" if closed else ""
    most = "" if present.limit is None else f", {present.limit} at most"
    return (
        f"added until the comparison is decided (--until-decided): {len(present.seeds)} so far{most}{rest};"
        " `maskbench compare` says what they show"
    )


def retired_sentences(experiment: Experiment, runs_dir: Path) -> list[str]:
    """Return, for every retired arm, its reason, and whether there are results of it that are corrected for."""
    from maskbench.forecast.power import find_counted_retired

    counted = [find_counted_retired(experiment, panel, runs_dir) for panel in experiment.panels]
    there = "its results are counted in the correction"
    nothing = (
        f"no run of it has a result in {runs_dir / experiment.name}, so the correction does not count it"
    )
    return [
        f"{arm.title} is not trained any more: {arm.reason}; {there if any(arm in one for one in counted) else nothing}"
        for arm in experiment.retired
    ]


def _smallest_p(outlook: PowerForecast) -> float:
    """Return the smallest p after Holm's correction, which multiplies the smallest p by the number of arms."""
    return min(1.0, outlook.n_arms * outlook.smallest_p)


def _correction(outlook: PowerForecast) -> str:
    return f", corrected for {outlook.n_arms} arms," if outlook.n_arms > 1 else ""


def _what_it_takes(outlook: PowerForecast, expected: CostEstimate) -> str:
    more = outlook.least_seeds - outlook.n_seeds
    extra = expected.more_seeds(more)
    time = f", about {format_duration(extra)} more" if extra is not None else ""
    return (
        f"needed: {count_of(more, 'more seed')} of every arm{time} (`seeds: {outlook.least_seeds}` in the file, or"
        f" --seeds {outlook.least_seeds})"
    )


def _in_sight(outlook: PowerForecast, compare: CompareConfig) -> Iterator[str]:
    """Say how many seeds it takes to see the difference that matters."""
    if compare.min_effect is None or outlook.needed is None or outlook.spread is None:
        return
    low, high = outlook.needed.low, outlook.needed.high
    count = f"{low}" if low == high else f"{low} to {high}"
    enough = "" if outlook.n_seeds < low else ": these are enough" if outlook.n_seeds >= high else ""
    source = "" if outlook.can_decide else f", if it varies as in {outlook.spread.experiment}"
    yield (
        f"to see min_effect, {format_difference(compare.min_effect, compare.metric)}, takes {count} seeds{enough}{source}"
    )


def _sources(expected: CostEstimate) -> Iterator[str]:
    """Say where the step times come from, arms with the same source together."""
    groups: dict[str, list[str]] = {}
    for (panel, arm), step in expected.steps.items():
        groups.setdefault(_source(step), []).append(f"{panel}/{arm}" if panel else arm)
    largest = max(groups, key=lambda source: len(groups[source]))
    for source in sorted(groups, key=lambda source: source == largest):
        arms = "the others" if source == largest else ", ".join(groups[source])
        yield source if len(groups) == 1 else f"{arms}: {source}"


def _source(step: StepTime) -> str:
    if step.source == "tried":
        return "a few steps of each arm, taken just now"
    if step.source == "assumed":
        return f"taken to be that of {step.where}"
    return f"as measured in runs of {step.where}"


def format_difference(value: float, metric: str) -> str:
    """Return a difference in the metric's unit, to two digits; shares in points of a hundred."""
    name = metric_name(metric)
    if name is None:
        return f"{value:.2g}"
    if name.info.high == 1:
        points = f"{100 * value:.2g}"
        return f"{points} point{'s' * (points != '1')}"
    return f"{value:.2g} {name.info.unit}"


def format_size(n_bytes: float) -> str:
    """Return a size with two digits: `410 MB`, `1.2 GB`."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= 0.995 * factor:
            value = n_bytes / factor
            return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
    return f"{n_bytes / 1e3:.0f} kB"


def group_panels(
    panels: Sequence[tuple[str | None, tuple[str, ...]]],
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the names of all panels that share the same sentences, and the sentences; no name if all panels do."""
    said: dict[tuple[str, ...], list[str]] = {}
    for panel, sentences in panels:
        said.setdefault(sentences, []).append(panel or "")
    for sentences, names in said.items():
        yield "" if len(said) == 1 else ", ".join(names), sentences
