"""The whole way from a file to finished runs, with real training in real processes, at the smallest size."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from serial_executor import SerialExecutor

import maskbench.data
import maskbench.masks  # noqa: F401
from maskbench.config.load import load_experiment
from maskbench.executors import Executor, FunctionEnd, Listener, Task, TaskContext
from maskbench.executors.local import LocalExecutor
from maskbench.experiment import PRELOAD, train_job
from maskbench.experiment.progress_events import ExperimentOutcome
from maskbench.experiment.run import run_experiment
from maskbench.training.job import Progress, RunJob
from maskbench.training.loop import train_run

FILE = """
name: tiny
seeds: 2
baseline: none
corpus: {{name: copy, pairs: 128, valid: 16, test: 16, symbols: 9, max_length: 6}}
model: {{d_model: 16, n_heads: 2, encoder_layers: 1, decoder_layers: 1, d_ff: 32}}
train: {{steps: {steps}, batch_tokens: 128, warmup_steps: 4, valid_every: 5, save_every: 4}}
evaluate: {{splits: [test], metrics: [nll, exact_match]}}
arms:
{arms}
"""
ARMS = {
    "none": "[]",
    "dynamic": "[{site: encoder_input, mask: tokens, ratio: 0.3, refresh: dynamic}]",
    "near": "[{site: encoder_self, mask: window, radius: 1}]",
}
STEPS = 18


def write(directory: Path, arms: Sequence[str] = tuple(ARMS), steps: int = STEPS) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "tiny.yaml"
    lines = "\n".join(f"  {arm}: {ARMS[arm]}" for arm in arms)
    file.write_text(FILE.format(arms=lines, steps=steps), encoding="utf-8")
    return file


def train(directory: Path, executor: Executor, arms: Sequence[str] = tuple(ARMS)) -> ExperimentOutcome:
    outcome = run_experiment(load_experiment(write(directory, arms)), directory / "runs", executor=executor)
    assert outcome.is_sound, outcome.ended
    return outcome


def bytes_of_runs(directory: Path) -> dict[str, dict[str, str]]:
    """Everything of every run that must not depend on how it was run, by run and file."""
    found = {}
    for run in sorted((directory / "runs" / "tiny").glob("*/seed-*")):
        files = [
            run / "metrics.jsonl",
            *run.glob("translations/*"),
            *run.glob("sentences/*"),
            *run.glob("checkpoints/step-*/*.safetensors"),
        ]
        digests = {
            str(file.relative_to(run)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files
        }
        result = json.loads((run / "result.json").read_text())
        digests["metrics"] = json.dumps(result["metrics"], sort_keys=True)
        found[f"{run.parent.name}/{run.name}"] = digests
    return found


def only(directory: Path, *arms: str) -> dict[str, dict[str, str]]:
    """The same, of some arms."""
    return {run: found for run, found in bytes_of_runs(directory).items() if run.partition("/")[0] in arms}


def die_half_way(job: RunJob, context: TaskContext[Progress]) -> FunctionEnd:
    """Train a run, but be killed after 11 steps the first time; runs in a child."""

    def report(progress: Progress) -> None:
        if progress.state == "training" and progress.step == 11:
            os.kill(os.getpid(), signal.SIGKILL)

    if (job.directory / "checkpoints").exists():
        return train_job.train(job, context)
    train_run(job, report)
    raise AssertionError("not killed")


class StopAtStep:
    """The context of a task that is asked to stop at a step of its run."""

    def __init__(self, context: TaskContext[Progress], step: int) -> None:
        self.context, self.step, self.reached = context, step, 0

    def report(self, progress: Progress) -> None:
        self.reached = progress.step
        self.context.report(progress)

    def should_stop(self) -> bool:
        return self.reached >= self.step


def stop_half_way(job: RunJob, context: TaskContext[Progress]) -> FunctionEnd:
    """Train a run until about its 7th step, and then stop as if asked to; runs in a child."""
    watched = StopAtStep(context, 7)
    state = train_run(job, watched.report, watched.should_stop)
    assert state == "interrupted"
    return "interrupted"


@dataclasses.dataclass(frozen=True)
class Only(LocalExecutor):
    """Trains, by another function where one is given, and measures no cost."""

    preload: Sequence[str] = PRELOAD
    train: Any = None

    def execute(self, target: Any, tasks: Sequence[Task[Any]], listener: Listener[Any, Any]) -> int | None:
        if not isinstance(tasks[0].payload, RunJob):
            return None
        return super().execute(self.train or target, tasks, listener)


class NoProcess(LocalExecutor):
    """An executor that must not be used."""

    def execute(self, *_: Any) -> int | None:
        pytest.fail("a process was started")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three arms, two seeds, one worker."""
    directory = tmp_path_factory.mktemp("reference")
    train(directory, LocalExecutor(1, preload=PRELOAD))
    return directory


