"""`maskbench run`: train every arm over its seeds, and print the comparison."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import (
    LOCAL,
    RUNS,
    Arms,
    ExecutorName,
    File,
    Overrides,
    Plugins,
    Quick,
    RunsDir,
    Seeds,
    Workers,
)

if TYPE_CHECKING:
    from maskbench.config.schema.experiment import Experiment
    from maskbench.executors import Executor
    from maskbench.experiment.progress_events import ExperimentOutcome


def run(
    file: File,
    runs_dir: RunsDir = RUNS,
    overrides: Overrides = None,
    seeds: Seeds = None,
    arms: Arms = None,
    workers: Workers = None,
    executor: ExecutorName = LOCAL,
    quick: Quick = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Show what would run, and train nothing.")
    ] = False,
    until_decided: Annotated[
        bool,
        typer.Option(
            "--until-decided", help="Add seeds, looking after each, until every arm is decided or given up."
        ),
    ] = False,
    max_seeds: Annotated[
        int | None,
        typer.Option(min=1, help="With --until-decided: the most seeds.", show_default="20"),
    ] = None,
    plugins: Plugins = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the comparison as JSON, and nothing else.")
    ] = False,
) -> None:
    """Train every arm of an experiment over its seeds, and compare them.

    Finished runs are kept and interrupted ones resumed, so the same command may be given again at any time.

    With --until-decided the seeds of the file are only the first ones: all arms train with one, then with the next,
    until each is better, worse or identical, or cannot be decided any more. Its verdicts allow for so many looks.
    """
    from maskbench.errors import ConfigError
    from maskbench.executors.registry import build_executor
    from maskbench.executors.signals import exit_on_stop_signals
    from maskbench.experiment import PRELOAD

    from ..loading import load, locate_problems, print_hints
    from .plan import show_plan

    if dry_run and as_json:
        raise ConfigError("--json prints the comparison, and --dry-run makes none; give one of them")
    _check_selection(until_decided, max_seeds, {"--seeds": seeds, "--arm": arms, "--dry-run": dry_run})
    with exit_on_stop_signals():
        settings, files = overrides or [], plugins or []
        used = build_executor(executor, workers=workers, preload=PRELOAD)
        experiment = load(file, settings, seeds, arms or [], quick, files, runs_dir)
        print_hints(file, settings)
        with locate_problems(file, settings):
            if dry_run:
                show_plan(experiment, runs_dir, used)
                return
            if until_decided:
                outcome = _run_until_decided(experiment, runs_dir, max_seeds, used, files)
            else:
                part = seeds is not None or bool(arms)
                whole = load(file, settings, None, [], quick, files) if part else experiment
                outcome = _run(experiment, whole, runs_dir, used, files)
        _end(outcome, runs_dir / experiment.name, as_json)


def _run(
    experiment: Experiment, whole: Experiment, runs_dir: Path, executor: Executor, plugins: list[Path]
) -> ExperimentOutcome:
    import sys

    from maskbench.experiment.run import run_experiment

    from ..progress.display import show_progress

    with show_progress(sys.stderr) as reporter:
        return run_experiment(
            experiment, runs_dir, whole=whole, executor=executor, reporter=reporter, plugins=plugins
        )


def _check_selection(until_decided: bool, max_seeds: int | None, others: Mapping[str, object]) -> None:
    """Check that the options go together.

    Raises:
        ConfigError: two options exclude each other.
    """
    from maskbench.errors import ConfigError

    if not until_decided:
        if max_seeds is not None:
            raise ConfigError("--max-seeds is the limit of --until-decided; give both, or --seeds alone")
        return
    reasons = {
        "--seeds": "it adds the seeds itself; give --max-seeds, or write the first ones into the file",
        "--arm": "the arms of a panel share its chance of a false alarm, so all of them are trained",
        "--dry-run": "how many runs it takes depends on their results; see `maskbench plan FILE`",
    }
    for option, value in others.items():
        if value:
            raise ConfigError(f"--until-decided does not go with {option}: {reasons[option]}")


def _run_until_decided(
    experiment: Experiment, runs_dir: Path, max_seeds: int | None, executor: Executor, plugins: list[Path]
) -> ExperimentOutcome:
    import sys

    from maskbench.experiment.until_decided import MAX_SEEDS, run_until_decided

    from ..progress.display import show_progress

    with show_progress(sys.stderr) as reporter:
        return run_until_decided(
            experiment,
            runs_dir,
            max_seeds=max_seeds or MAX_SEEDS,
            executor=executor,
            reporter=reporter,
            plugins=plugins,
        )


def _end(outcome: ExperimentOutcome, directory: Path, as_json: bool) -> None:
    """Print what became of the runs and the comparison; exit with the code of the worst run."""
    from maskbench.executors.signals import exit_code

    say_what_happened(outcome, directory)
    if outcome.signal is not None:
        raise typer.Exit(exit_code(outcome.signal))
    _print_comparison(directory, as_json)
    if not outcome.is_sound:
        raise typer.Exit(3)


def say_what_happened(outcome: ExperimentOutcome, directory: Path) -> None:
    """Print on stderr how the runs ended, what went wrong, and what to do next."""
    from maskbench.text import sanitize
    from maskbench.training.job import ERROR_LOG

    for note in outcome.notes:
        typer.echo(f"note: {sanitize(note)}", err=True)
    for warning in outcome.warnings:
        typer.echo(f"warning: {sanitize(warning)}", err=True)
    for ended in outcome.ended:
        if ended.state in ("failed", "diverged"):
            typer.echo(sanitize(f"{ended.state}: {ended.run.name}: {ended.message}"), err=True)
            log = ended.run.directory.path / ERROR_LOG
            typer.echo(sanitize(f"  see {log if log.exists() else ended.run.directory.path}"), err=True)
    counts = ", ".join(f"{n} {word}" for word, n in outcome.counts.items() if n)
    typer.echo(sanitize(f"{directory}: {counts}"), err=True)
    if outcome.signal is not None:
        typer.echo("interrupted; the same command resumes where it stopped", err=True)


def _print_comparison(directory: Path, as_json: bool) -> None:
    from maskbench.comparison.results import ComparisonOptions
    from maskbench.comparison.table import compare

    comparisons = compare([directory], ComparisonOptions())
    if as_json:
        from maskbench.comparison.text.json_document import to_json

        typer.echo(to_json(comparisons))
    else:
        from ..comparison.render import print_comparisons

        print_comparisons(comparisons)
