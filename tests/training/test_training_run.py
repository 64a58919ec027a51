"""Whole runs of a tiny model: killed, resumed, damaged, diverged; compared byte for byte with an undisturbed one."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch
from killed import train_until_killed
from tiny_runs import STEPS, config

import maskbench.masks  # noqa: F401  registers the strategies
from maskbench.data import load_corpus
from maskbench.errors import RunDirectoryError
from maskbench.masks.clock import Clock
from maskbench.runs.checkpoint import scan_checkpoints
from maskbench.runs.directory import RunDirectory
from maskbench.training import loop
from maskbench.training.evaluate import Evaluation, final_metrics, validation_metrics
from maskbench.training.job import Progress, RunJob
from maskbench.training.logbook import log_every
from maskbench.training.objective import Objective
from maskbench.training.trainer import Diverged, make_trainer


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def silent(progress: Progress) -> None:
    """Hear nothing."""


def train(
    path: Path,
    cache: Path,
    *,
    report: Callable[[Progress], None] = silent,
    stop_after: int | None = None,
    **changes: Any,
) -> RunDirectory:
    """Train a run as a process would; `stop_after` kills it after that step."""
    job = RunJob("demo", None, "dynamic", 3, config(**changes), path / "seed-3", cache)
    train_until_killed(job, stop_after, report)
    return RunDirectory(job.directory)


def final_bytes(run: RunDirectory) -> dict[str, bytes]:
    """Return every file of a run that must not depend on kills: all but times, processes and event files."""
    newest = run.checkpoints / f"step-{STEPS:06d}"
    files = [run.metrics.path, run.checkpoints / "best.json", *sorted(newest.iterdir())]
    files += sorted((run.path / "translations").iterdir())
    result = json.loads((run.path / "result.json").read_bytes())
    del result["cost"]
    return {str(f.relative_to(run.path)): f.read_bytes() for f in files} | {
        "result": json.dumps(result).encode()
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> RunDirectory:
    return train(tmp_path_factory.mktemp("run"), cache)


def test_a_finished_run_has_everything_its_directory_promises(undisturbed: RunDirectory) -> None:
    assert undisturbed.status().state == "done"
    result = undisturbed.result()
    assert result is not None
    # The third is the leak alarm's, which costs nothing where a split is both scored and translated.
    assert set(result["metrics"]) == {"test/nll", "test/exact_match", "test/forced_gap"}
    assert result["averaged_steps"] == []
    assert result["selected_step"] in (4, 8, 12)
    assert result["cost"]["tokens_per_second"] > 0 and result["cost"]["peak_memory_mb"] > 0
    assert [entry["mask"] for entry in result["masks"]] == ["tokens"]
    assert sorted(undisturbed.translations("test")) == list(range(7))
    assert list(undisturbed.path.glob("events.out.tfevents.*"))


def test_metrics_are_logged_at_fixed_steps_without_any_clock(undisturbed: RunDirectory) -> None:
    lines = undisturbed.metrics.read()
    assert [line["step"] for line in lines if "train/nll" in line] == list(range(1, STEPS + 1))
    assert [line["step"] for line in lines if "valid/nll" in line] == [4, 8, 12]
    assert lines[-1]["step"] == STEPS and "test/nll" in lines[-1]
    assert all("mask/ratio/encoder_input-tokens-0" in line for line in lines if "train/nll" in line)
    assert not any("second" in key or "time" in key for line in lines for key in line)


def test_a_run_that_learns_has_a_falling_loss(undisturbed: RunDirectory) -> None:
    losses = [line["train/nll"] for line in undisturbed.metrics.read() if "train/nll" in line]
    assert sum(losses[-3:]) < sum(losses[:3])


def test_the_best_checkpoint_is_the_one_with_the_least_validation_loss(undisturbed: RunDirectory) -> None:
    values = {line["step"]: line["valid/nll"] for line in undisturbed.metrics.read() if "valid/nll" in line}
    assert json.loads((undisturbed.checkpoints / "best.json").read_text()) == {
        "step": min(values, key=lambda step: values[step]),
        "metric": "valid/nll",
        "value": min(values.values()),
    }


def test_repeating_a_run_gives_the_same_bytes(undisturbed: RunDirectory, tmp_path: Path, cache: Path) -> None:
    assert final_bytes(train(tmp_path, cache)) == final_bytes(undisturbed)


@pytest.mark.parametrize("kills", [[1], [5], [7], [4, 9], [11], [12]])
def test_a_killed_and_resumed_run_ends_in_the_same_bytes(
    undisturbed: RunDirectory, tmp_path: Path, cache: Path, kills: list[int]
) -> None:
    for step in kills:
        killed = train(tmp_path, cache, stop_after=step)
        assert killed.result() is None
    assert final_bytes(train(tmp_path, cache)) == final_bytes(undisturbed)


def train_and_tell_the_parent(path: str, cache: str, pipe: Connection) -> None:
    """Train in a process of its own; it is killed by SIGKILL in the middle of what follows a report."""
    train(Path(path), Path(cache), report=lambda progress: pipe.send(progress.step))


EVERY_KIND = [
    {
        "site": "encoder_input",
        "mask": "tokens",
        "refresh": {"per": "example"},
        "options": {"ratio": {"linear": [0.4, 0.1]}},
    },
    {
        "site": "encoder_self",
        "mask": "random_sparse",
        "refresh": {"per": "step"},
        "options": {"density": 0.6},
    },
    {"site": "decoder_self", "mask": "transform", "options": {"map": "convolution"}},
    {"site": "cross", "mask": "topk", "options": {"k": 3}},
    {
        "site": "loss",
        "mask": "loss_tokens",
        "refresh": {"per": "example", "variants": 2},
        "options": {"ratio": 0.2},
    },
]


def test_a_run_in_bfloat16_with_masks_of_every_kind_resumes_to_the_same_bytes(
    tmp_path: Path, cache: Path
) -> None:
    settings: dict[str, Any] = {"masks": EVERY_KIND, "precision": "bfloat16"}
    whole = train(tmp_path / "whole", cache, **settings)
    train(tmp_path / "killed", cache, stop_after=7, **settings)
    resumed = train(tmp_path / "killed", cache, **settings)
    assert final_bytes(resumed) == final_bytes(whole)


PLATEAU = {"plateau": [0.5, 0.1, 3]}
MOVING = [
    {"site": "encoder_input", "mask": "tokens", "refresh": {"per": "example"}, "options": {"ratio": PLATEAU}},
    {"site": "decoder_self", "mask": "transform", "freeze_at": 0.5, "options": {}},
]


def test_a_run_with_two_views_a_plateau_and_a_frozen_mask_resumes_to_the_same_bytes(
    tmp_path: Path, cache: Path
) -> None:
    settings: dict[str, Any] = {"masks": MOVING, "rdrop": 2.0, "valid_every": 2, "lr": 0.3}
    whole = train(tmp_path / "whole", cache, **settings)
    for step in (5, 9):
        train(tmp_path / "killed", cache, stop_after=step, **settings)
    resumed = train(tmp_path / "killed", cache, **settings)
    assert final_bytes(resumed) == final_bytes(whole)
    values = [line["valid/nll"] for line in whole.metrics.read() if "valid/nll" in line]
    # At this rate the validation stalls, so that the schedule has moved.
    assert min(values) != values[-1]
    ratios = [
        line["mask/ratio/encoder_input-tokens-0"] for line in whole.metrics.read() if "train/nll" in line
    ]
    assert sum(ratios[-2:]) < sum(ratios[:2])


def test_a_frozen_mask_keeps_what_it_had_learned_by_then(tmp_path: Path, cache: Path) -> None:
    trainer = make_trainer(config(masks=MOVING), load_corpus(config().corpus, cache), 3)
    learned = dict(trainer.model.masks.named_parameters())
    trace = []
    for step in range(STEPS):
        trainer.step(step)
        trace.append({name: p.detach().clone() for name, p in learned.items()})
    half = STEPS // 2
    for name in learned:
        assert not torch.equal(trace[half][name], trace[0][name])
        assert all(torch.equal(later[name], trace[half][name]) for later in trace[half:])


def test_the_proof_of_a_trained_run_counts_its_visits(tmp_path: Path, cache: Path) -> None:
    ratio, twice = {"ratio": 0.4}, {"per": "example", "variants": 2}
    placed = [{**EVERY_KIND[0], "options": ratio, "refresh": twice}, EVERY_KIND[1]]
    run = train(tmp_path, cache, masks=placed, epochs=3)
    tokens, pattern = json.loads((run.path / "result.json").read_bytes())["masks"]
    # The corpus has 60 pairs: each is seen three times and meets two draws.
    assert (tokens["visits"], tokens["draws"], tokens["most_patterns_of_one_example"]) == (180, 120, 2)
    n_steps = max(line["step"] for line in run.metrics.read())
    assert pattern["draws"] == pattern["distinct"] == n_steps


def test_sigkill_at_a_moment_nobody_chose_loses_nothing_that_counts(
    undisturbed: RunDirectory, tmp_path: Path, cache: Path
) -> None:
    here, there = multiprocessing.Pipe()
    arguments = (str(tmp_path), str(cache), there)
    child = multiprocessing.get_context("spawn").Process(target=train_and_tell_the_parent, args=arguments)
    child.start()
    while here.recv() < 7:
        pass
    child.kill()
    child.join()
    assert RunDirectory(tmp_path / "seed-3").status().state in ("interrupted", "done")
    assert final_bytes(train(tmp_path, cache)) == final_bytes(undisturbed)


def test_a_kill_leaves_the_directory_as_it_was_at_that_instant(tmp_path: Path, cache: Path) -> None:
    run = train(tmp_path, cache, stop_after=7)
    assert json.loads((run.path / "status.json").read_text())["state"] == "running"
    assert [c.step for c in scan_checkpoints(run.checkpoints).valid] == [5, 4]
    assert run.metrics.read()[-1]["step"] == 7


def test_a_damaged_checkpoint_is_reported_and_the_one_before_it_used(
    undisturbed: RunDirectory, tmp_path: Path, cache: Path
) -> None:
    run = train(tmp_path, cache, stop_after=7)
    weights = run.checkpoints / "step-000005" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    heard: list[Progress] = []
    train(tmp_path, cache, report=heard.append)
    assert any("step-000005" in p.message and "damaged" in p.message for p in heard)
    assert next(p.step for p in heard if p.state == "training") == 5
    assert final_bytes(run) == final_bytes(undisturbed)


def test_a_stop_between_steps_saves_where_the_run_stands(
    undisturbed: RunDirectory, tmp_path: Path, cache: Path
) -> None:
    heard: list[Progress] = []
    job = RunJob("demo", None, "dynamic", 3, config(), tmp_path / "seed-3", cache)
    assert loop.train_run(job, heard.append, lambda: heard[-1].step == 6) == "interrupted"
    assert [p.step for p in heard if p.state == "training"] == [1, 2, 3, 4, 5, 6]
    run = RunDirectory(tmp_path / "seed-3")
    assert run.status().state == "interrupted"
    assert scan_checkpoints(run.checkpoints).valid[0].step == 6
    assert final_bytes(train(tmp_path, cache)) == final_bytes(undisturbed)


def test_lost_metrics_are_refused_rather_than_papered_over(tmp_path: Path, cache: Path) -> None:
    run = train(tmp_path, cache, stop_after=7)
    run.metrics.truncate(10)
    with pytest.raises(RunDirectoryError, match="were logged"):
        train(tmp_path, cache)
    assert run.status().state == "failed"


def test_a_finished_run_is_left_alone(undisturbed: RunDirectory, tmp_path: Path, cache: Path) -> None:
    shutil.copytree(undisturbed.path, tmp_path / "seed-3")
    heard: list[Progress] = []
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.json*")}
    train(tmp_path, cache, report=heard.append)
    assert [p.state for p in heard] == ["done"]
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.json*")} == before


def test_another_configuration_is_refused_by_name(
    undisturbed: RunDirectory, tmp_path: Path, cache: Path
) -> None:
    shutil.copytree(undisturbed.path, tmp_path / "seed-3")
    with pytest.raises(RunDirectoryError, match=r"train\.lr 0\.01 -> 0\.02"):
        train(tmp_path, cache, lr=0.02)
    assert RunDirectory(tmp_path / "seed-3").status().state == "done"


def test_a_foreign_run_that_is_not_over_keeps_its_state(tmp_path: Path, cache: Path) -> None:
    run = train(tmp_path, cache, stop_after=5)
    before = (run.path / "status.json").read_bytes()
    with pytest.raises(RunDirectoryError, match="holds another run"):
        train(tmp_path, cache, clip=2.0)
    assert (run.path / "status.json").read_bytes() == before


def test_a_number_that_is_not_finite_ends_the_run_before_its_update(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison_weights_at(6, monkeypatch)
    heard: list[Progress] = []
    run = train(tmp_path, cache, report=heard.append)
    error = run.status().error
    assert run.status().state == "diverged" and run.result() is None
    assert error is not None and (error["step"], error["quantity"], error["value"]) == (6, "the loss", "nan")
    assert heard[-1].state == "diverged" and "step 6" in heard[-1].message
    assert [c.step for c in scan_checkpoints(run.checkpoints).valid] == [5, 4]
    assert run.metrics.read()[-1]["step"] == 5


def test_a_diverged_run_is_not_tried_again(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison_weights_at(6, monkeypatch)
    train(tmp_path, cache)
    heard: list[Progress] = []
    train(tmp_path, cache, report=heard.append)
    assert [p.state for p in heard] == ["diverged"]


def poison_weights_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the loss of update number `step` NaN."""
    backward = Objective.backward

    def poisoned(self: Objective, batch: Any, clock: Clock) -> Any:
        loss, nll = backward(self, batch, clock)
        return (loss * torch.nan, nll) if clock.step + 1 == step else (loss, nll)

    monkeypatch.setattr(Objective, "backward", poisoned)


