"""Another way to compute a model's scores, and the way that must give the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from maskbench.model_audit.inputs import Inputs


class Door(NamedTuple):
    """Two functions from inputs to numbers `[batch len outputs]` that must be equal at real tokens of the target."""

    compute: Callable[[Inputs], Tensor]
    expected: Callable[[Inputs], Tensor]
