"""Plots each arm's difference to the baseline on every split, and on slices of the compared split.

These plots are exploratory: they show intervals but no verdicts, because no slice was chosen in advance.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskbench.comparison.results import ArmResult
from maskbench.comparison.text.number_format import scale_of, with_sign
from maskbench.config.schema.metrics import MetricName, metric_name
from maskbench.report.figure import Plot, add_axes, make_figure, render_svg
from maskbench.report.forest import paired_differences
from maskbench.report.gather import ReportPanel
from maskbench.report.palette import MUTED
from maskbench.report.tables import shortened
from maskbench.statistics.paired import Interval
from maskbench.text import sanitize

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 400
MAX_CATEGORIES = 30
_ORDERED = re.compile(r"(\D*)(\d+).*")


@dataclass(frozen=True, slots=True)
class SliceChart:
    """One metric's differences over some categories."""

    key: str
    title: str
    metric: str
    """Name of the metric whose unit the differences have."""
    categories: tuple[tuple[str, str], ...]
    """(label, full metric name) of each category."""


@dataclass(frozen=True, slots=True)
class SliceDifference:
    """An arm's difference to the baseline in one category."""

    mean: float
    limits: Interval | None


def draw_slices(panel: ReportPanel) -> list[Plot]:
    """Return one plot for each chart of `list_charts` in which an arm has a difference."""
    return [_plot(panel, chart, rows) for chart in list_charts(panel) if (rows := _measured(panel, chart))]


def _measured(panel: ReportPanel, chart: SliceChart) -> list[ArmResult]:
    """Return the arms with a difference in at least one category of a chart."""
    return [
        row
        for row in panel.comparison.rows
        if row.difference is not None and any(_dot(panel, row, name) for _, name in chart.categories)
    ]


def list_charts(panel: ReportPanel) -> list[SliceChart]:
    """Return charts with several categories: the compared metric by split, and metrics by kind of slice."""
    compared = metric_name(panel.comparison.settings.metric)
    if compared is None:
        return []
    found = dict.fromkeys(
        n for row in panel.comparison.rows for n in row.other_metrics if row.difference is not None
    )
    names = [name for text in (panel.comparison.settings.metric, *found) if (name := metric_name(text))]
    order = {
        split: place for place, split in enumerate(panel.collected.found.panel.arms[0].config.evaluate.splits)
    }
    names.sort(key=lambda name: order.get(name.split, len(order)))
    return [
        chart
        for chart in (*_by_split(names, compared), *_by_slice(names, compared))
        if len(chart.categories) > 1
    ]


def _by_split(names: Sequence[MetricName], compared: MetricName) -> Iterator[SliceChart]:
    same = [name for name in names if (name.metric, name.part) == (compared.metric, compared.part)]
    categories = [(str(name.whole).partition("/")[0], str(name)) for name in same]
    what = compared.metric + (f"[{compared.part}]" if compared.part else "")
    yield SliceChart("splits", f"{what} by split", str(compared), tuple(categories[:MAX_CATEGORIES]))


def _by_slice(names: Sequence[MetricName], compared: MetricName) -> Iterator[SliceChart]:
    here = [n for n in names if n.part and (n.split, n.masks) == (compared.split, compared.masks)]
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for name in here:
        kind, _, label = name.part.partition(":")
        groups.setdefault((str(name.whole), kind), []).append((label, str(name)))
    for number, ((whole, kind), categories) in enumerate(groups.items()):
        yield SliceChart(f"slice-{number}", f"{whole} by {kind}", whole, tuple(categories[:MAX_CATEGORIES]))


def _plot(panel: ReportPanel, chart: SliceChart, rows: Sequence[ArmResult]) -> Plot:
    ordered = _is_ordered([label for label, _ in chart.categories])
    factor = scale_of(panel.comparison, chart.categories[0][1]).factor
    height = 270 if ordered else 54 + len(chart.categories) * (12 + 9 * len(rows))
    figure = make_figure(WIDTH, height)
    axes = add_axes(figure)
    words = []
    for place, row in enumerate(rows):
        dots = [_dot(panel, row, name) for _, name in chart.categories]
        words.append(_words(panel, row, chart, dots))
        shift = (place - (len(rows) - 1) / 2) * (0.4 / len(rows) if ordered else 9 / (12 + 9 * len(rows)))
        style = panel.styles[row.arm]
        known = [(at, dot) for at, dot in enumerate(dots) if dot is not None]
        for at, dot in known:
            if dot.limits is not None:
                ends = (dot.limits.low * factor, dot.limits.high * factor)
                where = (at + shift, at + shift)
                axes.plot(*((where, ends) if ordered else (ends, where)), color=style.colour, linewidth=1.4)
        centres = ([at + shift for at, _ in known], [dot.mean * factor for _, dot in known])
        line = style.line if ordered else "none"
        axes.plot(
            *(centres if ordered else centres[::-1]),
            marker=style.marker,
            color=style.colour,
            markersize=5.5,
            linestyle=line,
            linewidth=1,
        )
    _dress(axes, chart, ordered)
    unit = "percentage points" if factor == 100 else "arm minus baseline"
    (axes.set_ylabel if ordered else axes.set_xlabel)(f"difference, {unit}")
    level = panel.comparison.settings.level
    return Plot(
        render_svg(figure, f"{panel.key}-{chart.key}", f"{chart.title}: {panel.name}", " ".join(words)),
        f"{chart.title}: difference to the baseline with its {level} % interval. Exploratory, no verdict.",
        tuple(row.arm for row in rows),
    )


def _dress(axes: Axes, chart: SliceChart, ordered: bool) -> None:
    labels = [shortened(sanitize(label), 22) for label, _ in chart.categories]
    places = range(len(labels))
    if ordered:
        axes.axhline(0, color=MUTED, linewidth=1, zorder=0)
        axes.set_xticks(places, labels, parse_math=False, rotation=90 if max(map(len, labels)) > 4 else 0)
    else:
        axes.axvline(0, color=MUTED, linewidth=1, zorder=0)
        axes.set_yticks(places, labels, parse_math=False)
        axes.set_ylim(len(labels) - 0.5, -0.5)


def _is_ordered(labels: Sequence[str]) -> bool:
    """Whether there are three or more labels with the same prefix before ascending numbers."""
    parts = [_ORDERED.fullmatch(label) for label in labels]
    numbers = [int(part[2]) for part in parts if part]
    same = len({part[1] for part in parts if part}) == 1
    return len(numbers) == len(labels) > 2 and same and numbers == sorted(numbers)


def _dot(panel: ReportPanel, row: ArmResult, name: str) -> SliceDifference | None:
    if name == panel.comparison.settings.metric:
        found = paired_differences(panel.comparison, row)
        difference = row.difference
        if difference is None or difference.mean is None:
            return None
        return SliceDifference(difference.mean, difference.interval) if found else None
    other = row.other_metrics.get(name)
    if other is None or other.difference_mean is None:
        return None
    return SliceDifference(other.difference_mean, other.interval(panel.comparison.settings.alpha))


def _words(
    panel: ReportPanel, row: ArmResult, chart: SliceChart, dots: Sequence[SliceDifference | None]
) -> str:
    parts = []
    for (label, name), dot in zip(chart.categories, dots, strict=True):
        if dot is not None:
            scale = scale_of(panel.comparison, name)
            limits = dot.limits
            limited = f" ({scale.number(limits.low)} to {scale.number(limits.high)})" if limits else ""
            parts.append(f"{label} {with_sign(scale.number(dot.mean))}{limited}")
    return f"{row.title}: {', '.join(parts)}."
