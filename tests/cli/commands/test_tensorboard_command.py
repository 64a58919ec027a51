"""`maskbench tensorboard` as users call it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from fake_runs import experiment, scored, write
from typer.testing import CliRunner

from maskbench.cli.main import app
from maskbench.runs.directory import RunDirectory
from maskbench.tensorboard.events import list_event_files

ARMS = ("none", "window")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "runs", experiment(list(ARMS), 2), {arm: [scored(0.5), scored(0.6)] for arm in ARMS})
    for arm in ARMS:
        RunDirectory(tmp_path / "runs" / "fake" / arm / "seed-0").metrics.append(
            {"step": 5, "train/nll": 1.0}
        )
    return tmp_path


@pytest.mark.parametrize("arguments", [[], ["runs/fake"], ["runs"]])
def test_a_rebuild_says_what_it_wrote_and_starts_nothing(folder: Path, arguments: list[str]) -> None:
    found = CliRunner().invoke(app, ["tensorboard", "--rebuild", *arguments])
    assert found.exit_code == 0, found.stderr
    assert found.stdout == "runs/fake: event files of 4 runs and the means of 2 arms written anew\n"
    assert len(list_event_files(folder / "runs" / "fake" / "none" / "seed-1")) == 1


def test_a_rebuild_during_a_run_is_refused(folder: Path) -> None:
    run = RunDirectory(folder / "runs" / "fake" / "window" / "seed-1")
    with run.lock():
        found = CliRunner().invoke(app, ["tensorboard", "--rebuild", "runs/fake"])
    assert found.exit_code == 5 and not found.stdout
    assert found.stderr.count("error:") == 1 and "seed-1 is busy" in found.stderr


@pytest.mark.parametrize("arguments", [["nowhere"], ["--runs-dir", "nowhere"]])
def test_where_there_is_no_experiment_it_says_what_to_do(folder: Path, arguments: list[str]) -> None:
    found = CliRunner().invoke(app, ["tensorboard", *arguments])
    assert found.exit_code == 2 and "maskbench run FILE" in found.stderr and not found.stdout


def test_a_port_that_is_taken_is_one_sentence(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        # In a process of its own: what TensorBoard imports warns of itself.
        command = [sys.executable, "-m", "maskbench.cli", "tensorboard", "--port", port]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 4 and not found.stdout
    assert found.stderr.startswith("error: ") and "choose another --port" in found.stderr


def test_it_serves_the_means_without_torch_until_it_is_told_to_stop(folder: Path) -> None:
    code = (
        "import sys; from maskbench.cli.main import app\n"
        "try: app(['tensorboard', '--port', '0'])\n"
        "finally: print('torch' in sys.modules, flush=True)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            lines = [process.stdout.readline() for _ in range(4)]
            assert lines[0] == "runs/fake is shown at\n"
            with urllib.request.urlopen(lines[1].strip() + "data/logdir", timeout=30) as answer:
                assert b"runs/fake" in answer.read()
            assert lines[3].strip().startswith(lines[1].strip() + "#custom_scalars")
            assert (folder / "runs" / "fake" / "_aggregate" / "window").is_dir()
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
            assert process.stdout.read() == "False\n"
        finally:
            process.kill()


def test_a_damaged_run_is_named_at_the_end_and_the_others_are_made_anew(folder: Path) -> None:
    runs = {name: RunDirectory(folder / "runs" / "fake" / name) for name in ("none/seed-0", "window/seed-0")}
    bad = runs["none/seed-0"]
    old = bad.path / "events.out.tfevents.1.maskbench"
    old.write_bytes(b"old")
    with bad.metrics.path.open("a") as file:
        file.write('{"step": null}\n')
    found = CliRunner().invoke(app, ["tensorboard", "--rebuild", "runs/fake"])
    assert found.exit_code == 5 and not found.stdout
    assert "none/seed-0/metrics.jsonl:2 is damaged: step" in found.stderr
    assert "1 of 4 runs are as they were" in found.stderr and "other 3 were written anew" in found.stderr
    assert list_event_files(bad.path) == [old] and len(list_event_files(runs["window/seed-0"].path)) == 1
