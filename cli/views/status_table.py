"""The states of an experiment's runs: one row per arm, one sign per seed; unfinished and failed runs in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeAlias

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from maskbench.records.collect import format_seeds
from maskbench.records.locate import FoundPanel
from maskbench.records.states import STATES, RunState, count_states, read_retired_states
from maskbench.runs.directory import RunStateName
from maskbench.text import sanitize

from ..terminal import ASCII, Glyphs, bare_table

States: TypeAlias = Sequence[tuple[FoundPanel, Mapping[str, Sequence[RunState]]]]
"""Panels, each with the states of its runs by arm."""

SIGNS: dict[RunStateName, tuple[str, str]] = {
    "done": ("●", "#"),
    "running": ("▶", ">"),
    "planned": ("·", "."),
    "interrupted": ("‖", "|"),
    "failed": ("✗", "x"),
    "diverged": ("≈", "~"),
}
"""What stands for a state, in Unicode and in ASCII; no two are told apart by colour."""

_STYLES: dict[RunStateName, str] = {
    "done": "green",
    "running": "cyan",
    "planned": "dim",
    "interrupted": "yellow",
    "failed": "red",
    "diverged": "red",
}

_TOGETHER = 10
"""Signs in a row without a gap: seeds are found by counting."""


def status_table(panels: States, glyphs: Glyphs) -> RenderableType:
    """Return the grid of every panel, a line for every running or failed run, and a legend."""
    parts: list[RenderableType] = []
    for found, arms in panels:
        parts += [_heading(found, arms), "", _grid(found, arms, glyphs), *_details(found, arms, glyphs)]
        parts += [Text(sanitize(sentence)) for sentence in _retired(found)]
        parts.append("")
    present = [run.state for _, arms in panels for runs in arms.values() for run in runs]
    return Group(*parts, _legend([state for state in STATES if state in present], glyphs))


def to_json(panels: States) -> str:
    """Return one document with the state of every run."""
    document = {
        "experiment": panels[0][0].experiment.name,
        "counts": count_states(run for _, arms in panels for runs in arms.values() for run in runs),
        "panels": [
            {
                "panel": found.panel.name,
                "arms": [{"arm": arm, "runs": [_run(run) for run in runs]} for arm, runs in arms.items()],
                "retired": [
                    {"arm": arm.name, "reason": arm.reason, "runs": [_run(run) for run in runs]}
                    for arm, runs in read_retired_states(found)
                ],
            }
            for found, arms in panels
        ],
    }
    # ASCII only: text from files can then neither break the encoding nor steer a terminal.
    return json.dumps(document, ensure_ascii=True, allow_nan=False, indent=1)


def _retired(found: FoundPanel) -> Iterator[str]:
    """Yield `retired: window(radius=2), 3 done: no better than radius 1` for every retired arm."""
    for arm, runs in read_retired_states(found):
        counts = ", ".join(f"{number} {state}" for state, number in count_states(runs).items())
        yield f"retired: {arm.title}, {counts or 'no runs here'}: {arm.reason}"


def _run(run: RunState) -> dict[str, Any]:
    return {key: value for key, value in asdict(run).items() if key != "arm"}


def _heading(found: FoundPanel, arms: Mapping[str, Sequence[RunState]]) -> Text:
    name = sanitize(found.experiment.name) + (f" / {sanitize(found.panel.name)}" if found.panel.name else "")
    runs = [run for own in arms.values() for run in own]
    counts = count_states(runs)
    share = f", {counts['done']} of them done" if 0 < counts.get("done", 0) < len(runs) else ""
    share = ", all done" if counts.get("done", 0) == len(runs) else share
    heading = Text(name, style="bold")
    return heading.append(
        f": {len(runs)} runs, {format_seeds(list(found.experiment.seeds))}{share}", style="not bold"
    )


def _grid(found: FoundPanel, arms: Mapping[str, Sequence[RunState]], glyphs: Glyphs) -> Table:
    table = bare_table(glyphs)
    table.add_column("arm", overflow="fold")
    table.add_column("seeds", overflow="fold", min_width=_TOGETHER)
    table.add_column("runs", overflow="fold")
    titles = {arm.name: arm.title for arm in found.panel.arms}
    for arm, runs in arms.items():
        words = ", ".join(f"{number} {state}" for state, number in count_states(runs).items())
        table.add_row(Text(sanitize(titles[arm])), _signs(runs, glyphs), Text(words))
    return table


def _signs(runs: Sequence[RunState], glyphs: Glyphs) -> Text:
    text = Text()
    for position, run in enumerate(runs):
        gap = " " if position and position % _TOGETHER == 0 else ""
        text.append(gap).append(_sign(run.state, glyphs), style=_STYLES[run.state])
    return text


def _sign(state: RunStateName, glyphs: Glyphs) -> str:
    return SIGNS[state][glyphs is ASCII]


def _details(
    found: FoundPanel, arms: Mapping[str, Sequence[RunState]], glyphs: Glyphs
) -> Iterator[RenderableType]:
    """Yield a line for every run that is neither done nor planned."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    titles = {arm.name: arm.title for arm in found.panel.arms}
    for arm, runs in arms.items():
        for run in runs:
            if run.state not in ("done", "planned"):
                sign = Text(_sign(run.state, glyphs), style=_STYLES[run.state])
                grid.add_row(sign, Text(sanitize(f"{titles[arm]}, seed {run.seed}: {_describe_run(run)}")))
    if grid.row_count:
        yield ""
        yield grid


def _describe_run(run: RunState) -> str:
    """Return how far a run is, where it runs, and what ended it."""
    parts: list[str] = [run.state]
    if run.step is not None:
        whole = f" of {run.steps} ({100 * run.step / run.steps:.0f} %)" if run.steps else ""
        parts.append(f"step {run.step}{whole}")
    elif run.state == "running":
        parts.append("no step logged yet")
    if run.pid is not None:
        parts.append(f"pid {run.pid}" + (f" on {run.host}" if run.host else ""))
    said = ", ".join(parts)
    return f"{said}: {run.message}" if run.message else said


def _legend(states: Sequence[RunStateName], glyphs: Glyphs) -> Text:
    legend = Text()
    for state in states:
        legend.append("   " if legend else "")
        legend.append(_sign(state, glyphs), style=_STYLES[state]).append(f" {state}")
    return legend
