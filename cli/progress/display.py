"""Shows the progress of an experiment: redrawn bars on a terminal, plain lines everywhere else.

`maskbench.cli.progress.state` keeps the state; here it is drawn. Names and messages come from files, so they reach the terminal
as `Text`, never as markup, and without control characters.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from maskbench.experiment.plan import PlannedRun
from maskbench.experiment.progress_events import Reporter, RunEnd
from maskbench.text import sanitize

from ..terminal import console_on
from .state import ProgressState, RunningRun

if TYPE_CHECKING:
    from maskbench.training.job import Progress

SECONDS_BETWEEN_LINES = 30.0
"""Between two lines about the overall state, where there is no live board."""

_SECONDS_BETWEEN_FRAMES = 0.1


def format_duration(seconds: float | None) -> str:
    """Return a time span such as `7 s`, `3 min 20 s` or `2 h 5 min`; `?` for None."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def summary_line(board: ProgressState) -> str:
    """Return the state of the whole experiment in one line."""
    if board.activity:
        return sanitize(board.activity)
    bad = [f"{n} {state}" for state, n in board.counts.items() if state != "done"]
    parts = [f"{board.n_over} of {board.total} runs over", *bad, f"{len(board.running)} training"]
    return ", ".join([*parts, f"about {format_duration(board.eta())} left"])


def draw_progress(board: ProgressState) -> RenderableType:
    """Return a progress bar for every running run, and one for the experiment."""
    table = Table.grid(padding=(0, 2))
    for justify in ("left", "left", "right", "right", "right", "right"):
        table.add_column(justify=justify, no_wrap=True)
    for line in board.running.values():
        table.add_row(*_cells(board, line))
    whole = ProgressBar(total=max(1, board.total), completed=board.n_over, width=24)
    if board.activity_share is not None:
        whole = ProgressBar(total=1.0, completed=board.activity_share, width=24)
    return Group(table, _side_by_side(whole, Text(summary_line(board))))


def _cells(board: ProgressState, line: RunningRun) -> list[RenderableType]:
    name = f"{line.run.panel}/" if line.run.panel else ""
    steps = f"{line.step}/{line.total_steps}" if line.total_steps else line.state
    return [
        Text(sanitize(f"{name}{line.run.arm.title} seed {line.run.seed}")),
        ProgressBar(total=1.0, completed=line.share, width=24),
        Text(steps if line.state in ("starting", "training") else line.state),
        Text("" if line.loss is None else f"loss {line.loss:.3f}"),
        Text("" if line.tokens_per_second is None else f"{line.tokens_per_second:.0f} tokens/s"),
        Text(f"{format_duration(board.remaining(line))} left"),
    ]


def _side_by_side(*parts: RenderableType) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_row(*parts)
    return grid


def end_line(board: ProgressState, ended: RunEnd) -> str:
    """Return the line that says how a run ended."""
    again = f" after {ended.retries} retry" if ended.retries else ""
    reason = f": {ended.message}" if ended.message else f" in {format_duration(ended.seconds)}"
    place = f"[{board.n_over}/{board.total}] "
    return sanitize(f"{place}{ended.run.name} {ended.state}{again}{reason}")


def is_note(progress: Progress) -> bool:
    """Whether a report carries a message to print now; the reason of an end is printed with the end."""
    return bool(progress.message) and progress.state not in ("done", "failed", "diverged")


class _StateReporter:
    """A reporter that keeps the state up to date."""

    def __init__(self, board: ProgressState) -> None:
        self.board = board

    def planned(self, runs: Sequence[PlannedRun], workers: int) -> None:
        self.board.planned(runs, workers)

    def preparing(self, what: str) -> None:
        self.board.preparing(what)

    def downloading(self, name: str, received: int, size: int) -> None:
        self.board.downloading(name, received, size)

    def started(self, run: PlannedRun) -> None:
        self.board.started(run)

    def progressed(self, run: PlannedRun, progress: Progress) -> None:
        self.board.progressed(run, progress)

    def ended(self, ended: RunEnd) -> None:
        self.board.finished(ended)


