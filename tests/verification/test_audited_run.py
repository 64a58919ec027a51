"""The trained model of a finished run is held to the proofs on any model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner, Result

from maskbench.cli.main import app
from maskbench.errors import ConfigError, RunDirectoryError
from maskbench.model_audit import audit_subject
from maskbench.verification.audited_run import load_audited_run

OLD = Path(__file__).parent.parent / "old_runs" / "runs"


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs of an experiment whose third run was stopped."""
    return Path(shutil.copytree(OLD, tmp_path_factory.mktemp("old") / "runs")) / "before-the-move"


def call(*arguments: str | Path) -> Result:
    env = {"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}
    return CliRunner().invoke(app, [str(a) for a in arguments], env=env)


def test_the_weights_are_those_that_were_trained(experiment: Path) -> None:
    run = experiment / "tokens" / "seed-0"
    subject = load_audited_run(run)
    best = json.loads((run / "checkpoints" / "best.json").read_text())["step"]
    saved = load_file(run / "checkpoints" / f"step-{best:06d}" / "model.safetensors")
    held = subject.converted(torch.float64).module.state_dict()
    assert held.keys() == saved.keys()
    assert all(torch.equal(held[name].float(), saved[name]) for name in saved)
    assert subject.name == "tokens/seed-0"


def test_its_promises_are_proved(experiment: Path) -> None:
    proofs = [
        "causality",
        "padding content",
        "future gradients",
        "cached decoding",
        "implementations",
        "reach",
    ]
    found = {f.proof: f for f in audit_subject(load_audited_run(experiment / "none" / "seed-1"), proofs)}
    assert [name for name, one in found.items() if one.passed is False] == []
    made = {name for name, one in found.items() if one.passed}
    assert made == set(proofs)


def test_the_command_takes_the_folder_of_a_run(experiment: Path) -> None:
    result = call("audit", "--model", experiment / "none" / "seed-0", "--proof", "causality")
    assert result.exit_code == 0, result.output
    assert "none/seed-0: 1 proofs hold, 0 broken" in result.stdout


def test_what_is_no_finished_run_of_an_experiment_is_refused(experiment: Path, tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="is not finished"):
        load_audited_run(experiment / "tokens" / "seed-1")
    other = shutil.copytree(experiment / "none", experiment / "stray")
    with pytest.raises(ConfigError, match="is a run of no arm of the experiment above it"):
        load_audited_run(other / "seed-0")
    shutil.rmtree(other)
    alone = Path(shutil.copytree(experiment / "none" / "seed-0", tmp_path / "a" / "b" / "seed-0"))
    result = call("audit", "--model", alone)
    assert result.exit_code == 2 and "holds no experiment" in result.stderr
