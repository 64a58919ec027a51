"""`maskbench plan`: what a run would do, and what it could show, without training anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .options import RUNS, Arms, File, Overrides, Plugins, Quick, RunsDir, Seeds

if TYPE_CHECKING:
    from maskbench.config.schema import Experiment


def plan(
    file: File,
    runs_dir: RunsDir = RUNS,
    overrides: Overrides = None,
    seeds: Seeds = None,
    arms: Arms = None,
    quick: Quick = False,
    plugins: Plugins = None,
) -> None:
    """Show what would run, what is kept, and what these seeds could show; train nothing.

    For an arm with a schedule, the two arms it should be compared with are written out, ready to paste.
    """
    from .loading import load, placed_problems

    experiment = load(file, overrides or [], seeds, arms or [], quick, plugins or [])
    with placed_problems(file, overrides or []):
        show_plan(experiment, runs_dir)


def show_plan(experiment: Experiment, runs_dir: Path) -> None:
    """Print every run and what would happen to it, what these seeds can show, and controls that are missing.

    Raises:
        RunDirectoryError: a directory of the plan holds another run; it is said after the plan was printed.
    """
    from rich.console import Console

    from maskbench.experiment import rehearse
    from maskbench.planning import refuse_changed
    from maskbench.reporting import Silence

    from .plain import plain
    from .plan_table import plan_table

    class Warner(Silence):
        """Passes on warnings alone."""

        def warned(self, warning: str) -> None:
            """Say it on stderr."""
            typer.echo(plain(f"warning: {warning}"), err=True)

    runs = rehearse(experiment, runs_dir, Warner())
    console = Console()
    # Natural width: a table that is piped somewhere is never cut.
    table = plan_table(runs)
    console.width = (
        max(console.width, console.measure(table).maximum) if not console.is_terminal else console.width
    )
    console.print(table)
    due = sum(run.is_due for run in runs)
    typer.echo(f"{due} of {len(runs)} runs to train")
    _say_what_seeds_can_show(experiment)
    _write_controls(experiment)
    refuse_changed(runs)


def _say_what_seeds_can_show(experiment: Experiment) -> None:
    from maskbench.comparison.statistics import least_seeds, smallest_p

    n_others = max(len(panel.arms) for panel in experiment.panels) - 1
    if n_others:
        alpha = experiment.compare.alpha
        typer.echo(
            f"smallest p that {len(experiment.seeds)} seed{'s' * (len(experiment.seeds) > 1)} can reach:"
            f" {smallest_p(len(experiment.seeds)):g}"
            f" (a verdict at alpha {alpha:g} with {n_others} arm{'s' * (n_others > 1)} beside the baseline takes"
            f" {least_seeds(n_others, alpha)} seeds)"
        )


def _write_controls(experiment: Experiment) -> None:
    """Print the controls of scheduled arms that the experiment does not have yet."""
    from maskbench.masks.controls import controls

    arms = experiment.panels[0].arms
    names = {arm.name for arm in arms}
    missing = [control for arm in arms for control in controls(arm) if control.name not in names]
    if not missing:
        return
    typer.echo(
        "\nA scheduled mask differs from a constant one in its average strength and in its course. To tell"
    )
    typer.echo(
        "which of them matters, compare it with the constant at its average, and with the course backwards:"
    )
    for control in missing:
        typer.echo(f"  {control.name}: {_flow(control.masks)}")


def _flow(value: Any) -> str:
    """Return YAML on one line."""
    import yaml

    return yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, width=10_000, allow_unicode=True
    ).strip()
