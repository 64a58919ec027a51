"""Draws time and memory of attention by sentence length, as an SVG that follows the reader's light or dark theme."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from benchmarks.harness import Spread
from maskbench.report.figure import POINTS_PER_INCH, default_matplotlib_settings, make_figure, render_svg
from maskbench.report.palette import INK, MUTED, RULE, assign_styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curves = dict[tuple[str, int], tuple[Spread, Spread]]
"""(case, length in tokens) -> seconds and bytes."""
WIDTH, HEIGHT = 760, 330
_NAMESPACE = "http://www.w3.org/2000/svg"
_VARIABLE = re.compile(r"--([a-z]+(?:-\d)?): (#[0-9a-f]+)")


def draw_curves(curves: Mapping[tuple[str, int], tuple[Spread, Spread]]) -> str:
    """Return an SVG file with two panels: milliseconds and megabytes by length, both axes logarithmic.

    Args:
        curves: at least one point; cases with dropout are left out, so that the lines can be told apart.
    """
    shown = {key: value for key, value in curves.items() if "+" not in key[0]} or dict(curves)
    cases = list(dict.fromkeys(case for case, _ in shown))
    styles = assign_styles(cases, "dense")
    with default_matplotlib_settings():
        figure = make_figure(WIDTH, HEIGHT)
        # The last label of an axis is wider than the axis.
        figure.get_layout_engine().set(w_pad=16 / POINTS_PER_INCH)
        panels = figure.subplots(1, 2)
        for place, (axes, label, scale) in enumerate(
            zip(panels, ("milliseconds", "megabytes"), (1e3, 1e-6), strict=True)
        ):
            for case in cases:
                lengths = sorted(length for name, length in shown if name == case)
                spreads = [shown[case, length][place] for length in lengths]
                style = styles[case]
                axes.plot(
                    lengths,
                    [scale * spread.median for spread in spreads],
                    color=style.colour,
                    linestyle=style.line,
                    marker=style.marker,
                    markersize=5,
                    linewidth=1.8,
                    label=case,
                )
            _dress(axes, label, sorted({length for _, length in shown}))
        figure.legend(
            *panels[0].get_legend_handles_labels(),
            loc="outside upper center",
            ncols=len(cases),
            frameon=False,
            labelcolor=INK,
            fontsize=11,
        )
        svg = render_svg(
            figure, "attention-cost", "One attention layer: time and memory by length", describe(shown)
        )
    return _standalone(svg)


def describe(curves: Mapping[tuple[str, int], tuple[Spread, Spread]]) -> str:
    """Return the curves' numbers as text."""
    return " ".join(
        f"{case} at {length} tokens: {1e3 * time.median:.0f} ms, {memory.median / 1e6:.0f} MB."
        for (case, length), (time, memory) in curves.items()
    )


def _dress(axes: Axes, label: str, lengths: list[int]) -> None:
    """Set scales, labels and colours of a panel."""
    from matplotlib.ticker import LogLocator

    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(lengths, [f"{length:,}" for length in lengths])
    axes.set_xlabel("tokens a sentence")
    axes.set_ylabel(label)
    # Where the values span less than a decade, powers of ten alone would leave the axis without numbers.
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(RULE)
    axes.grid(axis="y", color=RULE, linewidth=0.5, alpha=0.5)
    axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=11)
    axes.xaxis.label.set(color=INK, fontsize=11)
    axes.yaxis.label.set(color=INK, fontsize=11)


def _standalone(svg: str) -> str:
    """Return the element as a file: with its namespace, a background, and the page's colours for both themes."""
    root = ElementTree.fromstring(svg)
    root.set("xmlns", _NAMESPACE)
    style = ElementTree.Element("style")
    light, dark = read_themes()
    font = "font-family: system-ui, sans-serif"
    style.text = f"svg {{ {light}; {font} }} @media (prefers-color-scheme: dark) {{ svg {{ {dark} }} }}"
    paper = ElementTree.Element("rect", width="100%", height="100%", fill="var(--paper)")
    # Title and description stay first, for screen readers.
    root[2:2] = [style, paper]
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def read_themes() -> tuple[str, str]:
    """Return the colours of the report's style sheet as CSS declarations, light and dark."""
    text = (files("maskbench.report") / "templates" / "style.css").read_text(encoding="utf-8")
    light, _, rest = text.partition("@media (prefers-color-scheme: dark)")
    dark = rest.partition("}")[0]
    first, second = (dict(_VARIABLE.findall(part)) for part in (light, dark))
    return _declare(first), _declare(second)


def _declare(colours: Mapping[str, str]) -> str:
    return "; ".join(f"--{name}: {value}" for name, value in colours.items())
