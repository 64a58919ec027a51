"""What learned gates share: they start open exactly, stay within their range, and can come back from its ends.

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

_LEAST = 0.1
"""The amount at which the logits of a gate that does nothing yet are taken to act when their gradient is computed."""


def held(
    raw: Float[Tensor, "*shape"], low: float | None, high: float | None = None
) -> Float[Tensor, "*shape"]:
    """Return `raw` clamped to [low, high], exactly, with the gradient it would have unclamped."""
    return raw.clamp(low, high).detach() + (raw - raw.detach())


def log_gate(amount: Float[Tensor, "*#a"], logits: Float[Tensor, "*#a"]) -> Float[Tensor, "*#a"]:
    """Return -amount * softplus(-logits), at most 0; see the module for the gradients.

    Args:
        amount: how much the gate acts; what is negative acts as 0.
    """
    return -acting(amount, F.softplus(-logits))


def acting(amount: Float[Tensor, "*#a"], cost: Float[Tensor, "*#a"]) -> Float[Tensor, "*#a"]:
    """Return amount * cost with the same care: amounts below 0 act as 0, and at 0 the cost learns all the same.

    Args:
        cost: at least 0 and finite.
    """
    idle = (amount.detach() <= 0).to(cost.dtype) * _LEAST
    return held(amount, 0.0) * cost + idle * (cost - cost.detach())
