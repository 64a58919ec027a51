"""The board: what it knows, what it foretells, and how it is shown."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from maskbench.cli.progress.display import (
    PlainLines,
    draw_progress,
    format_duration,
    is_live,
    show_progress,
    summary_line,
)
from maskbench.cli.progress.state import ProgressState
from maskbench.config.schema.experiment import ArmConfig, CorpusConfig, RunConfig
from maskbench.experiment.plan import PlannedRun, PlanState
from maskbench.experiment.progress_events import RunEnd
from maskbench.runs.directory import RunDirectory


@dataclass
class FakeProgress:
    """What the board reads of a progress message."""

    state: str = "training"
    step: int = 0
    total_steps: int = 100
    loss: float | None = None
    tokens_per_second: float | None = None
    message: str = ""


class FakeClock:
    """A clock that stands still until it is told to move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def planned(
    arm: str, seed: int, state: PlanState = "new", title: str = "", panel: str | None = None
) -> PlannedRun:
    config = ArmConfig(name=arm, title=title or arm, config=RunConfig(corpus=CorpusConfig(name="copy")))
    return PlannedRun(panel, config, seed, RunDirectory(Path(arm) / f"seed-{seed}"), state)


def progress(**fields: Any) -> Any:
    return FakeProgress(**fields)


def drawn(board: ProgressState, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None, _environ={})
    console.print(draw_progress(board))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_runs_that_were_finished_before_count_as_over() -> None:
    board = ProgressState(FakeClock())
    board.planned([planned("a", 0, "finished"), planned("b", 0), planned("c", 0, "diverged")], workers=2)
    assert (board.n_over, board.total) == (2, 3)


def test_runs_that_ended_are_counted_once_although_seeds_are_added() -> None:
    board = ProgressState(FakeClock())
    for seed in range(3):
        before = [planned(arm, old, "finished") for old in range(seed) for arm in ("a", "b")]
        due = [planned(arm, seed) for arm in ("a", "b")]
        board.planned([*before, *due], workers=1)
        for run in due:
            board.started(run)
            board.finished(RunEnd(run, "done", seconds=1))
        assert (board.n_over, board.total) == (2 * (seed + 1), 2 * (seed + 1))


def test_the_rest_of_a_run_is_foretold_from_its_own_speed_until_its_arm_has_finished_once() -> None:
    clock = FakeClock()
    board = ProgressState(clock)
    first, second = planned("a", 0), planned("a", 1)
    board.planned([first, second], workers=1)
    board.started(first)
    assert board.remaining(board.running[first.name]) is None
    clock.now += 10
    board.progressed(first, progress(step=25))
    assert board.remaining(board.running[first.name]) == pytest.approx(30)
    board.finished(RunEnd(first, "done", seconds=60))
    board.started(second)
    clock.now += 15
    board.progressed(second, progress(step=50))
    assert board.remaining(board.running[second.name]) == pytest.approx(45)


def test_the_whole_is_foretold_arm_by_arm_and_shared_among_the_workers() -> None:
    board = ProgressState(FakeClock())
    runs = [
        planned("fast", 0),
        planned("slow", 0),
        *(planned(arm, seed) for arm in ("fast", "slow") for seed in (1, 2)),
    ]
    board.planned(runs, workers=2)
    for run, seconds in ((runs[0], 10.0), (runs[1], 50.0)):
        board.started(run)
        board.finished(RunEnd(run, "done", seconds=seconds))
    assert board.eta() == pytest.approx((10 + 10 + 50 + 50) / 2)


def test_a_run_that_was_resumed_or_failed_teaches_nothing_about_the_time_a_run_takes() -> None:
    board = ProgressState(FakeClock())
    runs = [planned("a", 0, "resumed"), planned("a", 1), planned("a", 2)]
    board.planned(runs, workers=1)
    for run, state in ((runs[0], "done"), (runs[1], "failed")):
        board.started(run)
        board.finished(RunEnd(run, state, "why", seconds=3))  # type: ignore[arg-type]
    assert board.eta() is None


def test_nothing_is_left_when_everything_is_over() -> None:
    board = ProgressState(FakeClock())
    board.planned([planned("a", 0, "finished")], workers=1)
    assert board.eta() == 0.0


def test_the_board_shows_a_line_for_each_running_run_and_one_for_the_whole() -> None:
    board = ProgressState(FakeClock())
    runs = [planned("w", 3, title="window(radius=1)", panel="small"), planned("b", 3), planned("c", 3)]
    board.planned(runs, workers=2)
    board.started(runs[0])
    board.started(runs[1])
    board.progressed(runs[0], progress(step=40, total_steps=200, loss=2.3456, tokens_per_second=5100.4))
    board.progressed(runs[1], progress(state="evaluating", step=200, total_steps=200))
    lines = drawn(board).splitlines()
    assert len(lines) == 3
    assert "small/window(radius=1) seed 3" in lines[0]
    assert all(part in lines[0] for part in ("40/200", "loss 2.346", "5100 tokens/s"))
    assert "evaluating" in lines[1]
    assert "0 of 3 runs over, 2 training" in lines[2]


