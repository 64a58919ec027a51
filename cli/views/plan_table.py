"""The plan as a table: for every arm, what happens to the runs of which seeds, and how long one takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, get_args

from rich.table import Table
from rich.text import Text

from maskbench.experiment.plan import PlannedRun, PlanState
from maskbench.records.collect import format_seeds
from maskbench.text import sanitize

from ..progress.display import format_duration
from ..terminal import Glyphs, bare_table

if TYPE_CHECKING:
    from maskbench.forecast.cost_estimate import CostEstimate

HEADINGS: dict[PlanState, str] = {
    "new": "to train",
    "resumed": "to resume",
    "finished": "finished",
    "diverged": "diverged",
    "changed": "refused (changed)",
    "damaged": "refused (damaged)",
}


def plan_table(runs: Sequence[PlannedRun], expected: CostEstimate, glyphs: Glyphs) -> Table:
    """Return one row per arm in file order: its seeds in the column of what happens to them, and the time of its runs."""
    states = [state for state in get_args(PlanState) if any(run.state == state for run in runs)]
    has_panels = any(run.panel for run in runs)
    table = bare_table(glyphs)
    if has_panels:
        table.add_column("panel", overflow="fold")
    table.add_column("arm", overflow="fold")
    for state in states:
        table.add_column(HEADINGS[state], overflow="fold")
    if expected.steps:
        table.add_column("a step", justify="right", no_wrap=True)
        table.add_column("a run", justify="right", no_wrap=True)
    arms: dict[tuple[str | None, str], list[PlannedRun]] = {}
    for run in sorted(runs, key=lambda run: run.seed):
        arms.setdefault(run.name[:2], []).append(run)
    for name in dict.fromkeys(run.name[:2] for run in runs):
        members = arms[name]
        cells = [Text(sanitize(members[0].arm.title))]
        cells += [_seeds(members, state, glyphs) for state in states]
        table.add_row(
            *([Text(sanitize(name[0] or ""))] if has_panels else []), *cells, *_times(name, expected, glyphs)
        )
    return table


def _seeds(members: Sequence[PlannedRun], state: PlanState, glyphs: Glyphs) -> Text:
    seeds = [run.seed for run in members if run.state == state]
    return Text(format_seeds(seeds) if seeds else glyphs.nothing)


def _times(name: tuple[str | None, str], expected: CostEstimate, glyphs: Glyphs) -> list[Text]:
    if not expected.steps:
        return []
    step = expected.steps.get(name)
    if step is None:
        return [Text(glyphs.nothing), Text(glyphs.nothing)]
    return [Text(_brief(step.seconds)), Text(format_duration(expected.run_seconds[name]))]


def _brief(seconds: float) -> str:
    """Return the time of a step: `17 ms`, `1.3 s`."""
    if seconds >= 0.995:
        return f"{seconds:.1f} s"
    return f"{1000 * seconds:.0f} ms" if seconds >= 0.00995 else f"{1000 * seconds:.1f} ms"
