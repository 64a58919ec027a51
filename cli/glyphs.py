"""The few characters beyond ASCII that tables use, and what stands for them where they cannot be written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from maskbench.comparison.symbols import IN_ASCII, SYMBOLS


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
        return self.verdicts[verdict]


UNICODE = Glyphs(SYMBOLS, "±", "×", "─", "·", "–", "≤")
ASCII = Glyphs(IN_ASCII, "+-", "x", "-", "*", "-", "<=")
