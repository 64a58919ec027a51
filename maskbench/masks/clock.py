"""Where a mask stands: its site, its phase, and how far training has come."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
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
    steps_per_epoch: int = 0
    """Updates in a pass over the corpus; 0 where nobody counts them."""
    stalls: int = 0
    """Validations so far that found no better model; what `plateau` schedules read."""
    view: int = 0
    """Which of the masked views of a batch this is: 0, or 1 for the second view of a consistency loss."""

    @property
    def progress(self) -> float:
        """Share of the training steps done, in [0, 1]."""
        return self.step / self.total_steps if self.total_steps else 0.0

    @classmethod
    def evaluation(cls, step: int, total_steps: int, stalls: int = 0) -> Clock:
        """Return the clock of an evaluation after `step` updates: schedules as then, patterns of variant 0."""
        return cls("eval", step, total_steps, stalls=stalls)

    def stopped_at(self, share: float) -> Clock:
        """Return this clock, or, once `share` of the training is done, the clock as it stood then."""
        stop = math.ceil(share * self.total_steps)
        if self.step <= stop:
            return self
        epoch = stop // self.steps_per_epoch if self.steps_per_epoch else 0
        return replace(self, step=stop, epoch=epoch)
