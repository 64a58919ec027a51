"""Draws learning curves: the mean over seeds, with a band from the lowest to the highest seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from maskbench.comparison.text.number_format import scale_of
from maskbench.config.schema.metrics import metric_name
from maskbench.records.curves import LearningCurve
from maskbench.report.figure import Plot, add_axes, make_figure, render_svg
from maskbench.report.gather import ReportPanel
from maskbench.text import count_of, sanitize

WIDTH, HEIGHT = 400, 250
MAX_LINES = 24
"""Maximum number of curves in a figure of mask statistics; with more, the figure is not drawn."""
_MASKS = {
    "mask/ratio/": ("share masked", "share of the tokens that were masked in training"),
    "mask/density/": ("density", "share of the allowed pairs that the mask keeps"),
}


def draw_learning_curves(panel: ReportPanel) -> list[Plot]:
    """Return plots of the validation metrics and of mask ratios and densities that change in training."""
    plots = [
        _plot(panel, f"curve-{n}", tag, (tag, tag), panel.curves[tag])
        for n, tag in enumerate(_validation(panel))
    ]
    for number, (prefix, meaning) in enumerate(_MASKS.items()):
        moving = [
            c for tag, found in panel.curves.items() if tag.startswith(prefix) for c in found if _moves(c)
        ]
        if 0 < len(moving) <= MAX_LINES:
            plots.append(_plot(panel, f"mask-{number}", prefix.rstrip("/"), meaning, moving))
    return plots


def describe_constant_masks(panel: ReportPanel) -> list[str]:
    """Return a sentence for each mask whose ratio or density was constant in training."""
    return [
        f"{curve.title}, {tag.rpartition('/')[2]}: {meaning} was {curve.mean[0]:.3g} throughout"
        for prefix, (_, meaning) in _MASKS.items()
        for tag, found in panel.curves.items()
        if tag.startswith(prefix)
        for curve in found
        if curve.mean and not _moves(curve)
    ]


def _validation(panel: ReportPanel) -> Iterator[str]:
    """Yield valid/nll and the compared metric on the validation split, if logged at more than one step."""
    compared = metric_name(panel.comparison.settings.metric)
    wanted = ("valid/nll", f"valid/{compared.metric}" if compared else "")
    yield from (
        tag for tag in dict.fromkeys(wanted) if any(len(c.steps) > 1 for c in panel.curves.get(tag, ()))
    )


def _moves(curve: LearningCurve) -> bool:
    return len(curve.steps) > 1 and max(curve.high) - min(curve.low) > 1e-9


def _plot(
    panel: ReportPanel, key: str, tag: str, meaning: tuple[str, str], found: Sequence[LearningCurve]
) -> Plot:
    factor, unit = _unit(panel, tag)
    figure = make_figure(WIDTH, HEIGHT)
    axes = add_axes(figure)
    for curve in found:
        style = panel.styles[curve.arm]
        mean, low, high = ([v * factor for v in values] for values in (curve.mean, curve.low, curve.high))
        axes.fill_between(curve.steps, low, high, color=style.colour, alpha=0.13, linewidth=0)
        marker = style.marker if len(curve.steps) <= 20 else ""
        axes.plot(
            curve.steps,
            mean,
            color=style.colour,
            linestyle=style.line,
            linewidth=1.6,
            marker=marker,
            markersize=4,
        )
    axes.set_xlabel("training step")
    axes.set_ylabel(sanitize(f"{meaning[0]}{unit}"), parse_math=False)
    words = " ".join(_ending(curve, factor) for curve in found if curve.steps)
    about = f", {meaning[1]}" if meaning[1] != tag else ""
    seeds = max((n for curve in found for n in curve.n), default=0)
    return Plot(
        render_svg(figure, f"{panel.key}-{key}", f"{tag} over training: {panel.name}", words),
        f"{sanitize(tag)}{unit}{about}: mean over {count_of(seeds, 'seed')}; the band reaches from the lowest to the highest.",
        tuple(dict.fromkeys(curve.arm for curve in found)),
    )


def _unit(panel: ReportPanel, tag: str) -> tuple[float, str]:
    scale = scale_of(panel.comparison, tag) if metric_name(tag) else None
    return (scale.factor, scale.unit) if scale else (1.0, "")


def _ending(curve: LearningCurve, factor: float) -> str:
    first, last = (f"{curve.mean[i] * factor:.3g} at step {curve.steps[i]}" for i in (0, -1))
    low, high = curve.low[-1] * factor, curve.high[-1] * factor
    return f"{curve.title}: {first}, {last} (seeds from {low:.3g} to {high:.3g})."
