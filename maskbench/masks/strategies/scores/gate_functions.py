"""Functions of learned gates: they start exactly open, stay within their range, and get gradients at its ends.

A gate is exp(-amount * softplus(-z)) of a learned amount and learned logits z: sigmoid(z) at amount 1, and exactly 1
at amount 0, where every gate starts. Two things would keep such a gate from ever learning, and are dealt with here.
An amount that falls below 0 acts as 0, and its gradient passes all the same. And at amount 0 the logits have no
influence, so no gradient; while logits that are the same for every key leave the softmax as it is, so the amount has
none either. At amount 0 the logits therefore learn as if it were a tenth.
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

_GRADIENT_AMOUNT = 0.1
"""The amount used for the gradient of the logits while a gate's amount is 0."""


def clamp_straight_through(
    raw: Float[Tensor, "*shape"], low: float | None, high: float | None = None
) -> Float[Tensor, "*shape"]:
    """Return `raw` clamped to [low, high], exactly, with the gradient it would have unclamped."""
    return raw.clamp(low, high).detach() + (raw - raw.detach())


def log_gate(amount: Float[Tensor, "*#a"], logits: Float[Tensor, "*#a"]) -> Float[Tensor, "*#a"]:
    """Return -amount * softplus(-logits), at most 0; see the module for the gradients.

    Args:
        amount: how much the gate acts; what is negative acts as 0.
    """
    return -apply_amount(amount, F.softplus(-logits))


def apply_amount(amount: Float[Tensor, "*#a"], cost: Float[Tensor, "*#a"]) -> Float[Tensor, "*#a"]:
    """Return amount * cost; amounts below 0 act as 0, and at 0 the cost still gets a gradient.

    Args:
        cost: at least 0 and finite.
    """
    idle = (amount.detach() <= 0).to(cost.dtype) * _GRADIENT_AMOUNT
    return clamp_straight_through(amount, 0.0) * cost + idle * (cost - cost.detach())
