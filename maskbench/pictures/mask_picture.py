"""What a picture consists of, whoever draws it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Shades = npt.NDArray[np.float32]
"""[rows, columns]: 1 may attend (or stays), 0 is hidden, between them a weight; NaN was never allowed."""

TokenState = Literal["shown", "masked", "replaced", "zeroed", "kept", "new", "left out"]
"""What became of a token; `kept`: picked, but left as it was."""


@dataclass(frozen=True)
class Grid:
    """One square of cells."""

    label: str
    """For instance `layer 0, heads 1-3`; empty where it holds for all."""
    shades: Shades


@dataclass(frozen=True)
class TrainingStage:
    """The grids of one moment of training."""

    label: str
    """For instance `half-way: radius 4`; empty where the moment does not matter."""
    grids: tuple[Grid, ...]


@dataclass(frozen=True)
class Token:
    """A token of the sample sentence after a mask."""

    text: str
    state: TokenState


@dataclass(frozen=True)
class TokenRow:
    """The sample sentence at one visit."""

    label: str
    tokens: tuple[Token, ...]


@dataclass(frozen=True)
class MaskPicture:
    """A picture: grids over stages, or rows of tokens."""

    title: str
    stages: tuple[TrainingStage, ...] = ()
    rows: tuple[TokenRow, ...] = ()
    row_axis: str = "query"
    """What the rows of a grid are."""
    column_axis: str = "key"
    """What its columns are."""
    notes: tuple[str, ...] = ()

    @property
    def axis_labels(self) -> tuple[str, str]:
        """What the rows and the columns of a grid are, as a label says it."""
        down, across = (
            f"{n} position" if n in ("query", "key") else n for n in (self.row_axis, self.column_axis)
        )
        return down, across

    @property
    def full_cell_label(self) -> str:
        """What a cell that is fully there means."""
        if self.has_partial_cells:
            return "full weight"
        return "may attend" if self.column_axis == "key" else "allowed"

    @property
    def has_partial_cells(self) -> bool:
        """Whether some cell is neither hidden nor fully there."""
        cells = [g.shades[~np.isnan(g.shades)] for s in self.stages for g in s.grids]
        return any(bool(((c > 0) & (c < 1)).any()) for c in cells)

    @property
    def has_illegal_cells(self) -> bool:
        """Whether some cell is one that no mask could open."""
        return any(bool(np.isnan(g.shades).any()) for s in self.stages for g in s.grids)
