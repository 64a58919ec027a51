"""Refuses numbers that a statistic cannot be computed from: NaN compares as false, so it would answer by chance of order."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral


def require_finite(values: Iterable[float], what: str) -> None:
    """Check numbers that a mean or a test is computed from.

    Raises:
        ValueError: one is NaN or infinite; the message has its place, counted from 0.
    """
    for index, value in enumerate(values):
        if not math.isfinite(value):
            raise ValueError(f"{what} must be finite numbers, but number {index} is {value}")


def require_p_values(values: Iterable[float]) -> None:
    """Check p-values.

    Raises:
        ValueError: one is NaN or outside [0, 1]; the message has its place, counted from 0.
    """
    for index, value in enumerate(values):
        if not 0 <= value <= 1:
            raise ValueError(f"p-values must lie between 0 and 1, but number {index} is {value}")


def require_level(alpha: float, name: str = "alpha") -> None:
    """Check a level or a share.

    Raises:
        ValueError: it is NaN or outside (0, 1).
    """
    if not 0 < alpha < 1:
        raise ValueError(f"{name} must lie between 0 and 1, got {alpha}")


def require_counts(least: int = 0, **counts: int) -> None:
    """Check numbers of things, by name.

    Raises:
        ValueError: one is no whole number or below `least`.
    """
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, Integral) or count < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, got {count}")


def require_positive(**values: float) -> None:
    """Check sizes, by name.

    Raises:
        ValueError: one is NaN, infinite, or not above 0.
    """
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be a finite number above 0, got {value}")
