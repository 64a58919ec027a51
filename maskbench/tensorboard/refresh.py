"""Updates or rebuilds an experiment's TensorBoard event files; starts a TensorBoard server."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Sequence, Set
from contextlib import ExitStack, redirect_stderr
from dataclasses import dataclass
from pathlib import Path

from maskbench.errors import ConfigError, ResourceError, RunDirectoryError
from maskbench.files import wrap_os_errors, write_atomically
from maskbench.records.curves import read_curves
from maskbench.records.locate import FoundPanel, find_panels
from maskbench.runs.directory import RunDirectory
from maskbench.tensorboard.columns import make_columns
from maskbench.tensorboard.events import Event, encode_events, event_file_path, list_event_files, make_text
from maskbench.tensorboard.layout import make_layout
from maskbench.tensorboard.means import MEANS_FOLDER, find_last_logged_time, make_mean_events, means_folder_of
from maskbench.tensorboard.sinks import rebuild_events


@dataclass(frozen=True, slots=True)
class RefreshCounts:
    """Numbers of rebuilt runs and updated arms."""

    runs: int
    """Number of runs whose event file was rebuilt."""
    arms: int
    """Number of arms with up-to-date means, summed over panels."""


def refresh_overview(directory: Path) -> RefreshCounts:
    """Update the means over seeds, the layout and the columns of an experiment from its runs' logs.

    Works while runs are in progress. Files whose content would not change are not rewritten.

    Raises:
        ConfigError: there is no experiment at `directory`.
        ResourceError: a file cannot be written.
    """
    panels = find_all_panels(directory)
    logged: set[str] = set()
    over_time: set[str] = set()
    arms = 0
    for found in panels:
        by_tag = read_curves(found)
        logged |= by_tag.keys()
        over_time |= {tag for tag, drawn in by_tag.items() if any(len(curve.steps) > 1 for curve in drawn)}
        written = make_mean_events(found, by_tag)
        for arm, events in written.items():
            _write(means_folder_of(found, arm), events)
        _remove_others(found, written.keys())
        arms += len(written)
    _write(_root(panels), _summary(panels, sorted(logged), over_time))
    return RefreshCounts(0, arms)


def rebuild_all(directory: Path) -> RefreshCounts:
    """Rebuild every event file of an experiment from its JSON Lines files and pictures.

    Raises:
        ConfigError: there is no experiment at `directory`.
        RunDirectoryError: a run is in progress, and nothing was changed; or runs have damaged files: these
            keep their event files, and those of all other runs are rebuilt.
        ResourceError: a file cannot be written.
    """
    panels = find_all_panels(directory)
    runs = [run for found in panels for run in found.directory.runs()]
    with ExitStack() as held:
        for run in runs:
            _refuse_running(run)
            held.enter_context(run.lock())
        for found in panels:
            shutil.rmtree(found.directory.path / MEANS_FOLDER, ignore_errors=True)
        for file in list_event_files(_root(panels)):
            file.unlink(missing_ok=True)
        damaged = [reason for run in runs if (reason := _rebuilt(run))]
        arms = refresh_overview(directory).arms
    if damaged:
        rest = len(runs) - len(damaged)
        raise RunDirectoryError(
            "\n".join(
                (
                    *damaged,
                    f"the event files of {len(damaged)} of {len(runs)} runs are as they were; those of the "
                    f"other {rest} were written anew",
                )
            )
        )
    return RefreshCounts(len(runs), arms)


def _rebuilt(run: RunDirectory) -> str:
    """Rebuild a run's event file; return an error message, empty on success."""
    try:
        sink = rebuild_events(run)
    except RunDirectoryError as error:
        return str(error)
    if sink.failure is not None:
        with wrap_os_errors("write", run.path):
            raise sink.failure
    return ""


def _refuse_running(run: RunDirectory) -> None:
    try:
        is_running = run.status().state == "running"
    except RunDirectoryError:
        return  # `_rebuilt` reports the damage.
    if is_running:
        raise RunDirectoryError(
            f"{run.path} is still training, and its event file cannot be made anew under its hands; "
            "wait for it or stop it"
        )


