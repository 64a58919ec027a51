"""`maskbench run`: what it prints where, and how it exits; with the training left out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_runs
import pytest
from typer.testing import CliRunner, Result

import maskbench.experiment.run
from maskbench.cli.main import app
from maskbench.config.schema.experiment import Experiment
from maskbench.errors import ResourceError
from maskbench.executors.local import LocalExecutor
from maskbench.experiment.plan import plan_runs
from maskbench.experiment.progress_events import ExperimentOutcome, RunEnd, RunEndState

FILE = """
# Does a window help?
name: trial
seeds: 2
baseline: none
corpus: {name: copy, pairs: 64}
arms:
  none: []
  near: [{site: encoder_self, mask: window, radius: 1}]
quick: {seeds: 1}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "trial.yaml"
    path.write_text(FILE, encoding="utf-8")
    return path


def invoke(*arguments: object) -> Result:
    environment = {"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}
    return CliRunner().invoke(app, ["run", *map(str, arguments)], env=environment)


def pretend(
    monkeypatch: pytest.MonkeyPatch, states: dict[str, RunEndState] | None = None, signal: int | None = None
) -> list[dict[str, Any]]:
    """Replace the training by runs that end in the given states, by arm; return what it is called with."""
    calls: list[dict[str, Any]] = []

    def run_experiment(experiment: Experiment, runs_dir: Path, **options: Any) -> ExperimentOutcome:
        calls.append({"experiment": experiment, "runs_dir": runs_dir, **options})
        outcome = ExperimentOutcome(
            plan_runs(experiment, runs_dir), signal=signal, warnings=["a [bold]warning[/]"]
        )
        maskbench.experiment.run.write_experiment(experiment, runs_dir)
        for run in outcome.planned:
            state = (states or {}).get(run.arm.name, "done")
            fake = replace(fake_runs.scored(0.5 + run.seed / 8), state=state)
            fake_runs.write_run(run.directory.path, run.arm, run.seed, fake)
            outcome.ended.append(RunEnd(run, state, "" if state == "done" else "the loss is not finite"))
        return outcome

    monkeypatch.setattr(maskbench.experiment.run, "run_experiment", run_experiment)
    return calls


def test_a_dry_run_shows_every_run_and_what_the_seeds_can_show_and_trains_nothing(
    file: Path, tmp_path: Path
) -> None:
    result = invoke(file, "--dry-run", "--runs-dir", tmp_path / "runs")
    assert result.exit_code == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["arm", "to", "train", "a", "step", "a", "run"] in lines
    assert [line[:3] for line in lines if line[:1] in (["none"], ["near"])] == [
        ["none", "seeds", "0-1"],
        ["near", "seeds", "0-1"],
    ]
    assert "4 of 4 runs to train" in result.stdout
    assert "2 seeds can decide nothing: the smallest p they can reach is 0.5" in result.stdout
    # The corpus is built, to see that it can be; nothing else is there.
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [".cache"]


def test_a_dry_run_finds_what_a_run_would_be_refused_for(file: Path, tmp_path: Path) -> None:
    missing = "corpus={name: files, path: nowhere, src: de, tgt: en}"
    result = invoke(file, "--dry-run", "--runs-dir", tmp_path / "runs", "--set", missing)
    assert result.exit_code == 2
    assert result.stderr.startswith("--set corpus=") and "looked for" in result.stderr


def test_a_word_that_cannot_be_banned_is_placed_in_its_arm(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    arm = "arms: {none: [], mute: [{site: logits, mask: ban_tokens, tokens: [zebra]}]}"
    corpus = "corpus: {name: copy, pairs: 100, valid: 9, test: 7}"
    bad.write_text(f"name: bad\nseeds: 1\n{corpus}\n{arm}\n", encoding="utf-8")
    result = invoke(bad, "--runs-dir", tmp_path / "runs")
    assert result.exit_code == 2
    assert f"\n{bad}:4:" in result.stderr and "'zebra'" in result.stderr


def test_running_a_part_hands_the_whole_experiment_over_as_well(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = pretend(monkeypatch)
    invoke(file, "--runs-dir", tmp_path / "runs", "--seeds", "1", "--arm", "none")
    (call,) = calls
    assert [arm.name for arm in call["experiment"].panels[0].arms] == ["none"]
    assert [arm.name for arm in call["whole"].panels[0].arms] == ["none", "near"]
    assert call["whole"].seeds == (0, 1)


def test_a_dry_run_after_a_change_says_what_changed_and_exits_as_busy_or_foreign(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch)
    assert invoke(file, "--runs-dir", tmp_path / "runs").exit_code == 0
    result = invoke(file, "--dry-run", "--runs-dir", tmp_path / "runs", "--set", "train.lr=0.5")
    assert result.exit_code == 5
    assert "train.lr 0.001 -> 0.5" in result.stderr
    assert "refused (changed)" in result.stdout


def test_the_table_goes_to_stdout_and_everything_else_to_stderr(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch)
    result = invoke(file, "--runs-dir", tmp_path / "runs")
    assert result.exit_code == 0
    assert "near" in result.stdout and "warning" not in result.stdout
    assert "warning: a [bold]warning[/]" in result.stderr
    assert "4 done" in result.stderr


def test_json_is_the_only_thing_on_stdout(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch)
    result = invoke(file, "--runs-dir", tmp_path / "runs", "--json")
    assert json.loads(result.stdout)["experiment"] == "trial"


@pytest.mark.parametrize("state", ["failed", "diverged"])
def test_a_run_that_failed_or_diverged_is_named_and_makes_the_exit_code_three(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: RunEndState
) -> None:
    pretend(monkeypatch, {"near": state})
    result = invoke(file, "--runs-dir", tmp_path / "runs")
    assert result.exit_code == 3
    assert f"{state}: near seed 0: the loss is not finite" in result.stderr
    assert "near" in result.stdout


@pytest.mark.parametrize(("signum", "code"), [(2, 130), (15, 143), (1, 129)])
def test_a_signal_makes_the_exit_code_and_no_table_is_printed(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signum: int, code: int
) -> None:
    pretend(monkeypatch, {"near": "interrupted"}, signal=signum)
    result = invoke(file, "--runs-dir", tmp_path / "runs")
    assert result.exit_code == code
    assert "the same command resumes" in result.stderr
    assert result.stdout == ""


def test_options_reach_the_experiment(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (call,) = _calls_of(
        monkeypatch, file, tmp_path, "--workers", "3", "--seeds", "5", "--set", "train.steps=7"
    )
    assert isinstance(call["executor"], LocalExecutor) and call["executor"].workers == 3
    assert call["experiment"].seeds == (0, 1, 2, 3, 4)
    assert {arm.config.train.steps for arm in call["experiment"].panels[0].arms} == {7}


def test_quick_is_an_experiment_of_its_own(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (call,) = _calls_of(monkeypatch, file, tmp_path, "--quick")
    assert call["experiment"].name == "trial-quick"
    assert (tmp_path / "runs" / "trial-quick" / "experiment.yaml").exists()


def test_only_the_chosen_arms_and_the_baseline_are_run(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (call,) = _calls_of(monkeypatch, file, tmp_path, "--arm", "near")
    assert [arm.name for arm in call["experiment"].panels[0].arms] == ["none", "near"]


def _calls_of(
    monkeypatch: pytest.MonkeyPatch, file: Path, tmp_path: Path, *options: str
) -> list[dict[str, Any]]:
    calls = pretend(monkeypatch)
    result = invoke(file, "--runs-dir", tmp_path / "runs", *options)
    assert result.exit_code == 0, result.stderr
    return calls


@pytest.mark.parametrize(
    ("error", "code"),
    [(ResourceError("the disk is full"), 4), (SystemExit(143), 143), (SystemExit(130), 130)],
)
def test_what_goes_wrong_on_the_way_is_one_message_and_its_exit_code(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    def fail(*_: object, **__: object) -> ExperimentOutcome:
        raise error

    monkeypatch.setattr(maskbench.experiment.run, "run_experiment", fail)
    result = invoke(file, "--runs-dir", tmp_path / "runs")
    assert result.exit_code == code
    assert "Traceback" not in result.output
    assert result.stdout == ""


def test_a_broken_file_is_refused_with_exit_code_two(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("name: x\nlearing_rate: 1\n", encoding="utf-8")
    result = invoke(tmp_path / "bad.yaml")
    assert result.exit_code == 2
    assert "learing_rate" in result.stderr
    assert result.stdout == ""


def test_help_does_not_wait_for_torch(run_python: Callable[[str], str]) -> None:
    script = """
        import sys
        from typer.testing import CliRunner
        from maskbench.cli.main import app
        result = CliRunner().invoke(app, ["run", "--help"])
        assert result.exit_code == 0 and "--dry-run" in result.output
        print("torch" in sys.modules, "numpy" in sys.modules)
    """
    assert run_python(script) == "False False\n"


@pytest.fixture
def run_python(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Run a script in a fresh interpreter with this one's import path, and return what it prints."""
    import os
    import textwrap

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))

    def run(script: str) -> str:
        command = [sys.executable, "-c", textwrap.dedent(script)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    return run
