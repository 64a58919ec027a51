"""`maskbench plan`: what a run would do, and what it could show, without training anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    from rich.console import RenderableType

    from maskbench.config.schema.experiment import Experiment
    from maskbench.executors import Executor
    from maskbench.experiment.plan import PlannedRun
    from maskbench.forecast.attention_paths import SitePath
    from maskbench.forecast.cost_estimate import CostEstimate
    from maskbench.forecast.power import PowerForecast
    from maskbench.forecast.trial_steps import ArmName
    from maskbench.records.plans import Plan


def plan(
    file: File,
    runs_dir: RunsDir = RUNS,
    overrides: Overrides = None,
    seeds: Seeds = None,
    arms: Arms = None,
    workers: Workers = None,
    executor: ExecutorName = LOCAL,
    quick: Quick = False,
    plugins: Plugins = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the plan as JSON, and nothing else.")
    ] = False,
) -> None:
    """Show what would run, what is kept, what it takes, and what these seeds could show; train nothing.

    For an arm with a schedule, the two arms it should be compared with are written out, ready to paste.
    """
    from maskbench.executors.registry import build_executor

    from ..loading import load, locate_problems, print_hints

    used = build_executor(executor, workers=workers)
    experiment = load(file, overrides or [], seeds, arms or [], quick, plugins or [], runs_dir)
    print_hints(file, overrides or [])
    with locate_problems(file, overrides or []):
        show_plan(experiment, runs_dir, used, as_json)


def show_plan(experiment: Experiment, runs_dir: Path, executor: Executor, as_json: bool = False) -> None:
    """Print every run and what would happen to it, what it takes, and what the seeds can show.

    Raises:
        RunDirectoryError: a directory of the plan holds another run; it is said after the plan was printed.
    """
    from maskbench.experiment.plan import corpus_key, refuse_unusable_runs
    from maskbench.experiment.plan_log import current_plan
    from maskbench.experiment.preparation import (
        corpus_notes,
        make_dry_run,
        warn_of_options_without_effect,
    )
    from maskbench.experiment.progress_events import NullReporter
    from maskbench.forecast.attention_paths import attention_entries, forecast_paths
    from maskbench.forecast.cost_estimate import estimate_costs
    from maskbench.forecast.power import forecast_power
    from maskbench.text import sanitize

    from ..terminal import print_stripped

    class Warner(NullReporter):
        """Prints warnings and ignores every other event."""

        def warned(self, warning: str) -> None:
            """Print a warning on stderr."""
            typer.echo(sanitize(f"warning: {warning}"), err=True)

    warn_of_options_without_effect(experiment, Warner())
    rehearsal = make_dry_run(experiment, runs_dir, Warner())
    for note in corpus_notes(rehearsal.corpora, self_descriptions=False):
        typer.echo(f"note: {sanitize(note)}", err=True)
    expected = estimate_costs(experiment, rehearsal, runs_dir, executor)
    prospects = forecast_power(experiment, runs_dir)
    attention = {
        (panel.name, arm.name): forecast_paths(
            arm.config, rehearsal.corpora[corpus_key(arm.config.corpus)], experiment.seeds[0]
        )
        for panel in experiment.panels
        for arm in panel.arms
        if (panel.name, arm.name) in rehearsal.built
    }
    if as_json:
        from maskbench.forecast.power import to_json

        entries = attention_entries(attention)
        typer.echo(to_json(experiment, rehearsal.planned, expected, prospects, _plugins(experiment), entries))
    else:
        present = current_plan(runs_dir, experiment.name)
        print_stripped(
            _shown(experiment, rehearsal.planned, expected, prospects, present, runs_dir, attention)
        )
        _write_controls(experiment)
    refuse_unusable_runs(rehearsal.planned)


def _shown(
    experiment: Experiment,
    runs: tuple[PlannedRun, ...],
    expected: CostEstimate,
    prospects: list[PowerForecast],
    present: Plan | None,
    runs_dir: Path,
    attention: Mapping[ArmName, Sequence[SitePath]],
) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from maskbench.text import sanitize

    from ..terminal import glyphs
    from ..views.plan_sentences import (
        attention_sentences,
        expense_sentences,
        group_panels,
        outlook_sentences,
        retired_sentences,
        until_decided_sentence,
    )
    from ..views.plan_table import plan_table

    due = sum(run.is_due for run in runs)
    heading = Text(sanitize(experiment.name), style="bold")
    heading.append(f": {due} of {len(runs)} runs to train", style="not bold")
    words = Table.grid(padding=(0, 2, 0, 0))
    words.add_column(no_wrap=True, style="bold")
    words.add_column(overflow="fold")
    for label, sentence in expense_sentences(expected, due):
        words.add_row(label, Text(sanitize(sentence)))
    for number, sentence in enumerate(attention_sentences(attention)):
        words.add_row("" if number else "attention", Text(sanitize(sentence)))
    if present is not None and present.rule == "sequential":
        # Under the sequential rule the evidence decides how many seeds there are, so nothing is said of a fixed number.
        said = [(one.panel, tuple([until_decided_sentence(one.panel, present)])) for one in prospects]
    else:
        said = [(one.panel, tuple(outlook_sentences(one, experiment.compare, expected))) for one in prospects]
    for number, plugin in enumerate(_plugins(experiment)):
        source = plugin["package"] or plugin["file"]
        sentence = (
            f"{plugin['name']} ({source}), SHA-256 {plugin['sha256'][:12]}: {', '.join(plugin['used_for'])}"
        )
        words.add_row("" if number else "plug-ins", Text(sanitize(sentence)))
    for panels, sentences in group_panels(said):
        for number, sentence in enumerate(sentences):
            start = f"{panels}: " if panels and not number else ""
            words.add_row("" if number else "seeds", Text(sanitize(start + sentence)))
    for number, sentence in enumerate(retired_sentences(experiment, runs_dir)):
        words.add_row("" if number else "retired", Text(sanitize(sentence)))
    return Group(heading, "", plan_table(runs, expected, glyphs()), "", words)


def _plugins(experiment: Experiment) -> list[Mapping[str, Any]]:
    """Return what run.json says of each plug-in that some arm uses, with everything that the arms take from it."""
    from maskbench.plugins.uses import describe_used_plugins

    found: dict[str, dict[str, Any]] = {}
    for panel in experiment.panels:
        for arm in panel.arms:
            for plugin in describe_used_plugins(arm.config):
                entry = found.setdefault(plugin["sha256"], {**plugin, "used_for": []})
                entry["used_for"] += [what for what in plugin["used_for"] if what not in entry["used_for"]]
    return list(found.values())


def _write_controls(experiment: Experiment) -> None:
    """Print the controls of scheduled arms that the experiment does not have yet."""
    from maskbench.masks.controls import propose_controls

    arms = experiment.panels[0].arms
    names = {arm.name for arm in arms}
    missing = [control for arm in arms for control in propose_controls(arm) if control.name not in names]
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
