"""`maskbench report`: all results of an experiment as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..options import RUNS, Alpha, Baseline, Directories, Metric, MinEffect, RunsDir, Simultaneous

FILE = "report.html"


def report(
    directories: Directories = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write to this file.", show_default=f"DIR/{FILE}"
        ),
    ] = None,
    metric: Metric = None,
    baseline: Baseline = None,
    alpha: Alpha = None,
    min_effect: MinEffect = None,
    simultaneous: Simultaneous = False,
    runs_dir: RunsDir = RUNS,
) -> None:
    """Write an experiment's results as one HTML page: verdicts, plots, methods, limits, and how to make it again.

    The page needs no network and holds no scripts. It can be sent, archived, printed and read on a phone.
    """
    from maskbench.comparison.results import ComparisonOptions
    from maskbench.errors import ConfigError
    from maskbench.records.locate import newest_experiment
    from maskbench.report.page import render_page

    from ..output_files import save_output

    chosen = directories or [newest_experiment(runs_dir)]
    if output is None and len(chosen) > 1:
        raise ConfigError(f"{len(chosen)} directories, one page: say with --output FILE where it should go")
    target = output or chosen[0] / FILE
    save_output(
        render_page(chosen, ComparisonOptions(metric, baseline, alpha, min_effect, simultaneous)).encode(),
        target,
    )
    typer.echo(target)
