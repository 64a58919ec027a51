"""`maskbench calibrate`: the experiment it trains, and what it prints; with the training left out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_runs
import pytest
from test_experiment import load
from typer.testing import CliRunner, Result

import maskbench.experiment.run
from maskbench.cli.main import app
from maskbench.cli.views import calibration_table
from maskbench.config.load import dump_resolved, load_resolved
from maskbench.config.schema.experiment import Experiment
from maskbench.errors import ConfigError
from maskbench.experiment.null_experiment import make_null_experiment
from maskbench.experiment.plan import plan_runs
from maskbench.experiment.progress_events import ExperimentOutcome, RunEnd, RunEndState

FILE = """
name: trial
seeds: 3
baseline: near
compare: {metric: test/exact_match, min_effect: 0.05}
corpus: {name: copy, pairs: 64}
arms:
  none: []
  near: [{site: encoder_self, mask: window, radius: 1}]
  far: [{site: encoder_self, mask: window, radius: 9}]
"""


def test_the_baseline_of_every_panel_is_trained_with_streams_of_its_own(tmp_path: Path) -> None:
    panels = "panels: {small: {corpus.pairs: 32}, large: {corpus.pairs: 64}}"
    experiment = load(tmp_path, arms=("a", "b", "c"), panels=panels)
    made = make_null_experiment(experiment, 2)
    assert (
        made.name == "trial-calibrate"
        and made.seeds == experiment.seeds
        and made.compare == experiment.compare
    )
    assert [panel.name for panel in made.panels] == ["small", "large"]
    for panel, original in zip(made.panels, experiment.panels, strict=True):
        first, *twins = panel.arms
        assert panel.baseline == first.name == "a" and first == original.arms[0]
        assert [arm.name for arm in twins] == ["twin-1", "twin-2"]
        assert len({arm.config.streams for arm in panel.arms}) == 3
        for arm in twins:
            assert arm.config.model_copy(update={"streams": first.config.streams}) == first.config
            assert arm.also_different == ("streams",)


def test_it_can_be_written_down_and_read_again(tmp_path: Path) -> None:
    made = make_null_experiment(load(tmp_path, panels="panels: {small: {corpus.pairs: 32}, large: {}}"), 2)
    file = tmp_path / "experiment.yaml"
    file.write_text(dump_resolved(made), encoding="utf-8")
    assert load_resolved(file) == made


def test_a_baseline_that_is_called_as_a_twin_keeps_its_folder(tmp_path: Path) -> None:
    (panel,) = make_null_experiment(load(tmp_path, arms=("a", "b")), 1).panels
    twin = panel.arms[1]
    renamed = panel.model_copy(update={"arms": (twin.model_copy(), panel.arms[0]), "baseline": "twin-1"})
    experiment = load(tmp_path).model_copy(update={"panels": (renamed,)})
    (again,) = make_null_experiment(experiment, 2).panels
    assert len({arm.name for arm in again.arms}) == len({arm.config.streams for arm in again.arms}) == 3


def test_a_name_without_room_is_refused(tmp_path: Path) -> None:
    experiment = load(tmp_path).model_copy(update={"name": "a" * 23})
    with pytest.raises(ConfigError, match="at most 32 characters"):
        make_null_experiment(experiment)
    assert make_null_experiment(experiment.model_copy(update={"name": "a" * 22})).name.endswith("-calibrate")


def pretend(
    monkeypatch: pytest.MonkeyPatch, state: RunEndState = "done", signal: int | None = None
) -> list[Experiment]:
    """Replace the training by runs with scores of their own."""
    calls: list[Experiment] = []

    def run_experiment(experiment: Experiment, runs_dir: Path, **options: Any) -> ExperimentOutcome:
        calls.append(experiment)
        outcome = ExperimentOutcome(plan_runs(experiment, runs_dir), signal=signal)
        maskbench.experiment.run.write_experiment(experiment, runs_dir)
        for number, run in enumerate(outcome.planned):
            ends = state if number == 0 else "done"
            fake = replace(fake_runs.scored((40 + 7 * number % 23) / 64), state=ends)
            fake_runs.write_run(run.directory.path, run.arm, run.seed, fake)
            outcome.ended.append(RunEnd(run, ends))
        return outcome

    monkeypatch.setattr(maskbench.experiment.run, "run_experiment", run_experiment)
    return calls


def invoke(tmp_path: Path, *options: object, text: str = FILE) -> Result:
    file = tmp_path / "trial.yaml"
    file.write_text(text, encoding="utf-8")
    arguments = ["calibrate", str(file), "--runs-dir", str(tmp_path / "runs"), *map(str, options)]
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"})


def test_people_get_every_number_with_what_it_rests_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = pretend(monkeypatch)
    result = invoke(tmp_path, "--twins", 2, "--seeds", "0-3")
    assert result.exit_code == 0, result.output
    assert [arm.name for arm in calls[0].panels[0].arms] == ["near", "twin-1", "twin-2"]
    out = result.stdout
    assert out.startswith("trial-calibrate: the baseline against itself\ntest/exact_match in %\n")
    assert "(12 runs, 66 pairs, 6 of them" in out
    assert "2 Phi(-min_effect / sd)" in out and "of 66 pairs, " in out
    assert "No test over sentences" in out
    assert any(line.split() == ["twin-2", "not", "testable"] for line in out.splitlines())
    assert "Seeds for an 80 % chance to see min_effect" in out
    assert max(map(len, out.splitlines())) <= 80


def test_a_winner_is_called_a_false_alarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)
    real = calibration_table.calibration_lines
    monkeypatch.setattr(
        calibration_table,
        "calibration_lines",
        lambda found: real(replace(found, verdicts={"twin-1": "worse"})),
    )
    assert "twin-1" + " " * 47 + "worse (a false alarm)" in invoke(tmp_path).stdout


def test_json_is_the_only_thing_on_stdout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)
    document = json.loads(invoke(tmp_path, "--json").stdout)
    assert document["experiment"] == "trial-calibrate" and document["noise_floor"]["runs"] == 6
    assert document["single_seed"]["min_effect"] == 0.05
    assert document["verdicts"] == {"twin-1": "not testable"}


def test_without_min_effect_it_says_how_to_give_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)
    out = invoke(tmp_path, text=FILE.replace(", min_effect: 0.05", "")).stdout
    assert "--set compare.min_effect=" in out and "Phi" not in out and "Seeds for" not in out


def test_a_failed_run_is_named_and_the_rest_still_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, "failed")
    result = invoke(tmp_path)
    assert result.exit_code == 3
    assert "failed: near seed 0" in result.stderr and "(5 runs, 10 pairs, 2 of them" in result.stdout


def test_a_signal_ends_it_without_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, signal=2)
    result = invoke(tmp_path)
    assert result.exit_code == 130 and result.stdout == ""
