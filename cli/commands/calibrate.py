"""`maskbench calibrate`: train the baseline of an experiment against itself, to measure what chance alone does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import LOCAL, RUNS, ExecutorName, File, Overrides, Plugins, Quick, RunsDir, Seeds

if TYPE_CHECKING:
    from maskbench.comparison.calibration import Calibration
    from maskbench.config.schema.experiment import Experiment
    from maskbench.executors import Executor
    from maskbench.experiment.progress_events import ExperimentOutcome


def calibrate(
    file: File,
    runs_dir: RunsDir = RUNS,
    twins: Annotated[
        int, typer.Option(min=1, max=50, help="Copies of the baseline, each with other random numbers.")
    ] = 1,
    overrides: Overrides = None,
    seeds: Seeds = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", "-j", min=1, help="Runs at once.", show_default="as cores and memory allow"
        ),
    ] = None,
    executor: ExecutorName = LOCAL,
    quick: Quick = False,
    plugins: Plugins = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the numbers as JSON, and nothing else.")
    ] = False,
) -> None:
    """Train the baseline against itself, and say how often chance alone would name a winner.

    The runs make an experiment of their own, called NAME-calibrate. They are kept, so asking again costs nothing.
    """
    from maskbench.executors.registry import build_executor
    from maskbench.executors.signals import exit_code, exit_on_stop_signals
    from maskbench.experiment import PRELOAD
    from maskbench.experiment.null_experiment import make_null_experiment

    from ..loading import load, locate_problems
    from .run import say_what_happened

    with exit_on_stop_signals():
        settings, files = overrides or [], plugins or []
        used = build_executor(executor, workers=workers, preload=PRELOAD)
        experiment = load(file, settings, seeds, [], quick, files, runs_dir)
        calibration = make_null_experiment(experiment, twins)
        with locate_problems(file, settings):
            outcome = _train(calibration, runs_dir, used, files)
        directory = runs_dir / calibration.name
        say_what_happened(outcome, directory)
        if outcome.signal is not None:
            raise typer.Exit(exit_code(outcome.signal))
        _print(_calibrations(experiment, directory), as_json)
    if not outcome.is_sound:
        raise typer.Exit(3)


def _train(
    experiment: Experiment, runs_dir: Path, executor: Executor, plugins: list[Path]
) -> ExperimentOutcome:
    import sys

    from maskbench.experiment.run import run_experiment

    from ..progress.display import show_progress

    with show_progress(sys.stderr) as reporter:
        return run_experiment(experiment, runs_dir, executor=executor, reporter=reporter, plugins=plugins)


def _calibrations(experiment: Experiment, directory: Path) -> list[Calibration]:
    from maskbench.comparison.calibration import calibrate as calibrated
    from maskbench.records.collect import collect_panel
    from maskbench.records.locate import find_panels

    n_arms = {panel.name: len(panel.arms) - 1 for panel in experiment.panels}
    return [
        calibrated(collect_panel(found), n_arms.get(found.panel.name, 1)) for found in find_panels(directory)
    ]


def _print(calibrations: Sequence[Calibration], as_json: bool) -> None:
    if as_json:
        import json

        documents = [one.document() for one in calibrations]
        typer.echo(json.dumps(documents[0] if len(documents) == 1 else documents, indent=1, allow_nan=False))
        return

    from ..views.calibration_table import calibration_lines

    for index, one in enumerate(calibrations):
        if index:
            typer.echo()
        for line in calibration_lines(one):
            typer.echo(line)
