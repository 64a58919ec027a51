"""`maskbench compare`: the table of a finished or unfinished experiment."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """How the comparison is written."""

    TABLE = "table"
    JSON = "json"


def compare(
    directories: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="DIR",
            help="Experiments, or panels of one, such as runs/quickstart.",
            show_default="the newest experiment in --runs-dir",
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="SPLIT/METRIC", help="The metric that gets verdicts.", show_default="the experiment's"
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(metavar="ARM", help="Compare with this arm.", show_default="the experiment's"),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(help="Chance of a false alarm that is put up with.", show_default="the experiment's"),
    ] = None,
    min_effect: Annotated[
        float | None,
        typer.Option(help="Smallest difference that matters.", show_default="the experiment's"),
    ] = None,
    format: Annotated[Format, typer.Option("--format", "-f", help="How to write it.")] = Format.TABLE,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write to a file.", show_default="stdout"),
    ] = None,
    runs_dir: Annotated[Path, typer.Option(help="Where experiments are looked for.")] = Path("runs"),
) -> None:
    """Compare the arms of an experiment, and say which differences are real."""
    from maskbench.comparison.document import to_json
    from maskbench.comparison.locate import newest
    from maskbench.comparison.results import Choices
    from maskbench.comparison.table import compare as compare_directories

    choices = Choices(metric, baseline, alpha, min_effect)
    comparisons = compare_directories(directories or [newest(runs_dir)], choices)
    if format is Format.JSON:
        _deliver(to_json(comparisons) + "\n", output)
        return

    from .render import as_text, print_comparisons

    if output is None:
        print_comparisons(comparisons)
    else:
        _deliver(as_text(comparisons), output)


def _deliver(text: str, output: Path | None) -> None:
    if output is None:
        typer.echo(text, nl=False)
        return

    from maskbench.errors import ResourceError
    from maskbench.runs.files import write_atomically

    if not output.absolute().parent.is_dir():
        raise ResourceError(f"cannot write {output}: there is no folder {output.parent}")
    write_atomically(output, text.encode())
