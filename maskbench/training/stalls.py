"""Which validations found no better model: what picks the checkpoint, and what `plateau` schedules read.

Both are functions of the validation values logged so far, so a resumed run rebuilds them from metrics.jsonl.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from maskbench.config.schema.metrics import METRICS


class Stalls:
    """The validations of a run, in the order in which they happened."""

    def __init__(self, metric: str, logged: Iterable[Mapping[str, Any]] = ()) -> None:
        """Take up the validations that were logged.

        Args:
            metric: what picks the checkpoint, as `valid/metric`.
            logged: the lines of metrics.jsonl so far.
        """
        self._sign = 1 if METRICS[metric.removeprefix("valid/")].higher_is_better else -1
        self._best: float | None = None
        self._stalled: list[int] = []
        for line in logged:
            if metric in line:
                self.note(int(line["step"]), float(line[metric]))

    def note(self, step: int, value: float) -> bool:
        """Add the validation after `step` updates; return whether it is the best so far. The earlier of equals is."""
        if self._best is None or self._sign * value > self._sign * self._best:
            self._best = value
            return True
        self._stalled.append(step)
        return False

    def by(self, step: int) -> int:
        """Return how many validations after at most `step` updates found no better model."""
        return sum(stalled <= step for stalled in self._stalled)