def find_experiments(directory: Path) -> tuple[Path, list[Path]]:
    """Return the folder to show and its experiments: a single one, or all in a folder of experiments.

    Raises:
        ConfigError: there is no experiment.
    """
    try:
        root = _root(find_all_panels(directory))
        return root, [root]
    except ConfigError:
        below = sorted(file.parent for file in directory.glob("*/experiment.yaml"))
        # For a single damaged experiment, the original error names the damage.
        if not below or (directory / "experiment.yaml").exists():
            raise
        return directory, below


def find_all_panels(directory: Path) -> list[FoundPanel]:
    """Return all panels of an experiment, given its directory or the directory of one of its panels.

    Raises:
        ConfigError: there is no experiment.
    """
    panels = find_panels(directory)
    is_part = len(panels) < len(panels[0].experiment.panels)
    return find_panels(directory.resolve().parent) if is_part else panels


def _root(panels: Sequence[FoundPanel]) -> Path:
    """Return the directory of the panels' experiment."""
    first = panels[0]
    return first.directory.path if first.panel.name is None else first.directory.path.parent


def _summary(panels: Sequence[FoundPanel], logged: Sequence[str], over_time: Set[str]) -> list[Event]:
    """Return the event of the whole experiment: its file as text, the layout and the columns."""
    experiment = panels[0].experiment
    runs = [
        found.directory.run(arm.name, seed)
        for found in panels
        for arm in found.panel.arms
        for seed in experiment.seeds
    ]
    file = panels[0].directory.experiment_file.read_text(encoding="utf-8")
    entries = [make_text("experiment", file.splitlines()), make_layout(experiment, logged, over_time)]
    columns = make_columns(runs, experiment.compare.metric)
    if columns is not None:
        entries.append(columns)
    time = max(find_last_logged_time(found, arm.name) for found in panels for arm in found.panel.arms)
    return [Event(time, 0, entries)]


def _write(directory: Path, events: Sequence[Event]) -> None:
    """Write one event file and delete a directory's others; its new name makes an open TensorBoard reload."""
    data = encode_events(events, is_first=True)
    present = list_event_files(directory)
    if len(present) == 1 and present[0].read_bytes() == data:
        return
    path = event_file_path(directory, events[0].time)
    write_atomically(path, data)
    for old in present:
        if old != path:
            old.unlink(missing_ok=True)


def _remove_others(found: FoundPanel, arms: Iterable[str]) -> None:
    """Delete the means of arms that no longer exist."""
    folder = found.directory.path / MEANS_FOLDER
    kept = set(arms)
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and path.name not in kept:
            shutil.rmtree(path, ignore_errors=True)


BANDS_PAGE = f"#custom_scalars&regexInput={MEANS_FOLDER}&_smoothingWeight=0"
"""URL fragment of the page with bands over seeds: selects the arms' means, without smoothing.

With more than 40 runs TensorBoard selects none by default; it counts only runs that pass the filter.
"""


def start_server(directory: Path, host: str | None = None, port: int | None = None) -> str:
    """Start a TensorBoard server in a thread that ends with this process, and return its address.

    Args:
        directory: folder whose event files are shown, including those of its subdirectories.
        host: address to listen on; None: reachable only from this machine.
        port: None: 6006, or the next free port; 0: any free port.

    Raises:
        ResourceError: the port is taken, or the host is not an address of this machine.
    """
    from tensorboard import program

    server = program.TensorBoard()
    server.configure(argv=("maskbench",), logdir=str(directory), host=host, port=port)
    try:
        # TensorBoard prints hints about options that this program does not have.
        with redirect_stderr(io.StringIO()):
            return str(server.launch())
    except program.TensorBoardServerException as error:
        raise ResourceError(f"{error.msg}; choose another --port or --host") from error
    except OSError as error:
        raise ResourceError(f"TensorBoard cannot listen on {host or 'localhost'}: {error}") from error
