"""What a plug-in's method should return, what it returned, and the sentence that says both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Axis(NamedTuple):
    """One axis of a tensor that is expected."""

    name: str
    size: int
    may_be_one: bool = False
    """Whether 1 is allowed as well: the axis is then broadcast."""

    def __str__(self) -> str:
        return f"{self.name} {self.size}{'|1' if self.may_be_one and self.size != 1 else ''}"

    def allows(self, size: int) -> bool:
        """Whether a tensor may have this many entries here."""
        return size == self.size or (self.may_be_one and size == 1)


def expect_tensor(
    value: Any, dtype: str, axes: Sequence[Axis], like: Tensor | None, what: str = ""
) -> str | None:
    """Return what is wrong with a tensor; None if nothing is.

    Args:
        dtype: "Bool", "Int64" or "Float", which is any floating dtype.
        axes: from the first to the last.
        like: a tensor on the device that is expected; None: any.
        what: which part of the result is meant, before its description.
    """
    right = (
        isinstance(value, Tensor)
        and _has_dtype(value, dtype)
        and value.ndim == len(axes)
        and all(axis.allows(size) for axis, size in zip(axes, value.shape, strict=True))
    )
    if right and (like is None or value.device == like.device):
        return None
    expected = f"{dtype}[{', '.join(map(str, axes))}]"
    meaning = ", True = may attend" if dtype == "Bool" and any(axis.name == "key" for axis in axes) else ""
    if right and like is not None:
        return f"returned {what}{show_value(value)} on {value.device}, and should be on {like.device}"
    return f"returned {what}{show_value(value)}, and should return {expected}{meaning}"


def _has_dtype(value: Tensor, dtype: str) -> bool:
    if dtype == "Float":
        return value.is_floating_point()
    return value.dtype == {"Bool": torch.bool, "Int64": torch.int64}[dtype]


def show_value(value: Any) -> str:
    """Return a value in a few words: `None`, `Float32[2, 4, 7, 7]`, `a dict`."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is not None and dtype is not None:
        name = str(dtype).removeprefix("torch.")
        return f"{name.capitalize()}[{', '.join(map(str, shape))}]"
    if value is None or isinstance(value, bool | int | float | str):
        text = repr(value)
        return text if len(text) <= 40 else f"{text[:37]}..."
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def expect_number(value: Any) -> str | None:
    """Return what is wrong with a number; None if it is a finite one."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return None
    return f"returned {show_value(value)}, and should return a finite number"


def expect_values(value: Any) -> str | None:
    """Return what is wrong with the values of a metric; None if they are finite numbers by the name of a slice."""
    if not isinstance(value, dict):
        return f'returned {show_value(value)}, and should return a dict: the value under "", slices by their names'
    for name, number in value.items():
        if not isinstance(name, str) or expect_number(number):
            return f"returned {show_value(number)} for {name!r}, and should return a finite number"
    return None


def expect_numbers_of_sentence(value: Any, count: int) -> str | None:
    """Return what is wrong with what a sentence adds to a metric's sums; None if it is `count` finite numbers."""
    if isinstance(value, tuple | list) and len(value) == count and not any(map(expect_number, value)):
        return None
    shown = f"({', '.join(map(show_value, value))})" if isinstance(value, tuple | list) else show_value(value)
    return f"returned {shown}, and should return {count} finite numbers"