class PlainLines(_StateReporter):
    """One line per start and end of a run, and one about the whole at most every 30 seconds."""

    def __init__(self, board: ProgressState, stream: TextIO) -> None:
        super().__init__(board)
        self._stream = stream
        self._last = board.clock()

    def _say(self, line: str) -> None:
        print(line, file=self._stream, flush=True)

    def planned(self, runs: Sequence[PlannedRun], workers: int) -> None:
        """Print how many runs are to train."""
        super().planned(runs, workers)
        due = self.board.total - self.board.skipped
        self._say(f"{due} of {self.board.total} runs to train, {workers} at a time")

    def preparing(self, what: str) -> None:
        """Print the activity."""
        super().preparing(what)
        self._say(sanitize(what))

    def downloading(self, name: str, received: int, size: int) -> None:
        """Print once that a download has begun."""
        super().downloading(name, received, size)
        if not received:
            self._say(sanitize(self.board.activity))

    def warned(self, warning: str) -> None:
        """Print a warning."""
        self._say(sanitize(f"warning: {warning}"))

    def started(self, run: PlannedRun) -> None:
        """Print that a run starts."""
        super().started(run)
        word = "resumes" if run.state == "resumed" else "starts"
        self._say(sanitize(f"{run.name} {word}"))

    def progressed(self, run: PlannedRun, progress: Progress) -> None:
        """Print the overall state, at most every `SECONDS_BETWEEN_LINES`."""
        super().progressed(run, progress)
        if is_note(progress):
            self._say(sanitize(f"{run.name}: {progress.message}"))
        now = self.board.clock()
        if now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            self._say(summary_line(self.board))

    def ended(self, ended: RunEnd) -> None:
        """Print how a run ended."""
        super().ended(ended)
        self._say(end_line(self.board, ended))

    def tested(self, sentence: str) -> None:
        """Print which arms are decided."""
        self._say(sanitize(sentence))


class LiveDisplay(_StateReporter):
    """Redraws the bars in place; warnings and bad ends leave a line above them."""

    def __init__(self, board: ProgressState, live: Live) -> None:
        super().__init__(board)
        self._live = live
        self._last = float("-inf")

    def _redraw(self, *, now: bool = True) -> None:
        moment = self.board.clock()
        if now or moment - self._last >= _SECONDS_BETWEEN_FRAMES:
            self._last = moment
            self._live.update(draw_progress(self.board), refresh=True)

    def planned(self, runs: Sequence[PlannedRun], workers: int) -> None:
        """Draw the plan."""
        super().planned(runs, workers)
        self._redraw()

    def preparing(self, what: str) -> None:
        """Draw the activity."""
        super().preparing(what)
        self._redraw()

    def downloading(self, name: str, received: int, size: int) -> None:
        """Draw the received share of a file, at most ten times a second."""
        super().downloading(name, received, size)
        self._redraw(now=received in (0, size))

    def warned(self, warning: str) -> None:
        """Print a line above the bars."""
        self._live.console.print(Text(sanitize(f"warning: {warning}"), style="yellow"), soft_wrap=True)

    def started(self, run: PlannedRun) -> None:
        """Draw the new run."""
        super().started(run)
        self._redraw()

    def progressed(self, run: PlannedRun, progress: Progress) -> None:
        """Draw the new numbers, at most ten times a second."""
        super().progressed(run, progress)
        if is_note(progress):
            self._live.console.print(Text(sanitize(f"{run.name}: {progress.message}")), soft_wrap=True)
        self._redraw(now=False)

    def ended(self, ended: RunEnd) -> None:
        """Remove the run; print a line if it did not end well."""
        super().ended(ended)
        if ended.state != "done":
            self._live.console.print(Text(end_line(self.board, ended)), soft_wrap=True)
        self._redraw()

    def tested(self, sentence: str) -> None:
        """Print a line above the bars."""
        self._live.console.print(Text(sanitize(sentence)), soft_wrap=True)


def is_live(stream: TextIO) -> bool:
    """Whether the stream is a terminal that can redraw lines, and plain output is not asked for."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


@contextmanager
def show_progress(stream: TextIO) -> Iterator[Reporter]:
    """Inside, show an experiment's progress on the stream."""
    board = ProgressState()
    if not is_live(stream):
        yield PlainLines(board, stream)
        return
    console = console_on(stream)
    with Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False) as live:
        yield LiveDisplay(board, live)
