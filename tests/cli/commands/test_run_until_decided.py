"""`maskbench run --until-decided`: which options go with it, and what it hands over and shows."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.live import Live
from typer.testing import CliRunner, Result

import maskbench.experiment.run
import maskbench.experiment.until_decided
from maskbench.cli.main import app
from maskbench.cli.progress.display import LiveDisplay, PlainLines
from maskbench.cli.progress.state import ProgressState
from maskbench.config.schema.experiment import Experiment
from maskbench.experiment.progress_events import ExperimentOutcome

FILE = """
name: trial
seeds: 2
baseline: none
corpus: {name: copy, pairs: 64}
arms:
  none: []
  near: [{site: encoder_self, mask: window, radius: 1}]
"""


def invoke(tmp_path: Path, *options: str) -> Result:
    file = tmp_path / "trial.yaml"
    file.write_text(FILE, encoding="utf-8")
    arguments = ["run", str(file), "--runs-dir", str(tmp_path / "runs"), *options]
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"})


def pretend(monkeypatch: pytest.MonkeyPatch, signal: int | None = None) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = []

    def run_until_decided(experiment: Experiment, runs_dir: Path, **options: Any) -> ExperimentOutcome:
        calls.append({"experiment": experiment, **options})
        maskbench.experiment.run.write_experiment(experiment, runs_dir)
        options["reporter"].tested("after 1 seed: [bold]near[/] is open\x1b[2J")
        return ExperimentOutcome((), signal=signal)

    monkeypatch.setattr(maskbench.experiment.until_decided, "run_until_decided", run_until_decided)
    return calls


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--until-decided", "--seeds", "4"],
            "--until-decided does not go with --seeds: it adds the seeds itself",
        ),
        (
            ["--until-decided", "--arm", "near"],
            "--until-decided does not go with --arm: the arms of a panel share",
        ),
        (["--until-decided", "--dry-run"], "see `maskbench plan FILE`"),
        (["--max-seeds", "4"], "--max-seeds is the limit of --until-decided"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    calls = pretend(monkeypatch)
    result = invoke(tmp_path, *options)
    assert result.exit_code == 2 and said in " ".join(result.stderr.split())
    assert not calls


@pytest.mark.parametrize(("options", "limit"), [((), 20), (("--max-seeds", "7"), 7)])
def test_the_whole_experiment_and_the_limit_are_handed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], limit: int
) -> None:
    calls = pretend(monkeypatch)
    result = invoke(tmp_path, "--until-decided", "-j", "3", *options)
    assert result.exit_code == 0, result.output
    (call,) = calls
    assert call["max_seeds"] == limit and call["executor"].workers == 3
    assert [arm.name for arm in call["experiment"].panels[0].arms] == ["none", "near"]
    assert "after 1 seed: [bold]near[/] is open" in result.stderr and "\x1b[2J" not in result.stderr
    assert "after 1 seed" not in result.stdout and "none" in result.stdout


def test_a_signal_ends_it_as_any_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, signal=2)
    result = invoke(tmp_path, "--until-decided")
    assert result.exit_code == 130 and "the same command resumes" in result.stderr


def test_looks_are_shown_as_text_on_a_pipe_and_on_a_terminal() -> None:
    pipe, terminal = StringIO(), StringIO()
    PlainLines(ProgressState(), pipe).tested("after 2 seeds: [red]x[/] is open\x07")
    assert pipe.getvalue().startswith("after 2 seeds: [red]x[/] is open") and "\x07" not in pipe.getvalue()
    console = Console(file=terminal, force_terminal=True, width=200)
    with Live(console=console, auto_refresh=False) as live:
        LiveDisplay(ProgressState(), live).tested("after 2 seeds: [red]x[/] is open")
    assert "after 2 seeds: [red]x[/] is open" in terminal.getvalue()
