"""Colours, markers and line styles of figures; each colour stands for a variable of the page's style sheet.

matplotlib draws in the light theme's colours, which are then replaced by variables, so no two roles share a
colour. Arms also differ in marker and line style, so that they can be told apart without colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

INK, MUTED, RULE, BAND, PAPER = "#1b1b1a", "#5d5d58", "#b4b3ab", "#e9e7df", "#fefefd"
_ARMS = ("#00599c", "#b04a00", "#00735a", "#9c3578", "#7a5f00", "#00717f", "#5a4ac0")
"""Blue, vermilion, green, purple, ochre, teal, indigo; after Okabe and Ito (2008).

Their contrast to PAPER is at least 4.5 : 1.
"""
_MARKERS = ("s", "^", "o", "D", "v", "P", "X")
_LINES: tuple[tuple[float, ...], ...] = ((), (5, 2), (1.5, 1.5), (7, 2, 1.5, 2), (3, 1.5))

VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    BAND: "var(--band)",
    PAPER: "var(--paper)",
    **{colour: f"var(--arm-{number})" for number, colour in enumerate(_ARMS)},
}
"""Colour as matplotlib writes it -> variable of the page's style sheet."""

MARKER_PATHS = {
    "s": "M-3.5-3.5h7v7h-7z",
    "^": "M0-4.2L4.2 3.6H-4.2z",
    "o": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
    "D": "M0-5L5 0L0 5L-5 0z",
    "v": "M0 4.2L4.2-3.6H-4.2z",
    "P": "M-1.5-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",
    "X": "M0-2L2.5-4.5L4.5-2.5L2 0L4.5 2.5L2.5 4.5L0 2L-2.5 4.5L-4.5 2.5L-2 0L-4.5-2.5L-2.5-4.5z",
}
"""matplotlib marker -> the same marker as an SVG path around (0, 0), for legends outside of figures."""


@dataclass(frozen=True, slots=True)
class ArmStyle:
    """Colour, marker and line style of an arm in all figures."""

    colour: str
    marker: str
    dashes: tuple[float, ...]
    """Lengths of dashes and gaps in points; empty for a solid line."""

    @property
    def variable(self) -> str:
        """The colour as a variable of the page's style sheet."""
        return VARIABLES[self.colour]

    @property
    def outline(self) -> str:
        """The marker as an SVG path."""
        return MARKER_PATHS[self.marker]

    @property
    def dash_array(self) -> str:
        """The line style as SVG's `stroke-dasharray`."""
        return " ".join(f"{length:g}" for length in self.dashes) or "none"

    @property
    def line(self) -> tuple[float, tuple[float, ...]] | str:
        """The line style as matplotlib's `linestyle`."""
        return (0, self.dashes) if self.dashes else "solid"


def assign_styles(arms: Sequence[str], baseline: str) -> dict[str, ArmStyle]:
    """Return a style for every arm: INK for the baseline, the arm colours in turn for the others."""
    others = [arm for arm in arms if arm != baseline]
    found = {baseline: ArmStyle(INK, "o", ())}
    for number, arm in enumerate(others):
        turn, place = divmod(number, len(_ARMS))
        # A colour that is used again gets the next marker and the next line style.
        marker = _MARKERS[(place + turn) % len(_MARKERS)]
        found[arm] = ArmStyle(_ARMS[place], marker, _LINES[(place + turn) % len(_LINES)])
    return found
