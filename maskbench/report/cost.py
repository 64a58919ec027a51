"""Plots quality against cost: each arm's difference to the baseline over its relative training step time."""

from __future__ import annotations

from dataclasses import dataclass, replace

from maskbench.comparison.results import Difference
from maskbench.comparison.text.number_format import with_sign
from maskbench.report.figure import Plot, add_axes, make_figure, render_svg
from maskbench.report.gather import ReportPanel
from maskbench.report.palette import MUTED, PAPER, RULE

WIDTH, HEIGHT = 400, 260


@dataclass(frozen=True, slots=True)
class CostPoint:
    """An arm's cost and quality in the plot."""

    arm: str
    title: str
    time: float
    time_ends: tuple[float, float] | None
    gain: float
    """Arm minus baseline in the metric, without regard to which direction is better."""
    gain_ends: tuple[float, float] | None
    best: bool = False
    """Whether the arm is on the Pareto front: no other arm is at least as good for at most the same cost.

    True for all arms if no arm is shown to differ from the baseline.
    """


def list_cost_points(panel: ReportPanel) -> list[CostPoint]:
    """Return a point for each arm with known cost and quality; the baseline's is at (1, 0)."""
    found = []
    for row in panel.comparison.rows:
        cost, difference = row.cost, row.difference
        gain = 0.0 if row.arm == panel.comparison.settings.baseline else _mean(difference)
        if cost.relative_step_time is None or gain is None or row.mean is None:
            continue
        limits = difference.interval if difference else None
        known = cost.step_time_low is not None and cost.step_time_high is not None
        ends = (cost.step_time_low or 0.0, cost.step_time_high or 0.0) if known else None
        found.append(
            CostPoint(
                row.arm,
                row.title,
                cost.relative_step_time,
                ends,
                gain,
                (limits.low, limits.high) if limits else None,
            )
        )
    if not _is_decided(panel):
        return [replace(point, best=True) for point in found]
    return _with_best(found, 1 if panel.comparison.settings.info.higher_is_better else -1)


def _is_decided(panel: ReportPanel) -> bool:
    """Whether any arm has the verdict better or worse; otherwise a Pareto front would only show noise."""
    return any(row.verdict in ("better", "worse") for row in panel.comparison.rows)


def _mean(difference: Difference | None) -> float | None:
    return None if difference is None else difference.mean


def _with_best(found: list[CostPoint], sign: int) -> list[CostPoint]:
    def beats(a: CostPoint, b: CostPoint) -> bool:
        no_worse = a.time <= b.time and sign * a.gain >= sign * b.gain
        return no_worse and (a.time, a.gain) != (b.time, b.gain)

    return [
        CostPoint(
            p.arm, p.title, p.time, p.time_ends, p.gain, p.gain_ends, not any(beats(o, p) for o in found)
        )
        for p in found
    ]


def draw_cost(panel: ReportPanel) -> Plot | None:
    """Return the plot, or None if fewer than two arms have known cost and quality."""
    found, scale = list_cost_points(panel), panel.scale
    if len(found) < 2:
        return None
    figure = make_figure(WIDTH, HEIGHT)
    axes = add_axes(figure)
    axes.axhline(0, color=RULE, linewidth=0.8, zorder=0)
    for point in found:
        style, gain = panel.styles[point.arm], point.gain * scale.factor
        if point.gain_ends:
            ends = [end * scale.factor for end in point.gain_ends]
            axes.plot([point.time] * 2, ends, color=style.colour, linewidth=1.4)
        if point.time_ends:
            axes.plot(point.time_ends, [gain] * 2, color=style.colour, linewidth=1.4)
        # Filled: on the Pareto front. Hollow: another arm is at least as good and as cheap.
        filled = style.colour if point.best else PAPER
        axes.plot(
            [point.time],
            [gain],
            style.marker,
            color=style.colour,
            markerfacecolor=filled,
            markersize=7,
            zorder=3,
        )
    decided = _is_decided(panel)
    if decided:
        front = sorted((p.time, p.gain * scale.factor) for p in found if p.best)
        axes.plot(*zip(*front, strict=True), color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
    axes.set_xlabel("time per training step, baseline = 1")
    better = "upwards" if panel.comparison.settings.info.higher_is_better else "downwards"
    axes.set_ylabel(f"difference{', percentage points' if scale.factor == 100 else ''}; better {better}")
    axes.margins(x=0.12, y=0.1)
    words = " ".join(
        f"{p.title}: {p.time:.2f} times the baseline's step, {with_sign(scale.number(p.gain))}"
        f"{', on the front' if decided and p.best else ''}."
        for p in found
    )
    caption = (
        f"Difference in {panel.comparison.settings.metric} against the time of a training step, with intervals where "
        "they are known. "
    )
    caption += (
        "Filled marks, joined: the Pareto front of the estimates, where no arm is at least as good for less."
        if decided
        else "No arm is shown to be better or worse than the baseline, so there is no front to draw."
    )
    return Plot(
        render_svg(figure, f"{panel.key}-cost", f"Quality against cost: {panel.name}", words),
        caption,
        tuple(p.arm for p in found),
    )
