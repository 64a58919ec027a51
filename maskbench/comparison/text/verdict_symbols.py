"""The symbol that stands before each verdict's word. Imports nothing: every command that prints loads this file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ASCII_VERDICT_SYMBOLS: Final = {
    "better": "^",
    "worse": "v",
    "identical": "=",
    "tied": "=",
    "equivalent": "=",
    "not testable": "?",
    "unusable": "!",
    "inconclusive": "~",
}
VERDICT_SYMBOLS: Final = {**ASCII_VERDICT_SYMBOLS, "better": "▲", "worse": "▼"}


def verdict_with_symbol(verdict: str, symbols: Mapping[str, str] = VERDICT_SYMBOLS) -> str:
    """Return `▲ better`; empty for the empty verdict of a baseline."""
    return f"{symbols[verdict]} {verdict}" if verdict else ""


UNEQUAL: Final = "†"
"""Stands behind a mean that is over other seeds than the baseline's, so that their difference is not the one shown."""
