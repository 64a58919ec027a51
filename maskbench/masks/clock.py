"""The clock: the phase, step and epoch of training, which schedules and random draws read."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

Phase = Literal["train", "eval"]


@dataclass(frozen=True, slots=True)
class Clock:
    """State of training: everything that a schedule or a refresh may depend on."""

    phase: Phase
    step: int
    """Optimiser updates done so far."""
    total_steps: int
    epoch: int = 0
    """Passes over the corpus done so far: how often each example was used before."""
    steps_per_epoch: int = 0
    """Optimiser updates per pass over the corpus; 0: unknown."""
    stalls: int = 0
    """Validations so far that found no better model; read by `plateau` schedules."""
    view: int = 0
    """Index of the masked view of a batch: 0, or 1 for the second view of a consistency loss."""

    @property
    def progress(self) -> float:
        """Share of the training steps done, in [0, 1]; 0 where there are no steps."""
        return self.step / self.total_steps if self.total_steps else 0.0

    @classmethod
    def evaluation(cls, step: int, total_steps: int, stalls: int = 0) -> Clock:
        """Return the clock of an evaluation after `step` updates: phase "eval", schedules at that step."""
        return cls("eval", step, total_steps, stalls=stalls)

    def stopped_at(self, share: float) -> Clock:
        """Return this clock, but at most at the step where `share` of the training is done."""
        stop = math.ceil(share * self.total_steps)
        if self.step <= stop:
            return self
        epoch = stop // self.steps_per_epoch if self.steps_per_epoch else 0
        return replace(self, step=stop, epoch=epoch)
