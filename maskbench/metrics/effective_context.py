"""Effective context: distance in source tokens that holds 95 % of a target token's gradient norm."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from maskbench.metrics.base import Metric
from maskbench.registry import METRICS

if TYPE_CHECKING:
    from maskbench.metrics.model_outputs import ModelOutputs


@METRICS.register("effective_context")
class EffectiveContext(Metric):
    """Mean gradient reach; `maskbench.metrics.source_gradients` has the definition."""

    higher_is_better = True
    unit = "source tokens"
    low, high = 0.0, math.inf
    description = (
        "least distance from the source token with the greatest gradient within which a target token finds"
        " 95 % of its gradient's norm, first 64 sentences (after Chi et al. 2023)"
    )
    source = 'after Chi et al. 2023, "Dissecting Transformer length extrapolation via the lens of receptive field analysis"'

    def measure(self, outputs: ModelOutputs, split: str) -> dict[str, float]:
        """Return the mean over the target tokens of the split's first sentences."""
        from maskbench.metrics.source_gradients import mean_gradient_reach

        return {"": mean_gradient_reach(outputs.model, outputs.split(split), outputs.clock)}
