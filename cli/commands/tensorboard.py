"""`maskbench tensorboard`: an experiment's curves, tables and pictures in a browser."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..options import RUNS

EVERY = 30.0
"""Seconds after which means over seeds are brought up to date again, for runs in progress."""


def tensorboard(
    directory: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR",
            help="An experiment, such as runs/quickstart, or a folder of experiments.",
            show_default="the newest experiment in --runs-dir",
        ),
    ] = None,
    runs_dir: Annotated[Path, typer.Option(help="Where experiments are looked for.")] = RUNS,
    rebuild: Annotated[
        bool,
        typer.Option(
            "--rebuild", help="Write every event file anew from the runs' own files, and start no server."
        ),
    ] = False,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on.", show_default="this machine only")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port to listen on.", show_default="6006, or the next free one"),
    ] = None,
) -> None:
    """Show an experiment in TensorBoard: every run, the arms' means with bands over seeds, settings, pictures, samples.

    It stays up to date while `maskbench run` works, until Ctrl-C. Results never depend on event files: --rebuild
    makes all of them again, which is refused while a run is in progress.
    """
    from maskbench.executors.signals import exit_on_stop_signals
    from maskbench.records.locate import newest_experiment
    from maskbench.tensorboard.refresh import find_experiments

    with exit_on_stop_signals():
        top, experiments = find_experiments(directory or newest_experiment(runs_dir))
        if rebuild:
            _rebuild(experiments)
        else:
            _serve(top, experiments, host, port)


def _rebuild(experiments: Sequence[Path]) -> None:
    from maskbench.tensorboard import refresh
    from maskbench.text import count_of, sanitize

    for experiment in experiments:
        written = refresh.rebuild_all(experiment)
        counted = f"{count_of(written.runs, 'run')} and the means of {count_of(written.arms, 'arm')}"
        typer.echo(sanitize(f"{experiment}: event files of {counted} written anew"))


def _serve(top: Path, experiments: Sequence[Path], host: str | None, port: int | None) -> None:
    import time

    from maskbench.tensorboard.refresh import BANDS_PAGE, start_server
    from maskbench.text import sanitize

    said = _refresh(experiments, "")
    address = start_server(top, host, port)
    typer.echo(f"{sanitize(str(top))} is shown at\n  {address}")
    typer.echo(f"its arms over seeds, with bands, at\n  {address}{BANDS_PAGE}")
    typer.echo("Ctrl-C ends it", err=True)
    while True:
        time.sleep(EVERY)
        said = _refresh(experiments, said)


def _refresh(experiments: Sequence[Path], said: str) -> str:
    """Update the event files of all experiments; return the problems, after a warning if they differ from `said`."""
    from maskbench.errors import MaskbenchError
    from maskbench.tensorboard import refresh
    from maskbench.text import sanitize

    problems = []
    for experiment in experiments:
        try:
            refresh.refresh_overview(experiment)
        except MaskbenchError as error:
            problems.append(f"the means over seeds of {experiment} are not up to date: {error}")
    problem = "\n".join(problems)
    if problem and problem != said:
        typer.echo(f"warning: {sanitize(problem, lines=True)}", err=True)
    return problem
