"""Computes a model's 16-bit parts in the format of its weights, so that rounding does not hide what the model reads.

A score computed in bfloat16 has two to three digits. A limit that allows its rounding allows most leaks as well. What a
model reads does not depend on the format in which it computes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


def is_narrow(dtype: torch.dtype | None) -> bool:
    """Whether a dtype is a floating format of at most 16 bits."""
    return dtype is not None and dtype.is_floating_point and dtype.itemsize <= 2


class Widened(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within the context, every operation that is asked for a 16-bit result returns one in `dtype`."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.dtype = dtype

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation with the wider format."""
        kwargs = dict(kwargs or {})
        if is_narrow(kwargs.get("dtype")):
            kwargs["dtype"] = self.dtype
        return func(*args, **kwargs)
