"""The few characters beyond ASCII that tables use, and what stands for them where they cannot be written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Glyphs:
    """One set of characters."""

    verdicts: Mapping[str, str]
    plus_minus: str
    times: str
    rule: str
    bullet: str
    nothing: str
    at_most: str

    def verdict(self, verdict: str) -> str:
        """Return the symbol that stands before a verdict's word."""
        return self.verdicts.get(verdict, "~")


_SAME = {
    "identical": "=",
    "tied": "=",
    "equivalent": "=",
    "not testable": "?",
    "unusable": "!",
    "inconclusive": "~",
}

UNICODE = Glyphs({"better": "▲", "worse": "▼", **_SAME}, "±", "×", "─", "·", "–", "≤")
ASCII = Glyphs({"better": "^", "worse": "v", **_SAME}, "+-", "x", "-", "*", "-", "<=")