def test_every_run_leaves_weights_metrics_and_translations(reference: Path) -> None:
    found = bytes_of_runs(reference)
    assert set(found) == {f"{arm}/seed-{seed}" for arm in ARMS for seed in (0, 1)}
    for digests in found.values():
        assert any(name.endswith("model.safetensors") for name in digests)
        assert {"metrics.jsonl", "translations/test.jsonl", "sentences/test.jsonl"} <= digests.keys()
    assert len({digests["metrics.jsonl"] for digests in found.values()}) == len(found)


def test_two_workers_and_another_order_of_the_arms_change_no_byte(reference: Path, tmp_path: Path) -> None:
    train(tmp_path, Only(2), arms=("near", "none", "dynamic"))
    assert bytes_of_runs(tmp_path) == bytes_of_runs(reference)


@pytest.mark.slow
def test_spawned_processes_and_missing_arms_change_no_byte(reference: Path, tmp_path: Path) -> None:
    train(tmp_path, Only(2, "spawn"), arms=("none",))
    assert bytes_of_runs(tmp_path) == only(reference, "none")


def test_another_executor_changes_no_byte(reference: Path, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        outcome = train(tmp_path, SerialExecutor(), arms=("none",))
    finally:
        torch.set_num_threads(before)
    assert outcome.counts["done"] == 2
    assert bytes_of_runs(tmp_path) == only(reference, "none")
    cost = json.loads((tmp_path / "runs/tiny/cost.json").read_text())
    assert cost["relative_step_time"] == {"none": 1.0}


def test_the_cost_of_every_arm_was_measured(reference: Path) -> None:
    cost = json.loads((reference / "runs/tiny/cost.json").read_text())
    assert cost["relative_step_time"].keys() == cost["tokens_per_second"].keys() == ARMS.keys()
    assert cost["relative_step_time"]["none"] == 1.0
    assert all(speed > 0 for speed in cost["tokens_per_second"].values())


def test_running_again_starts_no_process_and_touches_no_run(reference: Path) -> None:
    def times() -> dict[str, int]:
        return {
            str(file): file.stat().st_mtime_ns for file in (reference / "runs/tiny").glob("*/seed-*/**/*")
        }

    before = times()
    outcome = train(reference, NoProcess(1))
    assert outcome.counts["skipped"] == 6
    assert times() == before


def test_a_run_that_was_killed_half_way_ends_in_the_same_bytes(reference: Path, tmp_path: Path) -> None:
    outcome = train(tmp_path, Only(2, train=die_half_way), arms=("none", "dynamic"))
    assert [ended.retries for ended in outcome.ended] == [1, 1, 1, 1]
    assert bytes_of_runs(tmp_path) == only(reference, "none", "dynamic")


def test_a_run_that_was_asked_to_stop_resumes_to_the_same_bytes(reference: Path, tmp_path: Path) -> None:
    experiment = load_experiment(write(tmp_path, ("none",)))
    stopped = run_experiment(experiment, tmp_path / "runs", executor=Only(1, train=stop_half_way))
    assert stopped.counts["interrupted"] == 2
    resumed = train(tmp_path, Only(1), arms=("none",))
    assert {run.state for run in resumed.planned} == {"resumed"}
    assert bytes_of_runs(tmp_path) == only(reference, "none")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM that can be caught")
def test_a_terminated_command_leaves_no_process_behind_and_exits_with_143(tmp_path: Path) -> None:
    file = write(tmp_path, steps=100_000)
    command = [
        sys.executable,
        "-m",
        "maskbench.cli",
        "run",
        str(file),
        "--runs-dir",
        str(tmp_path / "runs"),
        "-j",
        "2",
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stderr is not None
        said = []
        for line in parent.stderr:
            said.append(line)
            if sum("starts" in each for each in said) == 2:
                break
        offspring = psutil.Process(parent.pid).children(recursive=True)
        assert offspring
        parent.terminate()
        out, err = parent.communicate(timeout=60)
    assert parent.returncode == 143, err
    assert out == "" and "Traceback" not in err
    assert "the same command resumes" in err
    assert not psutil.wait_procs(offspring, timeout=20)[1]
    states = [
        json.loads(path.read_text())["state"] for path in tmp_path.glob("runs/tiny/*/seed-*/status.json")
    ]
    assert set(states) == {"interrupted"}
