"""`maskbench compare`: the table of a finished or unfinished experiment."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import RUNS, Alpha, Baseline, Directories, Metric, MinEffect, RunsDir, Simultaneous

if TYPE_CHECKING:
    from maskbench.comparison.results import Comparison

    from ..comparison.other_metrics import MetricSelection


class Format(StrEnum):
    """How the comparison is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"
    LATEX = "latex"


class Order(StrEnum):
    """What arms are sorted by."""

    ARM = "arm"
    MEAN = "mean"
    DIFFERENCE = "difference"
    P = "p"
    COST = "cost"
    VERDICT = "verdict"
    WINS = "wins"


SUFFIXES = {
    ".txt": Format.TABLE,
    ".json": Format.JSON,
    ".csv": Format.CSV,
    ".md": Format.MARKDOWN,
    ".tex": Format.LATEX,
}
"""What a file's name says about its format."""


def compare(
    directories: Directories = None,
    metric: Metric = None,
    baseline: Baseline = None,
    alpha: Alpha = None,
    min_effect: MinEffect = None,
    simultaneous: Simultaneous = False,
    sort_by: Annotated[
        Order | None,
        typer.Option(
            metavar="KEY",
            help=f"Order of the arms: {', '.join(Order)}; the baseline stays first.",
            show_default="as in the file",
        ),
    ] = None,
    all_metrics: Annotated[
        bool, typer.Option("--all-metrics", help="Show every metric of every split, in a table.")
    ] = False,
    slices: Annotated[bool, typer.Option("--slices", help="Show every slice, in a table.")] = False,
    fail_unless: Annotated[
        list[str] | None,
        typer.Option(
            metavar="'ARM VERDICT'",
            help="Exit with 6 unless an arm has this verdict: 'dynamic better', 'dynamic better|equivalent', "
            "'dynamic not worse'; may be repeated.",
            show_default=False,
        ),
    ] = None,
    format: Annotated[
        Format | None,
        typer.Option(
            "--format",
            "-f",
            metavar="FORMAT",
            help=f"Format: {', '.join(Format)}.",
            show_default="by --output's suffix, or table",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write to a file.", show_default="stdout"),
    ] = None,
    runs_dir: RunsDir = RUNS,
) -> None:
    """Compare the arms of an experiment, and say which differences are real."""
    from maskbench.comparison.results import ComparisonOptions
    from maskbench.comparison.table import compare as compare_directories
    from maskbench.records.locate import newest_experiment

    from ..comparison.fail_unless import EXIT_CODE, alarm_lines, unmet_demands
    from ..comparison.other_metrics import MetricSelection

    written_as = format or _guess_format(output)
    choices = ComparisonOptions(metric, baseline, alpha, min_effect, simultaneous)
    comparisons = compare_directories(directories or [newest_experiment(runs_dir)], choices)
    # A demand that names no arm is an error, reported before anything is written.
    shortfalls = unmet_demands(fail_unless or [], comparisons)
    shown = _sorted(comparisons, sort_by)
    _write(shown, written_as, output, MetricSelection(all_metrics, slices))
    for sentence in (*(alarm_lines(shown) if fail_unless else ()), *shortfalls):
        _print_error(sentence)
    if shortfalls:
        raise typer.Exit(EXIT_CODE)


def _sorted(comparisons: Sequence[Comparison], order: Order | None) -> Sequence[Comparison]:
    if order is None:
        return comparisons

    from ..comparison.sorting import sort_arms

    return [sort_arms(comparison, order.value) for comparison in comparisons]


def _guess_format(output: Path | None) -> Format:
    """Return the format that a file's name asks for; a table where it has no suffix.

    Raises:
        ConfigError: no format has that suffix.
    """
    suffix = output.suffix.lower() if output else ""
    if not suffix:
        return Format.TABLE
    if suffix not in SUFFIXES:
        from maskbench.errors import ConfigError

        raise ConfigError(
            f"--output {output}: no format has the suffix {suffix} (known: {', '.join(SUFFIXES)}); say which with --format"
        )
    return SUFFIXES[suffix]


def _write(
    comparisons: Sequence[Comparison], format: Format, output: Path | None, detail: MetricSelection
) -> None:
    if format is Format.TABLE and output is None:
        from ..comparison.render import print_comparisons

        print_comparisons(comparisons, detail=detail)
        return
    written = _text(comparisons, format, detail).encode()
    if output is None:
        # As bytes: a console's encoding or line ends would change the document.
        typer.echo(written, nl=False)
    else:
        from ..output_files import save_output

        save_output(written, output)


def _text(comparisons: Sequence[Comparison], format: Format, detail: MetricSelection) -> str:
    if format is Format.TABLE:
        from ..comparison.render import as_text

        return as_text(comparisons, detail)
    if format is Format.JSON:
        from maskbench.comparison.text.json_document import to_json

        return to_json(comparisons) + "\n"
    if format is Format.CSV:
        from ..comparison.csv_format import to_csv

        return to_csv(comparisons)
    if format is Format.MARKDOWN:
        from ..comparison.markdown_format import to_markdown

        return to_markdown(comparisons)
    from ..comparison.latex_format import to_latex

    return to_latex(comparisons)


def _print_error(sentence: str) -> None:
    from maskbench.text import sanitize

    typer.echo(sanitize(sentence), err=True)
