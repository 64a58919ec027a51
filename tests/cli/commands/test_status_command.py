"""`maskbench status`: every run has a sign and is counted in words; what runs or went wrong is told."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import pytest
from fake_runs import FakeRun, arm_config, experiment, scored, write, write_run
from typer.testing import CliRunner, Result

from maskbench.cli.main import app
from maskbench.cli.views.status_table import SIGNS
from maskbench.config.load import dump_resolved
from maskbench.config.schema.experiment import Experiment, PanelConfig
from maskbench.records.states import STATES

DONE = scored(0.5)


def invoke(*arguments: object, **environment: str) -> Result:
    settings = {"COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1", **environment}
    return CliRunner().invoke(app, ["status", *map(str, arguments)], env=settings)


def in_state(state: str, **changes: Any) -> FakeRun:
    return DONE.with_(state=state, **changes)


def mixed(root: Path) -> Path:
    """Three arms by five seeds, in every state there is."""
    directory = write(
        root,
        experiment(["none", "near", "far"], 5),
        {
            "none": [DONE] * 5,
            "near": [DONE, DONE, in_state("running"), None, None],
            "far": [
                DONE,
                in_state("failed", message="Traceback\nOut of memory"),
                in_state("diverged"),
                in_state("interrupted"),
                None,
            ],
        },
    )
    log(directory / "near" / "seed-2", 40, 80, 120)
    log(directory / "far" / "seed-3", 500)
    return directory


def log(run: Path, *steps: int) -> None:
    lines = [json.dumps({"step": step, "train/nll": 1.0}) + "\n" for step in steps]
    (run / "metrics.jsonl").write_text("".join(lines))


def row(result: Result, arm: str) -> str:
    """Signs and words of an arm, single-spaced."""
    found = (line.split() for line in result.stdout.splitlines())
    return next(" ".join(words[1:]) for words in found if words[:1] == [arm])


def test_every_run_has_a_sign_and_every_state_a_word(tmp_path: Path) -> None:
    result = invoke(mixed(tmp_path))
    assert result.exit_code == 0 and result.stderr == ""
    assert result.stdout.splitlines()[0] == "fake: 15 runs, seeds 0-4, 8 of them done"
    assert row(result, "none") == "●●●●● 5 done"
    assert row(result, "near") == "●●▶·· 2 done, 1 running, 2 planned"
    assert row(result, "far") == "●✗≈‖· 1 done, 1 planned, 1 interrupted, 1 failed, 1 diverged"
    assert result.stdout.splitlines()[-1].split() == [
        part for state in STATES for part in (SIGNS[state][0], state)
    ]


def test_what_runs_says_how_far_it_is_and_where_and_what_went_wrong_why(tmp_path: Path) -> None:
    lines = invoke(mixed(tmp_path)).stdout.splitlines()
    assert "▶ near, seed 2: running, step 120 of 2000 (6 %), pid 1 on elsewhere" in lines
    assert "‖ far, seed 3: interrupted, step 500 of 2000 (25 %)" in lines
    assert "✗ far, seed 1: failed: Out of memory" in lines
    assert "≈ far, seed 2: diverged: loss was nan at step 17" in lines


def test_a_dead_process_is_interrupted(tmp_path: Path) -> None:
    directory = mixed(tmp_path)
    status = directory / "near" / "seed-2" / "status.json"
    status.write_text(
        json.dumps({"state": "running", "pid": 2**22 + 5, "host": platform.node(), "started": 1.0})
    )
    assert row(invoke(directory), "near") == "●●‖·· 2 done, 2 planned, 1 interrupted"


def test_json_has_every_run(tmp_path: Path) -> None:
    found = json.loads(invoke(mixed(tmp_path), "--json").stdout)
    assert found["experiment"] == "fake"
    assert found["counts"] == {
        "done": 8, "running": 1, "planned": 3, "interrupted": 1, "failed": 1, "diverged": 1
    }  # fmt: skip
    (panel,) = found["panels"]
    assert panel["panel"] is None and [arm["arm"] for arm in panel["arms"]] == ["none", "near", "far"]
    assert panel["arms"][1]["runs"][2] == {
        "seed": 2, "state": "running", "step": 120, "steps": 2000, "pid": 1, "host": "elsewhere", "message": ""
    }  # fmt: skip
    assert [run["state"] for run in panel["arms"][0]["runs"]] == ["done"] * 5


def test_panels_have_a_grid_each_and_one_legend(tmp_path: Path) -> None:
    arms = tuple(arm_config(name, number) for number, name in enumerate(("none", "near")))
    panels = tuple(PanelConfig(name=name, arms=arms, baseline="none") for name in ("small", "large"))
    wanted = Experiment(name="two", seeds=(3, 7), panels=panels)
    root = tmp_path / "two"
    for panel in ("small", "large"):
        (root / panel).mkdir(parents=True)
        (root / panel / "experiment.yaml").write_text(dump_resolved(wanted))
    (root / "experiment.yaml").write_text(dump_resolved(wanted))
    write_run(root / "large" / "near" / "seed-7", arms[1], 7, DONE)
    lines = invoke(root).stdout.splitlines()
    assert "two / small: 4 runs, seeds 3, 7" in lines
    assert "two / large: 4 runs, seeds 3, 7, 1 of them done" in lines
    assert [line.split()[1] for line in lines if line.startswith("near")] == ["··", "·●"]
    assert sum("planned" in line and "●" in line and "done   " in line for line in lines) == 1
    assert "small" not in invoke(root / "large").stdout


def test_many_seeds_wrap_in_tens_within_80_columns(tmp_path: Path) -> None:
    long = "a-strategy-with-a-really-long-name"[:32]
    directory = write(tmp_path, experiment(["none", long], 100), {long: [DONE] * 100})
    result = invoke(directory)
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    assert result.stdout.count("●" * 10) == 10 and "●" * 11 not in result.stdout
    assert "seeds 0-99" in result.stdout and "100 done" in result.stdout


def test_text_from_files_never_steers_the_terminal(tmp_path: Path) -> None:
    nasty = "\x1b[2J[bold]boom[/bold]\u202e\x00"
    directory = write(
        tmp_path, experiment(["none", "near"], 1), {"near": [in_state("failed", message=nasty)]}
    )
    shown = invoke(directory).stdout
    assert "failed: [2J[bold]boom[/bold]" in shown
    assert not any(character in shown for character in "\x1b\u202e\x00")


def test_a_damaged_run_is_shown_as_failed_and_stops_nothing(tmp_path: Path) -> None:
    directory = mixed(tmp_path)
    (directory / "near" / "seed-2" / "status.json").write_text("{")
    result = invoke(directory)
    assert result.exit_code == 0
    assert row(result, "near").startswith("●●✗·· ")
    assert "✗ near, seed 2: failed:" in result.stdout


def test_without_a_directory_it_takes_the_newest(tmp_path: Path) -> None:
    mixed(tmp_path)
    assert invoke("--runs-dir", tmp_path).stdout.startswith("fake: 15 runs")


@pytest.mark.parametrize("place", ["nowhere", ""])
def test_what_is_no_experiment_exits_2(tmp_path: Path, place: str) -> None:
    result = invoke(tmp_path / place)
    assert result.exit_code == 2
    assert result.stdout == "" and result.stderr.startswith("error: ")


def test_no_two_states_share_a_sign() -> None:
    for alphabet in zip(*SIGNS.values(), strict=True):
        assert len(set(alphabet)) == len(STATES)
    assert all(ascii_sign.isascii() for _, ascii_sign in SIGNS.values())


@pytest.mark.parametrize(("name", "text"), [("result.json", "{"), ("run.json", "{}"), ("run.json", None)])
def test_a_result_that_cannot_be_used_is_none(tmp_path: Path, name: str, text: str | None) -> None:
    directory = write(tmp_path, experiment(["none", "near"], 2), {a: [DONE] * 2 for a in ("none", "near")})
    file = directory / "near" / "seed-1" / name
    file.unlink() if text is None else file.write_text(text)
    result = invoke(directory)
    assert result.exit_code == 0
    assert row(result, "near").endswith("1 done, 1 failed") and row(result, "none").endswith("2 done")
    said = " ".join(result.stdout.split())
    assert "near, seed 1: failed: " in said and ("missing" in said or "damaged" in said)
