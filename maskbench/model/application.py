"""From scores to attention weights: the ways a mask can be applied, the one that cannot leak and the ones that do.

`hard` hides pairs before the softmax; with it what is hidden has no influence at all. The others are in use in the
field, and are here so that they can be measured:

* `renormalise`: the softmax over everything, times the mask, divided by the mass that is left. Equal to `hard` up to
  rounding, as long as the mass left is not tiny;
* `raw`: likewise without the division. What is hidden still takes its share of the mass;
* `multiply_scores`: scores times the mask. A hidden pair keeps the score 0, so exp(0) of the weight;
* `small_fill`: hidden pairs get -10,000 instead of -inf. A model can learn scores below that.
"""

from __future__ import annotations

import math

from jaxtyping import Bool, Float
from torch import Tensor

from maskbench.masks.context import AttentionDecision
from maskbench.masks.softmax import softmax

SMALL_FILL = -1e4
"""The finite fill in common use."""


def attention_weights(
    scores: Float[Tensor, "batch heads q kv"], decision: AttentionDecision
) -> tuple[Float[Tensor, "batch heads q kv"], Bool[Tensor, "#batch #heads #q 1"] | None]:
    """Return the weights, and True on rows that have something to attend to, None where every row counts as such.

    Args:
        scores: scaled, biases included; float32 or float64. They may be overwritten.
    """
    if decision.apply == "hard":
        some = decision.keep.any(-1, keepdim=True)
        # Opened before the softmax, so that no gradient is NaN; the caller multiplies them by zero.
        keep = decision.keep | ~some
        scores = scores.masked_fill_(~keep, -math.inf)
        weights = softmax(scores) if decision.normaliser is None else decision.normaliser(scores, keep)
    else:
        weights, some = _otherwise(scores, decision), None
    return weights if decision.factors is None else weights * decision.factors.to(weights.dtype), some


def _otherwise(scores: Tensor, decision: AttentionDecision) -> Float[Tensor, "batch heads q kv"]:
    keep = decision.keep
    if decision.apply == "multiply_scores":
        return softmax(scores * keep)
    if decision.apply == "small_fill":
        return softmax(scores.masked_fill(~keep, SMALL_FILL))
    left = softmax(scores) * keep
    if decision.apply == "raw":
        return left
    mass = left.sum(-1, keepdim=True)
    return left / mass.masked_fill(mass == 0, 1.0)
