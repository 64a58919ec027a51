"""`maskbench verify`: check the hashes of finished runs, and repeat some to compare the bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import LOCAL, ExecutorName, Plugins

if TYPE_CHECKING:
    from maskbench.executors import Executor
    from maskbench.verification.finished_runs import ExperimentContents, FinishedRun
    from maskbench.verification.hashes import HashReport
    from maskbench.verification.replay import ReplayResult


def verify(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="An experiment, or a panel of one, such as runs/quickstart.",
            show_default=False,
        ),
    ],
    cell: Annotated[
        str | None,
        typer.Option(metavar="ARM/seed-N", help="Replay this run.", show_default="one chosen by its hash"),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Replay every finished run.")] = False,
    hashes_only: Annotated[bool, typer.Option("--hashes-only", help="Replay nothing.")] = False,
    workers: Annotated[
        int | None,
        typer.Option("--workers", "-j", min=1, help="Runs at once.", show_default="as cores allow"),
    ] = None,
    executor: ExecutorName = LOCAL,
    plugins: Plugins = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was found as JSON, and nothing else.")
    ] = False,
) -> None:
    """Check every hash of an experiment, and train one of its runs again to compare the bytes.

    Which run is replayed follows from a hash of all results, so nobody can choose it. Nothing is written into DIR.
    Exits with 0 if everything agrees and with 3 if something differs.
    """
    from maskbench.errors import ConfigError
    from maskbench.executors.registry import build_executor
    from maskbench.executors.signals import exit_code, exit_on_stop_signals
    from maskbench.experiment import PRELOAD

    if sum((cell is not None, every, hashes_only)) > 1:
        raise ConfigError("--cell, --all and --hashes-only exclude each other; give one of them")
    with exit_on_stop_signals():
        used = build_executor(executor, workers=workers, preload=PRELOAD)
        found = _contents(directory)
        cells = _to_replay(found, cell, every, hashes_only)
        hashes, replayed, signum = _verify(found, cells, used, plugins or [])
        if signum is not None:
            typer.echo("interrupted; nothing is kept of a repetition", err=True)
            raise typer.Exit(exit_code(signum))
        if as_json:
            typer.echo(_document(found, hashes, replayed))
        else:
            _print(found, hashes, replayed)
    if hashes.wrong or any(not one.is_identical for one in replayed):
        raise typer.Exit(3)


def _contents(directory: Path) -> ExperimentContents:
    from maskbench.errors import ConfigError
    from maskbench.verification.finished_runs import find_runs

    found = find_runs(directory)
    if not found.cells:
        raise ConfigError(f"{directory} has no finished run to verify; finish some with `maskbench run FILE`")
    return found


def _to_replay(
    found: ExperimentContents, cell: str | None, every: bool, hashes_only: bool
) -> Sequence[FinishedRun]:
    from maskbench.verification.finished_runs import choose_by_hash, find_by_name

    if hashes_only:
        return ()
    if every:
        return found.cells
    if cell is not None:
        return (find_by_name(found.cells, cell),)
    one = choose_by_hash(found.cells)
    return () if one is None else (one,)


def _verify(
    found: ExperimentContents, cells: Sequence[FinishedRun], executor: Executor, plugins: list[Path]
) -> tuple[HashReport, list[ReplayResult], int | None]:
    import tempfile

    import maskbench.masks  # noqa: F401  registers the strategies
    from maskbench.plugins import load_plugins
    from maskbench.text import sanitize
    from maskbench.verification.finished_runs import refuse_missing_plugins
    from maskbench.verification.hashes import check_hashes
    from maskbench.verification.replay import replay

    def told(what: str) -> None:
        typer.echo(sanitize(what), err=True)

    load_plugins(plugins)
    refuse_missing_plugins(cells)
    with tempfile.TemporaryDirectory(prefix="maskbench-verify-") as name:
        cache = Path(name) / "corpora"
        if cells:
            executor.warm_up()
        hashes = check_hashes(found.cells, cache, told)
        if not cells:
            return hashes, [], None
        replayed, signum = replay(cells, Path(name) / "runs", cache, executor, plugins=plugins, notify=told)
    return hashes, replayed, signum


def _document(found: ExperimentContents, hashes: HashReport, replayed: Sequence[ReplayResult]) -> str:
    import json

    return json.dumps(
        {
            "runs": [cell.name for cell in found.cells],
            "hashes": {"right": hashes.right, "wrong": hashes.wrong, "not_checked": hashes.unchecked},
            "replayed": [
                {"run": one.cell.name, "differences": one.differences, "not_as_it_was": one.changes}
                for one in replayed
            ],
            "not_replayable": [cell.name for cell in found.cells if not cell.is_of_this_version],
            "unfinished": found.unfinished,
            "left_out": found.unplanned,
        },
        indent=1,
    )


def _print(found: ExperimentContents, hashes: HashReport, replayed: Sequence[ReplayResult]) -> None:
    """Print the result in one line, then every disagreement with its possible cause."""
    from maskbench.text import sanitize

    lines = [_summary(found, hashes, replayed)]
    lines += [f"wrong: {sentence}" for sentence in hashes.wrong]
    for one in replayed:
        lines += [f"{one.cell.name}: {sentence}" for sentence in one.differences]
        if one.differences and one.changes:
            lines.append(f"  not as it was when that run was made: {', '.join(one.changes)}")
            lines.append(
                "  so other bytes are no proof that anything was changed; repeat it where it was made"
            )
        elif one.differences:
            lines.append("  machine, versions and threads are as they were when that run was made")
        else:
            lines.append(f"{one.cell.name}: the same bytes: every logged number, translation and weight")
    lines += [f"not checked: {sentence}" for sentence in hashes.unchecked]
    lines += _plugin_lines(found)
    others = [cell.name for cell in found.cells if not cell.is_of_this_version]
    if others:
        lines.append(
            f"not to be replayed: {len(others)} of {len(found.cells)} runs were made by a version whose results differ "
            f"from this one's, for example {others[0]}"
        )
    if found.unfinished:
        lines.append(f"left alone: {len(found.unfinished)} unfinished, for example {found.unfinished[0]}")
    lines += found.unplanned
    for line in lines:
        typer.echo(sanitize(line))


def _plugin_lines(found: ExperimentContents) -> list[str]:
    """Return a sentence for every version of a plug-in that the runs used: its hash, and where its copy is."""
    lines: dict[tuple[str, str], str] = {}
    for cell in found.cells:
        for plugin in cell.plugins:
            copy = f", copy in {cell.run.path / plugin.copies[0]}" if plugin.copies else ", no copy is kept"
            source = f" of {plugin.package}" if plugin.package else ""
            line = f"plug-in {plugin.name}{source}: SHA-256 {plugin.sha256[:12]}{copy}"
            lines.setdefault((plugin.name, plugin.sha256), line)
    return list(lines.values())


def _summary(found: ExperimentContents, hashes: HashReport, replayed: Sequence[ReplayResult]) -> str:
    differing = sum(not one.is_identical for one in replayed)
    outcome = "identical" if not differing else f"{differing} with differences"
    runs = f"{len(replayed)} of {len(found.cells)} runs replayed{f', {outcome}' if replayed else ''}"
    wrong = f", {len(hashes.wrong)} wrong" if hashes.wrong else ""
    return f"{runs}; {hashes.right} hashes right{wrong}"
