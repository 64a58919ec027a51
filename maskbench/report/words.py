"""The page's small pieces of text: a difference in words, a verdict with its symbol."""

from __future__ import annotations

from maskbench.comparison.results import Row, Settings
from maskbench.comparison.symbols import SYMBOLS
from maskbench.comparison.text.number_format import Scale, signed


def verdict_shown(verdict: str | None) -> str:
    """Return a verdict with the symbol that stands before it everywhere."""
    return "" if verdict is None else f"{SYMBOLS[verdict]} {verdict}"


def shortened(text: str, most: int) -> str:
    """Return at most so many characters, the last one an ellipsis where some are missing."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def difference_in_words(row: Row, scale: Scale, settings: Settings) -> str:
    """Return `window: +1.2 points, 95 % interval from 0.3 to 2.0, 7 of 8 seeds better: better.`"""
    difference = row.difference
    if difference is None or difference.mean is None:
        return f"{row.title}: nothing to show."
    text = f"{row.title}: {signed(scale.number(difference.mean))}{scale.points}"
    if difference.interval is not None:
        low, high = scale.number(difference.interval.low), scale.number(difference.interval.high)
        text += f", {settings.level} % interval from {low} to {high}"
    text += f", {difference.wins} of {difference.n} seeds better"
    return f"{text}; verdict: {row.verdict}." if row.verdict else f"{text}."
