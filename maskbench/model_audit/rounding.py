"""How far rounding alone may move a score: from the narrowest number format in which the model computes.

A model in float64 may compute parts of itself in float32, such as a softmax or the rotation of positions, so the format
of its weights does not tell. Here every operation of a pass is observed.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

ROUNDINGS = 256
"""Allowed change in units in the last place of the largest score, in the narrowest format in which a pass computes.

A sum of n terms of random sign errs by about the square root of n units; a model of a few layers of width up to 1,000
chains a few such sums.
"""


FILL, FILL_SHARE = 1e8, 1e6
"""A score that stands for minus infinity lies below minus this number, and below minus so many times the median."""


class NarrowestFormat(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within the context, notes the narrowest floating format that an operation returned."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.dtype = torch.float64

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and look at its results."""
        found = func(*args, **(kwargs or {}))
        for part in found if isinstance(found, tuple | list) else (found,):
            if isinstance(part, Tensor) and part.is_floating_point() and part.numel() > 1:
                self.dtype = max(self.dtype, part.dtype, key=lambda dtype: torch.finfo(dtype).eps)
        return found


def without_fills(scores: Tensor) -> Tensor:
    """Return scores with minus infinity where a number far below all others stands for it, as a fill of the smallest number.

    Otherwise the rounding of such a number would allow any change of the others.
    """
    if not scores.is_floating_point() or not scores.numel():
        return scores
    usual = scores.abs().nan_to_num(posinf=0.0).median()
    return scores.masked_fill(scores < -max(FILL, FILL_SHARE * float(usual)), -torch.inf)


def largest_score(scores: Tensor) -> float:
    """Return the largest absolute finite number; 0 if there is none."""
    finite = scores.detach().nan_to_num(nan=0.0, neginf=0.0, posinf=0.0)
    return float(finite.abs().max()) if finite.numel() else 0.0


def apart(one: Tensor, other: Tensor) -> Tensor:
    """Return the absolute difference of every two numbers, in float64; infinity where it is no number."""
    far = torch.where(one == other, 0.0, (one.detach().double() - other.detach().double()).abs())
    return far.nan_to_num(nan=torch.inf, posinf=torch.inf)


def difference(one: Tensor, other: Tensor) -> float:
    """Return the largest absolute difference; NaN, or infinity against a number, gives the largest float."""
    return min(float(apart(one, other).max()), sys.float_info.max) if one.numel() else 0.0


def by(amount: float) -> str:
    """Return how far a score moved, as the end of a sentence."""
    return f"by {amount:.2g}" if amount < sys.float_info.max else "to what is no number"


def are_scores(scores: Tensor) -> Bool[Tensor, "..."]:
    """Return, for every position, whether its scores are usable: none is NaN or plus infinity, and one is finite.

    Minus infinity is the score of an output that is never chosen.
    """
    return ~(scores.isnan() | scores.isposinf()).any(-1) & scores.isfinite().any(-1)


def apart_at(one: Tensor, other: Tensor, real: Bool[Tensor, "batch len"]) -> Float[Tensor, "batch len"]:
    """Return how far the scores of every position are apart; 0 at padding, infinity where a difference is no number."""
    return torch.where(real, apart(one, other).amax(-1), 0.0)


def largest_at(apart: Float[Tensor, "batch len"]) -> tuple[float, int, int]:
    """Return the largest number, its row and its position."""
    row, position = (int(place) for place in torch.unravel_index(apart.argmax(), apart.shape))
    return float(apart[row, position]), row, position
