"""Where a mask stands: its site, its phase, and how far training has come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Phase = Literal["train", "eval"]


@dataclass(frozen=True, slots=True)
class Clock:
    """Where training stands: all that a schedule or a refresh may depend on."""

    phase: Phase
    step: int
    """Optimiser updates done so far."""
    total_steps: int
    epoch: int = 0
    """Passes over the corpus done so far: how often each example was seen before."""

    @property
    def progress(self) -> float:
        """Share of the training steps done, in [0, 1]."""
        return self.step / self.total_steps if self.total_steps else 0.0

    @classmethod
    def evaluation(cls, step: int, total_steps: int) -> Clock:
        """Return the clock of an evaluation after `step` updates: schedules as then, patterns of variant 0."""
        return cls("eval", step, total_steps)
