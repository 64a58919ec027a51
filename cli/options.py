"""Options that several commands take, written once so that they mean the same and read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

File: TypeAlias = Annotated[
    Path, typer.Argument(metavar="FILE", help="The experiment file.", show_default=False)
]
RunsDir: TypeAlias = Annotated[Path, typer.Option(help="Where experiments are kept.")]
Overrides: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set", "-s", metavar="KEY=VALUE", help="Change a setting; may be repeated.", show_default=False
    ),
]
Seeds: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="SEEDS", help="A count, or seeds such as 0-3,7.", show_default="the experiment's"),
]
Arms: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--arm", "-a", metavar="ARM", help="Only this arm; may be repeated.", show_default="all"),
]
Quick: TypeAlias = Annotated[
    bool, typer.Option("--quick", help="Use the file's quick settings, in an experiment of its own.")
]
Plugins: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin", metavar="FILE", help="A file that adds strategies; may be repeated.", show_default=False
    ),
]

RUNS = Path("runs")
"""Where experiments are kept unless told otherwise."""
