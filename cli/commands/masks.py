"""`maskbench masks`: the catalogue of strategies, one of them in full, and pictures."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import Plugins
from ..output_files import refuse_output, save_output
from ..terminal import DEFAULT_WIDTH, console, glyphs, print_stripped

if TYPE_CHECKING:
    from maskbench.masks.catalogue import StrategyEntry
    from maskbench.pictures.draw import PictureOptions
    from maskbench.pictures.mask_picture import MaskPicture

LONGEST = 64
"""The longest sentence that characters can show."""


def masks(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="A strategy or a preset.", show_default="the whole catalogue"),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Draw it in the terminal.")] = False,
    png: Annotated[
        Path | None,
        typer.Option("--png", metavar="FILE", help="Draw it into a new file.", show_default=False),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            "-s",
            metavar="OPTION=VALUE",
            help="An option to draw it with; may be repeated.",
            show_default="its example",
        ),
    ] = None,
    site: Annotated[
        str | None,
        typer.Option(metavar="SITE", help="Where it is placed; without NAME: only what acts there."),
    ] = None,
    length: Annotated[int, typer.Option(min=2, max=256, help="Tokens of the sentence.")] = 12,
    source_length: Annotated[
        int | None,
        typer.Option(min=2, max=256, help="Tokens of the source.", show_default="as many"),
    ] = None,
    layers: Annotated[
        list[int] | None,
        typer.Option("--layer", min=0, help="Only this layer; may be repeated.", show_default=False),
    ] = None,
    heads: Annotated[
        list[int] | None,
        typer.Option("--head", min=0, help="Only this head; may be repeated.", show_default=False),
    ] = None,
    epoch: Annotated[
        int,
        typer.Option("--epoch", "--variant", min=0, help="How often a random mask has met the sentence."),
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="The seed random masks are drawn with.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print what is declared as JSON.")] = False,
    plugins: Plugins = None,
) -> None:
    """List the mask strategies, describe one of them, or draw what it hides."""
    from maskbench.errors import ConfigError
    from maskbench.masks.catalogue import find_entry, list_entries
    from maskbench.plugins import load_plugins

    from ..loading import hint_at_plugins

    load_plugins(plugins or [])
    if name is None:
        if show or png is not None or settings:
            raise ConfigError(
                "--show, --png and --set are about one strategy: name it, as in `maskbench masks window --show`"
            )
        _list([e for e in list_entries() if site is None or site in e.sites], site, as_json)
        return
    with hint_at_plugins():
        found = find_entry(name)
    if settings and not show and png is None:
        raise ConfigError("--set changes what is drawn; give --show or --png FILE with it")
    if as_json:
        typer.echo(json.dumps([found.to_json()], indent=2, ensure_ascii=False))
        return
    if not show and png is None:
        from ..views.mask_table import strategy_description

        print_stripped(strategy_description(found, glyphs()))
        return

    from maskbench.pictures.draw import PictureOptions

    chosen = (tuple(layers) if layers else None, tuple(heads) if heads else None)
    view = PictureOptions(length, source_length, *chosen, epoch, seed)
    if png is not None:
        _refuse_to_draw_into(png)
    if show and max(length, source_length or 0) > LONGEST:
        raise ConfigError(f"--show draws sentences of up to {LONGEST} tokens; --png FILE draws longer ones")
    sheet = _sheet(found, site, settings or [], view)
    if show:
        _show(sheet)
    if png is not None:
        _save(sheet, png)


def _list(found: list[StrategyEntry], site: str | None, as_json: bool) -> None:
    from maskbench.config.schema.experiment import SITES
    from maskbench.errors import ConfigError
    from maskbench.registry import did_you_mean

    if site is not None and site not in SITES:
        raise ConfigError(
            f"--site: no site named {site!r}{did_you_mean(site, SITES)} (sites: {', '.join(SITES)})"
        )
    if as_json:
        typer.echo(json.dumps([e.to_json() for e in found], indent=2, ensure_ascii=False))
        return

    from ..views.mask_table import catalogue_table

    print_stripped(catalogue_table(found, glyphs()))


def _sheet(found: StrategyEntry, site: str | None, settings: list[str], view: PictureOptions) -> MaskPicture:
    from maskbench.config.schema.experiment import ModelConfig
    from maskbench.errors import ConfigError
    from maskbench.pictures.draw import draw_placement, parse_placement
    from maskbench.registry import did_you_mean

    if site is not None and site not in found.sites:
        raise ConfigError(
            f"--site: {found.name} does not act at {site!r}{did_you_mean(site, found.sites)}"
            f" (its sites: {', '.join(found.sites)})"
        )
    placement = parse_placement(found.name, site or found.sites[0], settings, ModelConfig())
    return draw_placement(placement, view)


def _show(sheet: MaskPicture) -> None:
    from maskbench.text import sanitize

    from ..views.mask_drawing import ASCII, BLOCKS, draw_sheet

    printer = console()
    width = printer.width if printer.is_terminal else DEFAULT_WIDTH
    ink = BLOCKS if printer.encoding.startswith("utf") else ASCII
    title = "\n".join(wrap(sheet.title, width, subsequent_indent="  "))
    typer.echo(sanitize(f"{title}\n\n{draw_sheet(sheet, width, ink)}", lines=True))


def _refuse_to_draw_into(path: Path) -> None:
    """Check, before anything is drawn, that the file can be written and does not exist yet."""
    from maskbench.errors import ConfigError

    if path.suffix.lower() != ".png":
        raise ConfigError(f"--png {path}: the file's name must end in .png")
    if path.exists():
        raise ConfigError(f"--png {path}: there is such a file already; give another name, or remove it")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"--png {path}: there is no folder {path.parent}")
    refuse_output(path)


def _save(sheet: MaskPicture, path: Path) -> None:
    from maskbench.pictures.figure import render_png

    save_output(render_png(sheet), path)
    typer.echo(f"saved {path}", err=True)
