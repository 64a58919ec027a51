"""Small images of a model's attention masks during training."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from maskbench.config.schema.experiment import ATTENTION_SITES, PlacementConfig
from maskbench.masks.clock import Clock
from maskbench.masks.context import Sizes
from maskbench.masks.placement import PlacedStrategy
from maskbench.masks.plan import MaskPlan
from maskbench.pictures.attention_grids import compute_shades
from maskbench.pictures.mask_picture import Shades
from maskbench.pictures.sample_pair import SamplePair

Pixels = npt.NDArray[np.uint8]
"""[height, width, red green blue]."""

_HIDDEN = np.array([232, 228, 218], dtype=np.float64)
_ALLOWED = np.array([31, 78, 121], dtype=np.float64)
_ILLEGAL, _FRAME = 255, 160
_SIDE = 192
"""Target length of a grid's longer side, in pixels."""


def render_grids_png(grids: Sequence[Sequence[Shades]]) -> bytes:
    """Return a PNG file of grids in rows of equal length, all grids of one shape.

    Dark cells are kept, light cells hidden by the mask, white cells illegal. Queries are rows, keys are columns.
    """
    rows, columns = grids[0][0].shape
    cell = max(2, _SIDE // max(rows, columns))
    drawn = [np.concatenate([_framed(_pixels(grid, cell)) for grid in line], 1) for line in grids]
    return encode_png(np.concatenate(drawn, 0))


def _pixels(shades: Shades, cell: int) -> Pixels:
    known = np.nan_to_num(shades)[..., None]
    colours = np.where(np.isnan(shades)[..., None], _ILLEGAL, _HIDDEN + (_ALLOWED - _HIDDEN) * known)
    return colours.round().astype(np.uint8).repeat(cell, 0).repeat(cell, 1)


def _framed(pixels: Pixels) -> Pixels:
    outline = np.pad(pixels, ((1, 1), (1, 1), (0, 0)), constant_values=_FRAME)
    return np.pad(outline, ((4, 4), (4, 4), (0, 0)), constant_values=255)


def encode_png(pixels: Pixels) -> bytes:
    """Return an 8-bit RGB image as the bytes of a PNG file, without text chunks."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="png")
    return buffer.getvalue()


_LENGTH = 24
"""Positions of the sample sentence."""


def can_change(placed: PlacedStrategy) -> bool:
    """Whether a placement changes over training: it is learned, or an option has a schedule."""
    return placed.moves_in_time or any(True for _ in placed.strategy.parameters())


class MaskSnapshots:
    """Renders the attention placements of an arm, from a copy of its masks that nothing else uses."""

    def __init__(self, placements: Sequence[PlacementConfig], sizes: Sizes, seed: int, streams: str) -> None:
        here = [placement for placement in placements if placement.site in ATTENTION_SITES]
        # Building a strategy must not advance the global generator of the run.
        with torch.random.fork_rng(devices=[]):
            self.plan = MaskPlan(here, seed=seed, streams=streams, sizes=sizes)
        self.sample = SamplePair.from_random_tokens(min(_LENGTH, sizes.max_length), sizes)

    def render(
        self, state: Mapping[str, Tensor], clock: Clock, *, changing_only: bool
    ) -> Iterator[tuple[str, bytes]]:
        """Yield label and PNG of every attention placement: a row for each layer, a column for each head.

        Args:
            state: the model's masks, as `state_dict` gives them.
            clock: the point of training.
            changing_only: leave out placements that look as they did at the start, but for their random draws.
        """
        own = self.plan.state_dict()
        self.plan.load_state_dict({name: state[name] for name in own})
        for placed in self.plan.placed:
            if clock.phase in placed.phases and (
                not changing_only or can_change(placed) or self._reads_time(placed, clock)
            ):
                yield placed.label, render_grids_png(_drop_repeats(self._shades(placed, clock)))

    def _shades(self, placed: PlacedStrategy, clock: Clock) -> list[list[Shades]]:
        return [compute_shades(self.plan, placed, self.sample, layer, clock) for layer in placed.layers]

    def _reads_time(self, placed: PlacedStrategy, clock: Clock) -> bool:
        """Whether the strategy itself reads the time, so that its mask is another than at the start of training.

        The random draws are those of the start in both, so that they do not tell the two apart.
        """
        start = replace(clock, step=0, epoch=0, stalls=0)
        with placed.hold_draws(start):
            before, now = (self._shades(placed, at) for at in (start, clock))
        return not all(
            np.array_equal(a, b, equal_nan=True)
            for first, second in zip(before, now, strict=True)
            for a, b in zip(first, second, strict=True)
        )


def _drop_repeats(lines: list[list[Shades]]) -> list[list[Shades]]:
    """Return one head if all heads look the same, and one layer if all layers do."""
    same_heads = all(np.array_equal(line[0], grid, equal_nan=True) for line in lines for grid in line)
    lines = [line[:1] for line in lines] if same_heads else lines
    first = lines[0]
    same_layers = all(
        np.array_equal(a, b, equal_nan=True) for line in lines for a, b in zip(first, line, strict=True)
    )
    return lines[:1] if same_layers else lines
