"""`maskbench run`: train every arm over its seeds, and print the comparison."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import RUNS, Arms, File, Overrides, Plugins, Quick, RunsDir, Seeds

if TYPE_CHECKING:
    from maskbench.config.schema import Experiment
    from maskbench.reporting import Outcome


def run(
    file: File,
    runs_dir: RunsDir = RUNS,
    overrides: Overrides = None,
    seeds: Seeds = None,
    arms: Arms = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", "-j", min=1, help="Runs at once.", show_default="as cores and memory allow"
        ),
    ] = None,
    quick: Quick = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Show what would run, and train nothing.")
    ] = False,
    plugins: Plugins = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the comparison as JSON, and nothing else.")
    ] = False,
) -> None:
    """Train every arm of an experiment over its seeds, and compare them.

    Finished runs are kept and interrupted ones resumed, so the same command may be given again at any time.
    """
    from maskbench.errors import ConfigError
    from maskbench.executors.signals import leaving_on_signals

    from .loading import load, placed_problems
    from .plan import show_plan

    if dry_run and as_json:
        raise ConfigError("--json prints the comparison, and --dry-run makes none; give one of them")
    with leaving_on_signals():
        settings, files = overrides or [], plugins or []
        experiment = load(file, settings, seeds, arms or [], quick, files)
        with placed_problems(file, settings):
            if dry_run:
                show_plan(experiment, runs_dir)
                return
            part = seeds is not None or bool(arms)
            whole = load(file, settings, None, [], quick, files) if part else experiment
            outcome = _run(experiment, whole, runs_dir, workers, files)
        _end(outcome, runs_dir / experiment.name, as_json)


def _run(
    experiment: Experiment, whole: Experiment, runs_dir: Path, workers: int | None, plugins: list[Path]
) -> Outcome:
    import sys

    from maskbench.experiment import run_experiment

    from .progress import shown_on

    with shown_on(sys.stderr) as reporter:
        return run_experiment(
            experiment, runs_dir, whole=whole, workers=workers, reporter=reporter, plugins=plugins
        )


def _end(outcome: Outcome, directory: Path, as_json: bool) -> None:
    """Say what became of the runs, print the comparison, and exit as the worst of them asks."""
    from maskbench.executors.signals import exit_code

    _say_what_happened(outcome, directory)
    if outcome.signal is not None:
        raise typer.Exit(exit_code(outcome.signal))
    _print_comparison(directory, as_json)
    if not outcome.is_sound:
        raise typer.Exit(3)


def _say_what_happened(outcome: Outcome, directory: Path) -> None:
    """Say on stderr what became of the runs, what went wrong, and what to do next."""
    from maskbench.experiment import LOG

    from .plain import plain

    for note in outcome.notes:
        typer.echo(f"note: {plain(note)}", err=True)
    for warning in outcome.warnings:
        typer.echo(f"warning: {plain(warning)}", err=True)
    for ended in outcome.ended:
        if ended.state in ("failed", "diverged"):
            typer.echo(plain(f"{ended.state}: {ended.run.name}: {ended.message}"), err=True)
            log = ended.run.directory.path / LOG
            typer.echo(plain(f"  see {log if log.exists() else ended.run.directory.path}"), err=True)
    counts = ", ".join(f"{n} {word}" for word, n in outcome.counts.items() if n)
    typer.echo(plain(f"{directory}: {counts}"), err=True)
    if outcome.signal is not None:
        typer.echo("interrupted; the same command resumes where it stopped", err=True)


def _print_comparison(directory: Path, as_json: bool) -> None:
    from maskbench.comparison.results import Choices
    from maskbench.comparison.table import compare

    comparisons = compare([directory], Choices())
    if as_json:
        from maskbench.comparison.document import to_json

        typer.echo(to_json(comparisons))
    else:
        from .render import print_comparisons

        print_comparisons(comparisons)
