"""A run directory that the code of stage 4 wrote, before the files moved, is read, resumed, verified and reported on.

`tests/old_runs` holds it: two arms, two seeds, one run stopped after its 23rd of 30 steps, and in `expected` what the
code that wrote it printed, and the bytes in which it ended that run. Regenerating it would take that code (957696b).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.numpy import load_file
from typer.testing import CliRunner, Result

from maskbench.cli.main import app
from maskbench.training.environment import current_origin, environment_changes, pick_device

OLD = Path(__file__).parent / "old_runs"
EXPECTED = OLD / "expected"
STOPPED_AT = 23


def call(*arguments: str | Path) -> Result:
    env = {"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}
    return CliRunner().invoke(app, [str(a) for a in arguments], env=env)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory as it was left."""
    return Path(shutil.copytree(OLD / "runs", tmp_path_factory.mktemp("old") / "runs")) / "before-the-move"


@pytest.fixture(scope="module")
def before(untouched: Path) -> dict[str, bytes]:
    """Every file of the finished runs, before anything is resumed."""
    return files_of(OLD / "runs" / "before-the-move")


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory after `maskbench run` went on with it."""
    runs = Path(shutil.copytree(OLD / "runs", tmp_path_factory.mktemp("resumed") / "runs"))
    result = call("run", OLD / "before-the-move.yaml", "--runs-dir", runs, "--workers", "1", "--json")
    assert result.exit_code == 0, result.stderr
    return runs / "before-the-move"


def files_of(directory: Path) -> dict[str, bytes]:
    """The bytes of every file of the three finished runs that no later command may touch."""
    kept = ("metrics.jsonl", "result.json", "run.json", "model.safetensors", "test.jsonl")
    runs = [directory / arm / f"seed-{n}" for arm, n in (("none", 0), ("none", 1), ("tokens", 0))]
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for run in runs
        for path in run.rglob("*")
        if path.name in kept
    }


def is_extended(now: Any, before: Any) -> bool:
    """Whether a document is the one from before, with nothing but more keys in its objects."""
    if isinstance(before, dict):
        return isinstance(now, dict) and all(
            key in now and is_extended(now[key], old) for key, old in before.items()
        )
    if isinstance(before, list):
        return len(now) == len(before) and all(map(is_extended, now, before))
    return bool(now == before)


def numbers(directory: Path) -> list[dict[str, Any]]:
    lines = (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_it_is_compared_as_by_the_code_that_wrote_it(untouched: Path) -> None:
    result = call("compare", untouched, "--format", "json")
    assert result.exit_code == 0
    assert is_extended(
        json.loads(result.stdout), json.loads((EXPECTED / "compare.json").read_text(encoding="utf-8"))
    )


def test_its_hashes_are_right_and_a_replayed_run_is_told_from_a_damaged_one(untouched: Path) -> None:
    result = call("verify", untouched, "--hashes-only", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["hashes"] == {"right": 30, "wrong": [], "not_checked": []}
    assert found["unfinished"] == ["tokens/seed-1"]


def test_a_run_of_it_trains_again_to_its_bytes_on_such_a_machine(untouched: Path) -> None:
    result = call("verify", untouched, "--cell", "tokens/seed-0", "--json")
    (replayed,) = json.loads(result.stdout)["replayed"]
    # Another processor rounds otherwise; `verify` then says what is not as it was, and no difference is a fault.
    assert replayed["differences"] == [] or replayed["not_as_it_was"] != []


def test_a_page_is_made_of_it(untouched: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert call("report", untouched, "-o", page).exit_code == 0
    text = page.read_text(encoding="utf-8")
    assert "before-the-move" in text
    assert "Tokens, seed 1: interrupted" in text


def test_only_the_stopped_run_is_trained_further(resumed: Path, before: dict[str, bytes]) -> None:
    assert len(before) == 21
    assert files_of(resumed) == before
    status = json.loads((resumed / "tokens" / "seed-1" / "status.json").read_text(encoding="utf-8"))
    assert status["state"] == "done"


def test_the_resumed_run_ends_as_the_code_that_began_it_ended_it(resumed: Path) -> None:
    run, expected = resumed / "tokens" / "seed-1", EXPECTED / "resumed"
    now, then = numbers(run), numbers(expected)
    assert [line["step"] for line in now] == [line["step"] for line in then]
    # What was logged before the stop is kept to the byte; what comes after may round otherwise on another processor.
    kept = sum(line["step"] <= STOPPED_AT for line in then)
    assert kept > STOPPED_AT
    assert now[:kept] == then[:kept]
    for new, old in zip(now, then, strict=True):
        assert new == pytest.approx(old, rel=1e-3)
    weights = load_file(run / "checkpoints" / "step-000030" / "model.safetensors")
    for name, tensor in load_file(expected / "model.safetensors").items():
        assert weights[name] == pytest.approx(tensor, abs=1e-4), name


def test_on_such_a_machine_the_resumed_run_has_the_same_bytes(resumed: Path) -> None:
    run, expected = resumed / "tokens" / "seed-1", EXPECTED / "resumed"
    # The resumed run keeps the record of the machine that began it: what resumed it is the one that runs this test.
    began = json.loads((run / "run.json").read_text(encoding="utf-8"))
    here = current_origin(began["environment"]["threads"], torch.float32, pick_device())
    if changes := environment_changes(began, here):
        pytest.skip(f"another machine than the one that wrote this directory: {', '.join(changes)}")
    pairs = [
        ("metrics.jsonl", "metrics.jsonl"),
        ("translations/test.jsonl", "translations/test.jsonl"),
        ("checkpoints/step-000030/model.safetensors", "model.safetensors"),
    ]
    for name, old in pairs:
        assert (run / name).read_bytes() == (expected / old).read_bytes(), name


def test_after_that_the_table_is_the_one_of_runs_never_stopped(resumed: Path) -> None:
    found = json.loads(call("compare", resumed, "--format", "json").stdout)
    expected = json.loads((EXPECTED / "compare-resumed.json").read_text(encoding="utf-8"))
    for arm in (*found["arms"], *expected["arms"]):
        arm["cost"] = None  # measured anew
    for new, old in zip(found["arms"], expected["arms"], strict=True):
        # That code called two equal pairs `tied`; seeds are counted first since, and two are too few.
        verdict = {"tied": "not testable"}.get(old["verdict"], old["verdict"])
        assert (new["arm"], new["n"], new["verdict"]) == (old["arm"], old["n"], verdict)
        assert new["values"] == pytest.approx(old["values"], abs=0.02)
