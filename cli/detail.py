"""How much of what was measured besides the compared metric a table shows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Detail:
    """What was asked for; by default, what fits a screen."""

    all_metrics: bool = False
    """Every metric of every split."""
    slices: bool = False
    """Every slice."""


COMPACT = Detail()
