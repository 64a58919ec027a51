"""The plan as a table: for every arm, what would happen to the runs of which seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from rich.table import Table
from rich.text import Text

from maskbench.planning import PlannedRun, PlanState

from .plain import plain

HEADINGS: dict[PlanState, str] = {
    "new": "to train",
    "resumed": "to resume",
    "finished": "finished",
    "diverged": "diverged",
    "changed": "refused (changed)",
}


def plan_table(runs: Sequence[PlannedRun]) -> Table:
    """Return one row per arm, in file order, with the seeds of its runs under what would happen to them."""
    states = [state for state in get_args(PlanState) if any(run.state == state for run in runs)]
    has_panels = any(run.panel for run in runs)
    table = Table(box=None, pad_edge=False)
    if has_panels:
        table.add_column("panel", no_wrap=True)
    table.add_column("arm", no_wrap=True)
    for state in states:
        table.add_column(f"seeds {HEADINGS[state]}")
    arms: dict[tuple[str | None, str], list[PlannedRun]] = {}
    for run in runs:
        arms.setdefault(run.name[:2], []).append(run)
    for (panel, _), members in arms.items():
        cells = [Text(plain(members[0].arm.title))]
        cells += [Text(", ".join(str(run.seed) for run in members if run.state == state)) for state in states]
        table.add_row(*([Text(panel or "")] if has_panels else []), *cells)
    return table
