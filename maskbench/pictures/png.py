"""Grids as the bytes of a small PNG image, without a drawing library: for pictures made in the middle of a run."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from maskbench.pictures.sheet import Shades

Pixels = npt.NDArray[np.uint8]
"""[height, width, red green blue]."""

_HIDDEN = np.array([232, 228, 218], dtype=np.float64)
_ALLOWED = np.array([31, 78, 121], dtype=np.float64)
_ILLEGAL, _FRAME = 255, 160
_SIDE = 192
"""Pixels that a grid's longer side aims at."""


def image(grids: Sequence[Sequence[Shades]]) -> bytes:
    """Return the PNG of grids that stand in lines of equal length, all grids of one shape.

    Dark is where a query may attend, light where the mask hides, white where it never might; as in a matrix, queries
    go down and keys across.
    """
    rows, columns = grids[0][0].shape
    cell = max(2, _SIDE // max(rows, columns))
    drawn = [np.concatenate([_framed(_pixels(grid, cell)) for grid in line], 1) for line in grids]
    return encode(np.concatenate(drawn, 0))


def _pixels(shades: Shades, cell: int) -> Pixels:
    known = np.nan_to_num(shades)[..., None]
    colours = np.where(np.isnan(shades)[..., None], _ILLEGAL, _HIDDEN + (_ALLOWED - _HIDDEN) * known)
    return colours.round().astype(np.uint8).repeat(cell, 0).repeat(cell, 1)


def _framed(pixels: Pixels) -> Pixels:
    outline = np.pad(pixels, ((1, 1), (1, 1), (0, 0)), constant_values=_FRAME)
    return np.pad(outline, ((4, 4), (4, 4), (0, 0)), constant_values=255)


def encode(pixels: Pixels) -> bytes:
    """Return an 8-bit RGB image as PNG (ISO/IEC 15948)."""
    height, width, _ = pixels.shape
    # Every line begins with its filter: 0, none.
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, 3 * width)], 1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def size_of(png: bytes) -> tuple[int, int]:
    """Return width and height of a PNG.

    Raises:
        ValueError: the bytes are no PNG.
    """
    if len(png) < 24 or png[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("not a PNG image")
    width, height = struct.unpack(">II", png[16:24])
    return width, height
