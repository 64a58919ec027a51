"""The contents of a picture of a mask, independent of how it is rendered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Shades = npt.NDArray[np.float32]
"""Float32[rows, columns]: 1 is kept, 0 is hidden, between them a weight; NaN is illegal with or without the mask."""

TokenState = Literal["shown", "masked", "replaced", "zeroed", "kept", "new", "left out"]
"""What a mask did to a token; `kept`: picked, but not changed; `new`: inserted."""


@dataclass(frozen=True)
class Grid:
    """One matrix of cells."""

    label: str
    """Its layers and heads, such as `layer 0, heads 1-3`; empty where it holds for all."""
    shades: Shades


@dataclass(frozen=True)
class TrainingStage:
    """The grids at one point of training."""

    label: str
    """Such as `half-way (radius 4)`; empty where nothing changes over training."""
    grids: tuple[Grid, ...]


@dataclass(frozen=True)
class Token:
    """A token of the sample sentence after a mask."""

    text: str
    state: TokenState


@dataclass(frozen=True)
class TokenRow:
    """The sample sentence after the mask, in one epoch."""

    label: str
    tokens: tuple[Token, ...]


@dataclass(frozen=True)
class MaskPicture:
    """A picture: grids over stages, or rows of tokens."""

    title: str
    stages: tuple[TrainingStage, ...] = ()
    rows: tuple[TokenRow, ...] = ()
    row_axis: str = "query"
    """What a row of a grid is."""
    column_axis: str = "key"
    """What a column of a grid is."""
    notes: tuple[str, ...] = ()

    @property
    def axis_labels(self) -> tuple[str, str]:
        """Labels of the vertical and the horizontal axis."""
        down, across = (
            f"{n} position" if n in ("query", "key") else n for n in (self.row_axis, self.column_axis)
        )
        return down, across

    @property
    def full_cell_label(self) -> str:
        """The legend of a cell with shade 1."""
        if self.has_partial_cells:
            return "full weight"
        return "may attend" if self.column_axis == "key" else "allowed"

    @property
    def has_partial_cells(self) -> bool:
        """Whether some shade lies strictly between 0 and 1."""
        cells = [g.shades[~np.isnan(g.shades)] for s in self.stages for g in s.grids]
        return any(bool(((c > 0) & (c < 1)).any()) for c in cells)

    @property
    def has_illegal_cells(self) -> bool:
        """Whether some cell is illegal, so that no mask can open it."""
        return any(bool(np.isnan(g.shades).any()) for s in self.stages for g in s.grids)