def test_a_divergence_changes_no_weight(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poison_weights_at(2, monkeypatch)
    trainer = make_trainer(config(), load_corpus(config().corpus, cache), 3)
    trainer.step(0)
    before = [p.detach().clone() for p in trainer.model.parameters()]
    with pytest.raises(Diverged, match="the loss is nan at step 2"):
        trainer.step(1)
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True))


def test_an_error_is_recorded_and_raised(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Evaluation:
        raise OSError("no such device")

    monkeypatch.setattr(loop, "evaluate", broken)
    with pytest.raises(OSError):
        train(tmp_path, cache)
    run = RunDirectory(tmp_path / "seed-3")
    assert run.status().error == {"message": "no such device", "type": "OSError"}


def test_the_earlier_of_two_equal_validations_is_selected(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter([3.0, 2.0, 2.0])

    def fake(trainer: object, corpus: object, names: list[str], clock: Clock, by: object = ()) -> Evaluation:
        value = next(values, 9.0)
        return Evaluation(
            {name: value for name in names}, {}, {"test": [(0, "x")]} if "test/nll" in names else {}
        )

    monkeypatch.setattr(loop, "evaluate", fake)
    assert (train(tmp_path, cache).result() or {})["selected_step"] == 8


@pytest.mark.parametrize(("total", "every"), [(2000, 50), (999, 49), (200, 10), (12, 1), (1, 1)])
def test_short_runs_log_more_often(total: int, every: int) -> None:
    assert log_every(total) == every


def test_what_is_measured_when() -> None:
    assert validation_metrics(config()) == ["valid/nll", "valid/token_accuracy"]
    assert validation_metrics(config(select="valid/bleu"))[-1] == "valid/bleu"
    assert final_metrics(config()) == ["test/nll", "test/exact_match"]


def test_a_metric_of_translations_can_pick_the_checkpoint(tmp_path: Path, cache: Path) -> None:
    run = train(tmp_path, cache, select="valid/chrf")
    values = {line["step"]: line["valid/chrf"] for line in run.metrics.read() if "valid/chrf" in line}
    assert (run.result() or {})["selected_step"] == max(values, key=lambda step: values[step])