def test_names_are_shown_as_they_are_and_cannot_steer_the_terminal() -> None:
    board = ProgressState(FakeClock())
    run = planned("a", 0, title="[bold]x[/] :smile: \x1b[2J\u202e")
    board.planned([run], workers=1)
    board.started(run)
    shown = drawn(board)
    assert "[bold]x[/] :smile:" in shown
    assert not set(shown) & {"\x1b", "\u202e"}


@pytest.mark.parametrize("width", [1, 20, 80, 200])
def test_the_board_can_be_drawn_at_any_width(width: int) -> None:
    board = ProgressState(FakeClock())
    board.planned([planned("a", 0)], workers=1)
    board.started(planned("a", 0))
    assert drawn(board, width)


def test_what_is_done_besides_training_takes_the_place_of_the_summary() -> None:
    board = ProgressState(FakeClock())
    board.preparing("preparing the corpus copy")
    assert summary_line(board) == "preparing the corpus copy"
    board.planned([planned("a", 0)], workers=1)
    assert summary_line(board) == "0 of 1 runs over, 0 training, about ? left"


def test_plain_lines_tell_of_each_start_and_end_and_otherwise_speak_twice_a_minute() -> None:
    clock, out = FakeClock(), io.StringIO()
    told = PlainLines(ProgressState(clock), out)
    run, other = planned("a", 0), planned("b", 0, "resumed")
    told.planned([run, other, planned("c", 0, "finished")], 2)
    told.started(run)
    told.started(other)
    for step in range(1, 100):
        clock.now += 1
        told.progressed(run, progress(step=step))
    told.ended(RunEnd(run, "done", seconds=99))
    told.ended(RunEnd(other, "failed", "ValueError: bad\nnews", seconds=5, retries=1))
    lines = out.getvalue().splitlines()
    assert lines[:3] == ["2 of 3 runs to train, 2 at a time", "a seed 0 starts", "b seed 0 resumes"]
    assert len(lines[3:-2]) == 3
    assert lines[-2:] == [
        "[2/3] a seed 0 done in 1 min 39 s",
        "[3/3] b seed 0 failed after 1 retry: ValueError: bad news",
    ]


def test_what_a_run_found_out_is_said_and_why_it_ended_is_not_said_twice() -> None:
    out = io.StringIO()
    told, run = PlainLines(ProgressState(FakeClock()), out), planned("a", 0)
    told.planned([run], 1)
    told.started(run)
    told.progressed(run, progress(message="ignored a damaged checkpoint"))
    told.progressed(run, progress(state="diverged", message="the loss is nan"))
    told.ended(RunEnd(run, "diverged", "the loss is nan"))
    assert out.getvalue().splitlines()[2:] == [
        "a seed 0: ignored a damaged checkpoint",
        "[1/1] a seed 0 diverged: the loss is nan",
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "?"),
        (0.2, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (3599.9, "1 h 0 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_a_duration_is_said_in_words(seconds: float | None, words: str) -> None:
    assert format_duration(seconds) == words


def test_a_download_is_a_bar_on_the_board_and_one_line_elsewhere() -> None:
    board, out = ProgressState(FakeClock()), io.StringIO()
    told = PlainLines(board, out)
    told.preparing("preparing the corpus words")
    for received in (0, 500_000, 1_500_000):
        told.downloading("words.gz", received, 2_000_000)
    assert out.getvalue().splitlines() == ["preparing the corpus words", "downloading words.gz, 2.0 MB"]
    three_quarters = drawn(board)
    assert "downloading words.gz, 2.0 MB" in three_quarters and three_quarters.count("━") == 18
    assert board.activity_share == 0.75
    told.preparing("building a")
    assert board.activity_share is None and "downloading" not in drawn(board)


class FakeTerminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_the_board_moves_only_on_a_terminal_that_can_and_may_redraw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert is_live(FakeTerminal())
    assert not is_live(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not is_live(FakeTerminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not is_live(FakeTerminal())


def test_a_live_board_keeps_a_line_for_what_went_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    terminal = FakeTerminal()
    run, other = planned("a", 0), planned("b", 0)
    with show_progress(terminal) as told:
        told.preparing("building a")
        told.planned([run, other], 1)
        told.started(run)
        told.progressed(run, progress(step=3))
        told.ended(RunEnd(run, "diverged", "the loss is not finite"))
        told.started(other)
        told.ended(RunEnd(other, "done", seconds=1))
    assert "a seed 0 diverged: the loss is not finite\n" in terminal.getvalue().replace("\r", "")
    assert "b seed 0 done" not in terminal.getvalue()
