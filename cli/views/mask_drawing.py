"""A mask drawn in characters without colour: rows are queries, columns are keys, first and last are numbered."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from textwrap import wrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maskbench.pictures.mask_picture import Grid, MaskPicture, Token, TokenRow


@dataclass(frozen=True, slots=True)
class DrawingCharacters:
    """One set of characters."""

    shades: str
    """From a faint weight to a full one."""
    hidden: str
    bar: str
    """Covers a hidden word."""
    blot: str
    """Covers a word whose embedding is set to zeros."""


BLOCKS = DrawingCharacters("░▒▓█", "·", "█", "░")
ASCII = DrawingCharacters("-+*#", ".", "#", "~")
_MARGIN = 4
"""Columns for the numbers of the rows."""
_GAP = 3


def draw_sheet(sheet: MaskPicture, width: int, ink: DrawingCharacters) -> str:
    """Return the picture as lines, none longer than `width` unless a single grid is."""
    parts: list[list[str]] = []
    for stage in sheet.stages:
        heading = [f"{stage.label}:", ""] if stage.label else []
        parts.append([*heading, *_side_by_side(stage.grids, width, ink)])
    if sheet.rows:
        parts.append(list(_token_lines(sheet.rows, width, ink)))
    if not parts:
        parts.append(["it adds to the embeddings and hides nothing: there is nothing to draw"])
    legend = [line for text in _legend(sheet, ink) for line in wrap(text, width, subsequent_indent="  ")]
    parts += [legend] if legend else []
    return "\n\n".join("\n".join(line.rstrip() for line in part) for part in parts)


def _side_by_side(grids: Sequence[Grid], width: int, ink: DrawingCharacters) -> Iterator[str]:
    """Yield the grids, as many side by side as fit; cells are two characters wide (square), or one where space is short."""
    columns = max(grid.shades.shape[1] for grid in grids)
    cell = 2 if _MARGIN + 2 * columns <= width else 1
    each = max(_MARGIN + cell * columns, *(len(grid.label) + _MARGIN for grid in grids)) + _GAP
    fitting = max(1, (width + _GAP) // each)
    per_line = math.ceil(len(grids) / math.ceil(len(grids) / fitting))
    for start in range(0, len(grids), per_line):
        if start:
            yield ""
        blocks = [_block(grid, cell, ink) for grid in grids[start : start + per_line]]
        for lines in zip_longest(*blocks, fillvalue=""):
            yield "".join(line.ljust(each) for line in lines)


def _block(grid: Grid, cell: int, ink: DrawingCharacters) -> list[str]:
    """Return one grid: its label, the numbers of the first and last column, and its rows."""
    rows, columns = grid.shades.shape
    last = str(columns - 1)
    # Over the last cell, ending with it at the latest.
    start = min(cell * (columns - 1), cell * columns - len(last))
    numbers = "0" if columns == 1 else f"0{' ' * (start - 1)}{last}"
    margin = " " * _MARGIN
    label = [f"{margin}{grid.label}"] if grid.label else []
    lines = [*label, f"{margin}{numbers}"]
    for i, row in enumerate(grid.shades.tolist()):
        number = str(i) if i in (0, rows - 1) else ""
        cells = "".join(_cell(shade, cell, ink) for shade in row)
        lines.append(f"{number.rjust(_MARGIN - 1)} {cells}")
    return lines


def _cell(shade: float, width: int, ink: DrawingCharacters) -> str:
    if shade != shade:
        return " " * width
    if shade <= 0:
        return ink.hidden.ljust(width)
    level = 3 if shade > 0.999 else min(2, int(3 * shade))
    return ink.shades[level] * width


def _token_lines(rows: Sequence[TokenRow], width: int, ink: DrawingCharacters) -> Iterator[str]:
    labels = max(len(row.label) for row in rows) + 2
    texts = [[_token(token, ink) for token in row.tokens] for row in rows]
    aligned = len({len(row.tokens) for row in rows}) == 1
    if not aligned:
        for row, words in zip(rows, texts, strict=True):
            lines = wrap(" ".join(words), width - labels, break_long_words=False)
            for i, line in enumerate(lines or ["(nothing is left)"]):
                yield f"{(row.label if i == 0 else '').ljust(labels)}{line}"
        return
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for i, (first, last) in enumerate(_chunks(widths, width - labels)):
        if i:
            yield ""
        for row, words in zip(rows, texts, strict=True):
            cells = (text.ljust(w) for text, w in zip(words[first:last], widths[first:last], strict=True))
            yield f"{row.label.ljust(labels)}{' '.join(cells)}"


def _chunks(widths: Sequence[int], room: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of columns that fit into `room`."""
    first, used = 0, 0
    for i, column in enumerate(widths):
        if i > first and used + column > room:
            yield first, i
            first, used = i, 0
        used += column + 1
    yield first, len(widths)


def _token(token: Token, ink: DrawingCharacters) -> str:
    if token.state in ("masked", "left out"):
        return ink.bar * len(token.text)
    if token.state == "zeroed":
        return ink.blot * len(token.text)
    around = {"replaced": "[{}]", "kept": "{}*", "new": "+{}"}
    return around.get(token.state, "{}").format(token.text)


def _legend(sheet: MaskPicture, ink: DrawingCharacters) -> Iterator[str]:
    if sheet.stages:
        yield "rows: {}, columns: {}".format(*sheet.axis_labels)
        entries = [f"{ink.shades[3] * 2} {sheet.full_cell_label}"]
        if sheet.has_partial_cells:
            entries.append(f"{ink.shades[2]} {ink.shades[1]} {ink.shades[0]} less and less")
        entries.append(f"{ink.hidden} hidden")
        if sheet.has_illegal_cells:
            entries.append("blank: not legal anyway")
        yield "   ".join(entries)
    looks = {token.state for row in sheet.rows for token in row.tokens}
    meanings = {
        "masked": f"{ink.bar * 3} hidden by the mask token",
        "left out": f"{ink.bar * 3} left out of the loss",
        "zeroed": f"{ink.blot * 3} embedding set to zeros",
        "replaced": "[word] put in another's place",
        "kept": "word* picked, but left as it was",
        "new": "+word put in",
    }
    told = [text for look, text in meanings.items() if look in looks]
    if told:
        yield "   ".join(told)
    yield from sheet.notes
