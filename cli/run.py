"""`maskbench run`: train every arm over its seeds, and print the comparison."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from maskbench.config.schema import Experiment
    from maskbench.reporting import Outcome


def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The experiment file.", show_default=False)],
    runs_dir: Annotated[Path, typer.Option(help="Where experiments are kept.")] = Path("runs"),
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", "-s", metavar="KEY=VALUE", help="Change a setting; may be repeated.", show_default=False
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="SEEDS", help="A count, or seeds such as 0-3,7.", show_default="the experiment's"
        ),
    ] = None,
    arms: Annotated[
        list[str] | None,
        typer.Option(
            "--arm", "-a", metavar="ARM", help="Only this arm; may be repeated.", show_default="all"
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", "-j", min=1, help="Runs at once.", show_default="as cores and memory allow"
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Use the file's quick settings, in an experiment of its own.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Show what would run, and train nothing.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the comparison as JSON, and nothing else.")
    ] = False,
) -> None:
    """Train every arm of an experiment over its seeds, and compare them.

    Finished runs are kept and interrupted ones resumed, so the same command may be given again at any time.
    """
    from maskbench.config.load import problem_at
    from maskbench.errors import ConfigError, MaskbenchError
    from maskbench.executors.signals import leaving_on_signals

    if dry_run and as_json:
        raise ConfigError("--json prints the comparison, and --dry-run makes none; give one of them")
    with leaving_on_signals():
        experiment = _load(file, overrides or [], seeds, arms or [], quick)
        try:
            if dry_run:
                _show_plan(experiment, runs_dir)
                return
            part = seeds is not None or bool(arms)
            whole = _load(file, overrides or [], None, [], quick) if part else experiment
            outcome = _run(experiment, whole, runs_dir, workers)
        except MaskbenchError as error:
            if error.key is None:
                raise
            raise problem_at(file, error.key, str(error), overrides=overrides or []) from None
        _end(outcome, runs_dir / experiment.name, as_json)


def _load(file: Path, overrides: list[str], seeds: str | None, arms: list[str], quick: bool) -> Experiment:
    # The checker asks the registries which masks and corpora there are; importing these fills them.
    import maskbench.data
    import maskbench.masks  # noqa: F401
    from maskbench.config.load import load_experiment

    return load_experiment(file, overrides=overrides, seeds=seeds, arms=arms, quick=quick)


def _run(experiment: Experiment, whole: Experiment, runs_dir: Path, workers: int | None) -> Outcome:
    import sys

    from maskbench.experiment import run_experiment

    from .progress import shown_on

    with shown_on(sys.stderr) as reporter:
        return run_experiment(experiment, runs_dir, whole=whole, workers=workers, reporter=reporter)


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


def _show_plan(experiment: Experiment, runs_dir: Path) -> None:
    """Print every run and what would happen to it, and what these seeds can show."""
    from rich.console import Console

    from maskbench.comparison.statistics import least_seeds, smallest_p
    from maskbench.experiment import rehearse
    from maskbench.planning import refuse_changed

    from .plan_table import plan_table

    runs = rehearse(experiment, runs_dir)
    console = Console()
    # Natural width: a table that is piped somewhere is never cut.
    table = plan_table(runs)
    console.width = (
        max(console.width, console.measure(table).maximum) if not console.is_terminal else console.width
    )
    console.print(table)
    due = sum(run.is_due for run in runs)
    typer.echo(f"{due} of {len(runs)} runs to train")
    n_others = max(len(panel.arms) for panel in experiment.panels) - 1
    if n_others:
        alpha = experiment.compare.alpha
        typer.echo(
            f"smallest p that {len(experiment.seeds)} seeds can reach: {smallest_p(len(experiment.seeds)):g}"
            f" (a verdict at alpha {alpha:g} with {n_others} arm{'s' * (n_others > 1)} beside the baseline takes"
            f" {least_seeds(n_others, alpha)} seeds)"
        )
    refuse_changed(runs)
