"""A mask picture as a matplotlib figure."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from maskbench.pictures.mask_picture import Grid, MaskPicture, TokenRow, TokenState

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = 4
"""Most grids in one line."""
_INCHES = 3.0
_HIDDEN, _ALLOWED, _ILLEGAL = "#e8e4da", "#1f4e79", "#ffffff"
_STYLES: dict[TokenState, tuple[str, str, str]] = {
    "shown": ("#ffffff", "#222222", "shown"),
    "masked": ("#1f4e79", "#1f4e79", "hidden by the mask token"),
    "replaced": ("#f2c14e", "#222222", "another word in its place"),
    "zeroed": ("#9db4c0", "#9db4c0", "embedding set to zeros"),
    "kept": ("#dcead2", "#222222", "picked, left as it was"),
    "new": ("#f2c14e", "#222222", "put in"),
    "left out": ("#1f4e79", "#1f4e79", "left out of the loss"),
}
"""Background, colour of the text, and meaning."""


def render_png(picture: MaskPicture) -> bytes:
    """Return `picture` as the bytes of a PNG file."""
    buffer = io.BytesIO()
    make_figure(picture).savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return buffer.getvalue()


def make_figure(picture: MaskPicture) -> Figure:
    """Return `picture` as a matplotlib figure: a row of axes for each stage, or a table of tokens."""
    from matplotlib.figure import Figure

    if picture.stages:
        return _draw_grids(picture, Figure)
    return _draw_rows(picture, Figure)


def _draw_grids(picture: MaskPicture, make: Any) -> Figure:
    lines: list[tuple[str, Sequence[Grid]]] = []
    for stage in picture.stages:
        for start in range(0, len(stage.grids), _COLUMNS):
            lines.append((stage.label if start == 0 else "", stage.grids[start : start + _COLUMNS]))
    columns = max(len(grids) for _, grids in lines)
    size = (max(5.0, _INCHES * columns + 0.6), _INCHES * len(lines) + 1.4)
    drawn: Figure = make(figsize=size, layout="constrained")
    drawn.suptitle("\n".join((picture.title, *picture.notes)), fontsize=10)
    axes = drawn.subplots(len(lines), columns, squeeze=False)
    for (label, grids), row in zip(lines, axes, strict=True):
        for i, ax in enumerate(row):
            if i < len(grids):
                _draw_grid(ax, grids[i], picture, label if i == 0 else "")
            else:
                ax.set_axis_off()
    _grid_legend(drawn, picture)
    return drawn


def _draw_grid(ax: Any, grid: Grid, picture: MaskPicture, stage: str) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("mask", [_HIDDEN, _ALLOWED]).with_extremes(bad=_ILLEGAL)
    rows, columns = grid.shades.shape
    ax.imshow(grid.shades, cmap=colours, vmin=0.0, vmax=1.0, interpolation="nearest", aspect="equal")
    title = "\n".join(text for text in (stage, grid.label) if text)
    ax.set_title(title, fontsize=9, loc="left")
    down, across = picture.axis_labels
    ax.set_xlabel(across, fontsize=8)
    ax.set_ylabel(down, fontsize=8)
    ax.set_xticks(sorted({0, columns - 1}))
    ax.set_yticks(sorted({0, rows - 1}))
    ax.tick_params(labelsize=7)


def _grid_legend(drawn: Figure, picture: MaskPicture) -> None:
    from matplotlib.patches import Patch

    entries = [
        Patch(facecolor=_ALLOWED, label=picture.full_cell_label),
        Patch(facecolor=_HIDDEN, label="hidden"),
    ]
    if picture.has_illegal_cells:
        entries.append(Patch(facecolor=_ILLEGAL, edgecolor="#888888", label="not legal anyway"))
    drawn.legend(handles=entries, loc="outside lower center", ncols=len(entries), fontsize=8, frameon=False)


def _draw_rows(picture: MaskPicture, make: Any) -> Figure:
    longest = max((len(row.tokens) for row in picture.rows), default=1)
    drawn: Figure = make(
        figsize=(max(5.0, 0.75 * longest + 1.5), 0.4 * len(picture.rows) + 1.6), layout="constrained"
    )
    drawn.suptitle("\n".join((picture.title, *picture.notes)), fontsize=10)
    ax = drawn.subplots()
    ax.set_axis_off()
    ax.set_xlim(-1.8, longest)
    ax.set_ylim(max(1, len(picture.rows)), 0)
    for y, row in enumerate(picture.rows):
        _draw_row(ax, row, y)
    _token_legend(drawn, picture)
    return drawn


def _draw_row(ax: Any, row: TokenRow, y: int) -> None:
    from matplotlib.patches import Rectangle

    ax.text(-1.75, y + 0.5, row.label, va="center", fontsize=8)
    for x, token in enumerate(row.tokens):
        background, foreground, _ = _STYLES[token.state]
        ax.add_patch(Rectangle((x + 0.03, y + 0.1), 0.94, 0.8, facecolor=background, edgecolor="#cccccc"))
        # An unescaped dollar sign starts a formula in matplotlib.
        text = token.text.replace("$", r"\$")
        ax.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=7, color=foreground)


def _token_legend(drawn: Figure, picture: MaskPicture) -> None:
    from matplotlib.patches import Patch

    states = [state for state in _STYLES if any(t.state == state for row in picture.rows for t in row.tokens)]
    if states:
        entries = [Patch(facecolor=_STYLES[k][0], edgecolor="#cccccc", label=_STYLES[k][2]) for k in states]
        drawn.legend(
            handles=entries, loc="outside lower center", ncols=len(states), fontsize=8, frameon=False
        )
