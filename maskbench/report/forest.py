"""Draws the forest plot: every arm's mean difference to the baseline, its interval and the single seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maskbench.comparison.results import ArmResult, Comparison
from maskbench.comparison.text.number_format import Scale
from maskbench.comparison.text.table_cells import arm_cells
from maskbench.comparison.text.verdict_symbols import verdict_with_symbol
from maskbench.report.figure import Plot, add_axes, make_figure, render_svg
from maskbench.report.gather import ReportPanel
from maskbench.report.palette import BAND, INK, MUTED
from maskbench.report.tables import difference_in_words, shortened
from maskbench.text import sanitize

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, ROW_HEIGHT, MARGIN = 400, 38, 56
_LETTERS = 11
_LANE = (-0.2, 0.34)
"""Top and bottom of a row's marks relative to its centre, in row heights; the text is above them."""
_LINE_LENGTH = 60
"""Maximum number of characters in the text above a row's marks."""


def draw_forest(panel: ReportPanel) -> Plot | None:
    """Return the forest plot, or None if no arm has a mean difference to the baseline yet."""
    comparison, scale = panel.comparison, panel.scale
    rows = [row for row in comparison.rows if row.difference is not None and row.difference.mean is not None]
    if not rows:
        return None
    figure = make_figure(WIDTH, ROW_HEIGHT * len(rows) + MARGIN)
    axes = add_axes(figure)
    axes.spines["left"].set_visible(False)
    axes.set(yticks=[], ylim=(len(rows) - 0.35, -0.75))
    for place, row in enumerate(rows):
        _draw(axes, place, row, panel)
    axes.set_xlabel(_axis(comparison, scale))
    axes.margins(x=0.06)
    return Plot(
        render_svg(
            figure, f"{panel.key}-forest", f"Differences to the baseline: {panel.name}", _words(panel, rows)
        ),
        _caption(comparison, scale),
    )


def _draw(axes: Axes, place: int, row: ArmResult, panel: ReportPanel) -> None:
    style, scale, difference = panel.styles[row.arm], panel.scale, row.difference
    if difference is None or difference.mean is None:
        return
    lane = [place + end for end in _LANE]
    if panel.comparison.settings.min_effect is not None:
        bound = panel.comparison.settings.min_effect * scale.factor
        axes.fill_betweenx(lane, -bound, bound, color=BAND, linewidth=0, zorder=0)
    axes.plot([0, 0], lane, color=MUTED, linewidth=1, zorder=1)
    mean, limits = difference.mean * scale.factor, difference.interval
    seeds = [value * scale.factor for value in paired_differences(panel.comparison, row)]
    if limits is not None:
        ends = (limits.low * scale.factor, limits.high * scale.factor)
        axes.plot(ends, (place, place), color=style.colour, linewidth=2, solid_capstyle="butt", zorder=3)
    axes.plot(seeds, [place + 0.2] * len(seeds), "|", color=style.colour, markersize=5, alpha=0.7, zorder=2)
    axes.plot([mean], [place], style.marker, color=style.colour, markersize=7, zorder=4)
    above: dict[str, Any] = {
        "y": place - 0.42,
        "transform": axes.get_yaxis_transform(),
        "va": "center",
        "fontsize": _LETTERS,
        "parse_math": False,
        "color": INK,
    }
    cells = arm_cells(row, scale)
    shown = f"{cells.difference_with_interval()}  {verdict_with_symbol(cells.verdict)}"
    title = shortened(sanitize(row.title), max(12, _LINE_LENGTH - len(shown)))
    axes.text(0, s=title, ha="left", **above)
    axes.text(1, s=shown, ha="right", **above)


def paired_differences(comparison: Comparison, row: ArmResult) -> list[float]:
    """Return arm minus baseline in the metric for every seed with both runs done."""
    baseline = comparison.baseline.values
    return [value - baseline[seed] for seed, value in row.values.items() if seed in baseline]


def _axis(comparison: Comparison, scale: Scale) -> str:
    better = "right" if comparison.settings.info.higher_is_better else "left"
    unit = "percentage points" if scale.factor == 100 else comparison.settings.info.unit
    return f"arm minus baseline, {unit}; better to the {better}"


def _caption(comparison: Comparison, scale: Scale) -> str:
    level = comparison.settings.level
    band = comparison.settings.min_effect
    shaded = (
        ""
        if band is None
        else f" Shaded: less than the smallest difference that matters (±{scale.number(band)})."
    )
    return (
        f"Paired differences in {comparison.settings.metric}. Mark and bar: mean and {level} % interval, before "
        f"correction; small strokes below: the single seeds. The line stands at no difference.{shaded}"
    )


def _words(panel: ReportPanel, rows: list[ArmResult]) -> str:
    return " ".join(difference_in_words(row, panel.scale, panel.comparison.settings) for row in rows)
