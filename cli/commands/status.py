"""`maskbench status`: which runs of an experiment are done, which are running, and which are still to come."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..options import RUNS


def status(
    directory: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR",
            help="An experiment, or a panel of one, such as runs/quickstart.",
            show_default="the newest experiment in --runs-dir",
        ),
    ] = None,
    runs_dir: Annotated[Path, typer.Option(help="Where experiments are looked for.")] = RUNS,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the states as JSON, and nothing else.")
    ] = False,
) -> None:
    """Show what every run of an experiment is doing: one sign for each arm and seed.

    Nothing is locked or changed, so it may be asked while `maskbench run` works.
    """
    from maskbench.records.locate import find_panels, newest_experiment
    from maskbench.records.states import read_states

    panels = [(found, read_states(found)) for found in find_panels(directory or newest_experiment(runs_dir))]
    if as_json:
        from ..views.status_table import to_json

        typer.echo(to_json(panels))
        return

    import sys

    from ..terminal import glyphs, print_stripped, replace_unencodable
    from ..views.status_table import status_table

    replace_unencodable(sys.stdout)
    print_stripped(status_table(panels, glyphs()))
