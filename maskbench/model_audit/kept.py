"""Results that several proofs ask for, computed once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class KeepsResults:
    """What both kinds of audit cases share: results by a key."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Any] = {}

    def once(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return the kept result for `key`; the first call computes it."""
        if key not in self._known:
            self._known[key] = compute()
        known: T = self._known[key]
        return known
