"""Makes the page's tables as plain text cells, with numbers formatted as in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from maskbench.comparison.results import ArmResult, ComparisonSettings, OtherMetric
from maskbench.comparison.text.number_format import Scale, interval_text, scale_of, with_sign
from maskbench.comparison.text.table_cells import arm_cells, other_metric_names
from maskbench.comparison.text.verdict_symbols import UNEQUAL
from maskbench.report.gather import ReportPanel


def shortened(text: str, most: int) -> str:
    """Return the text cut to at most `most` characters; a cut text ends with an ellipsis."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def difference_in_words(row: ArmResult, scale: Scale, settings: ComparisonSettings) -> str:
    """Return `window: +1.2 points, 95 % interval from 0.3 to 2.0, 7 of 8 seeds better: better.`"""
    difference = row.difference
    if difference is None or difference.mean is None:
        return f"{row.title}: nothing to show."
    text = f"{row.title}: {with_sign(scale.number(difference.mean))}{scale.points}"
    if difference.interval is not None:
        low, high = scale.number(difference.interval.low), scale.number(difference.interval.high)
        text += f", {settings.level} % interval from {low} to {high}"
    text += f", {difference.wins} of {difference.n} seeds better"
    return f"{text}; verdict: {row.verdict}." if row.verdict else f"{text}."


NOTHING = "–"


@dataclass(frozen=True, slots=True)
class OtherTable:
    """Table of values without a verdict: metrics of one split, one metric on all splits, or noise by arm."""

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    """Per row: an arm's title, and one cell for each heading."""


def overlap_table(panel: ReportPanel) -> OtherTable | None:
    """Return how many sentences any two splits have in common; None if the runs recorded none."""
    overlaps = panel.collected.overlaps
    rows = tuple(
        (one.split, (one.other, *map(str, (one.sources, one.targets, one.pairs, one.unknown_sources))))
        for one in overlaps.shown()
    )
    headings = ("also in", "sources", "targets", "pairs", "unknown")
    return OtherTable("Sentences of a split that are also in another one", headings, rows) if rows else None


def cost_table(panel: ReportPanel) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each arm's title and cells: relative step time, tokens per second, memory in MB, parameters."""
    for row in panel.comparison.rows:
        cost = row.cost
        yield (
            row.title,
            (
                # No-break space: the interval stays on one line.
                arm_cells(row, panel.scale).cost_with_interval("×").replace(", ", ",\u00a0") or NOTHING,
                NOTHING if cost.tokens_per_second is None else f"{cost.tokens_per_second:,.0f}",
                NOTHING if cost.peak_memory_mb is None else f"{cost.peak_memory_mb:,.0f}",
                NOTHING if cost.parameters is None else f"{cost.parameters:,}",
            ),
        )


def other_tables(panel: ReportPanel) -> Iterator[OtherTable]:
    """Yield tables of metrics on whole splits: one per split, or one per metric if metrics are fewer."""
    names = [name for name in other_metric_names(panel.comparison) if not name.part]
    by_split: dict[str, dict[str, str]] = {}
    by_metric: dict[str, dict[str, str]] = {}
    for name in names:
        split = str(name).partition("/")[0]
        scale = scale_of(panel.comparison, str(name))
        by_split.setdefault(f"on {split}", {})[name.metric + scale.percent] = str(name)
        by_metric.setdefault(name.metric + scale.unit, {})[split] = str(name)
    for caption, columns in (by_metric if len(by_metric) < len(by_split) else by_split).items():
        scales = {name: scale_of(panel.comparison, name) for name in columns.values()}
        rows = tuple(
            (row.title, tuple(_other(row.other_metrics.get(name), scale) for name, scale in scales.items()))
            for row in panel.comparison.rows
        )
        yield OtherTable(caption, tuple(columns), rows)


def _other(other: OtherMetric | None, scale: Scale) -> str:
    if other is None:
        return NOTHING
    mean = scale.number(other.mean) + (UNEQUAL if other.paired_means else "")
    return (
        mean
        if other.difference_mean is None
        else f"{mean} ({with_sign(scale.number(other.difference_mean))})"
    )


def noise_table(panel: ReportPanel) -> OtherTable | None:
    """Return each arm's sources of uncertainty and number of seeds needed, or None if none is known."""
    columns: dict[str, list[str]] = {heading: [] for heading in _NOISE}
    titles = []
    for row in panel.comparison.rows:
        if row.difference is not None:
            titles.append(row.title)
            for heading, text in zip(_NOISE, _noise(row, panel.scale), strict=True):
                columns[heading].append(text)
    told = {heading: texts for heading, texts in columns.items() if set(texts) - {NOTHING}}
    if not told:
        return None
    rows = tuple(zip(titles, zip(*told.values(), strict=True), strict=True))
    return OtherTable("Noise by arm", tuple(told), rows)


_NOISE = (
    "noise from seeds",
    "noise from sentences",
    "interval for new seeds and sentences",
    "variance saved by pairing",
    "seeds in all to see min_effect",
)


def _noise(row: ArmResult, scale: Scale) -> tuple[str, ...]:
    difference, needed = row.difference, row.seeds_needed
    noise = difference.noise if difference else None
    gain = difference.pairing_gain if difference else None
    low, high = (needed.low, needed.high) if needed else (0, 0)
    return (
        NOTHING if noise is None else f"{100 * noise.seeds:.0f} %",
        NOTHING if noise is None else f"{100 * noise.sentences:.0f} %",
        NOTHING if noise is None else interval_text(scale, noise.low, noise.high),
        NOTHING if gain is None else f"{100 * gain:.0f} %",
        NOTHING if needed is None else f"{low}" if low == high else f"{low} to {high}",
    )
