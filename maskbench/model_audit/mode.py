"""The ways in which a model is run for a proof."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Mode:
    """How a model is run."""

    name: str
    training: bool = False
    """Whether the module is in training mode, with its dropout."""
    gradients: bool = False
    """Whether gradients are recorded; fast paths of some modules run only without."""
    moment: Hashable = None
    """When the pass happens, for a model that changes with time, such as a mask with a schedule."""

    def with_gradients(self) -> Mode:
        """Return the mode in which gradients are recorded as well."""
        return replace(self, name=f"{self.name} with gradients", gradients=True)


EVALUATION = Mode("evaluation")
WITH_GRADIENTS = EVALUATION.with_gradients()
TRAINING = Mode("training", training=True, gradients=True)
