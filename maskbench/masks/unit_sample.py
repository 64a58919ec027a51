"""Sets of bounded size, for counting what a run's masks did: all elements, or those of a random share of units.

Distinct sampling (Gibbons 2001, "Distinct sampling for highly-accurate answers to distinct values queries and event
reports", VLDB): every element belongs to a unit, such as an example, and a unit is kept while its hash is below
`2 ** -level` of the range. The level rises by one when a set has more than `LARGEST` elements. So what is kept follows
from what was added, whatever the order and however often; two processes that see the same elements keep the same.
Everything about a kept unit is exact. A number over all units is estimated from the kept ones, with a relative standard
error of at most about one over the square root of their number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Unit = TypeVar("Unit", bound=Hashable)

LARGEST = 1 << 16
"""Number of elements that a set holds at most. They take about 10 MB; a run of 20,000 visits of sentences is below it."""

_HASH_BITS = 64


@dataclass(slots=True)
class UnitSample(Generic[Unit]):
    """Which units are kept, and several sets of elements of the kept units."""

    sets: tuple[dict[Unit, set[object]], ...]
    """Elements by unit."""
    level: int = 0
    sizes: list[int] = field(default_factory=list)
    """Number of elements of each set."""
    visits: dict[Unit, int] = field(default_factory=dict)
    """By kept unit: how often it was visited."""
    all_visits: int = 0

    @classmethod
    def of(cls, n_sets: int) -> UnitSample[Unit]:
        """Return `n_sets` empty sets."""
        return cls(tuple({} for _ in range(n_sets)), sizes=[0] * n_sets)

    @property
    def share(self) -> float:
        """The share of units that is kept."""
        return 2.0**-self.level

    def visit(self, unit: Unit) -> bool:
        """Count a visit of `unit`; return whether it is kept."""
        self.all_visits += 1
        if self.level and not self._keeps(unit):
            return False
        self.visits[unit] = self.visits.get(unit, 0) + 1
        return True

    def add(self, index: int, unit: Unit, element: object) -> None:
        """Add an element of a kept unit to set `index`."""
        elements = self.sets[index].setdefault(unit, set())
        before = len(elements)
        elements.add(element)
        self.sizes[index] += len(elements) - before

    def shrink(self) -> bool:
        """Raise the level until no set is larger than `LARGEST`; return whether units were dropped."""
        if max(self.sizes) <= LARGEST:
            return False
        while max(self.sizes) > LARGEST:
            self.level += 1
            for unit in [unit for unit in self.visits if not self._keeps(unit)]:
                del self.visits[unit]
                for elements in self.sets:
                    elements.pop(unit, None)
            self.sizes = [sum(map(len, elements.values())) for elements in self.sets]
        return True

    def estimate(self, index: int) -> int:
        """Return the number of elements added to set `index`: exact at level 0, else estimated from the share of units."""
        return round(self.sizes[index] / self.share)

    def estimate_by_visits(self, index: int) -> int:
        """Return the same, estimated from the share of visits.

        This is closer than `estimate` where units are visited about equally often and have about as many elements each,
        as examples in training.
        """
        kept = sum(self.visits.values())
        return round(self.sizes[index] * self.all_visits / kept) if kept else 0

    def _keeps(self, unit: Unit) -> bool:
        digest = hashlib.blake2b(repr(unit).encode(), digest_size=_HASH_BITS // 8).digest()
        return int.from_bytes(digest, "big") >> (_HASH_BITS - self.level) == 0
