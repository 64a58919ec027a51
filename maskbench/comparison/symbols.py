"""The symbol that stands before each verdict, in the terminal and on the page; its word always stands beside it."""

from __future__ import annotations

from typing import Final

IN_ASCII: Final = {
    "better": "^",
    "worse": "v",
    "identical": "=",
    "tied": "=",
    "equivalent": "=",
    "not testable": "?",
    "unusable": "!",
    "inconclusive": "~",
}
SYMBOLS: Final = {**IN_ASCII, "better": "▲", "worse": "▼"}
