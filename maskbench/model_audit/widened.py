"""Computes the parts of a model that choose a narrower format in the format of its weights, so that rounding hides nothing.

A score computed in bfloat16 has two to three digits, one in float32 seven. A limit that allows such rounding allows small
leaks as well, and a model that computes its softmax or its norms in float32 would be held to float32 even in float64. What a
model reads does not depend on the format in which it computes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


def is_narrower(dtype: torch.dtype | None, weights: torch.dtype) -> bool:
    """Whether a dtype is a floating format of fewer bits than that of the weights."""
    return dtype is not None and dtype.is_floating_point and dtype.itemsize < weights.itemsize


class Widened(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within the context, every operation that is asked for a result in a narrower format returns one in `dtype`."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.dtype = dtype

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation with the wider format."""
        kwargs = dict(kwargs or {})
        if is_narrower(kwargs.get("dtype"), self.dtype):
            kwargs["dtype"] = self.dtype
        return func(*args, **kwargs)
