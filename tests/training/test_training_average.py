"""Averaged weights: which steps count, what is evaluated, and that a kill changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from killed import train_until_killed
from safetensors.torch import load_file
from tiny_runs import STEPS, config

from maskbench.config.schema.experiment import TrainConfig
from maskbench.data import load_corpus
from maskbench.errors import RunDirectoryError
from maskbench.masks.clock import Clock
from maskbench.runs.directory import RunDirectory
from maskbench.training.evaluate import evaluate, final_metrics
from maskbench.training.job import RunJob
from maskbench.training.trainer import make_trainer
from maskbench.training.validations import average_weights, steps_to_average


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def train(path: Path, cache: Path, stop_after: int | None = None, average: int = 3) -> RunDirectory:
    settings = config(valid_every=2, average=average)
    job = RunJob("demo", None, "dynamic", 3, settings, path / "seed-3", cache)
    train_until_killed(job, stop_after)
    return RunDirectory(job.directory)


@pytest.mark.parametrize(
    ("total", "valid_every", "average", "steps"),
    [
        (12, 4, 1, ()),
        (12, 4, 2, (8, 12)),
        (12, 5, 2, (10, 12)),
        (12, 5, 9, (5, 10, 12)),
        (3, 5, 4, (3,)),
    ],
)
def test_the_last_validations_count(
    total: int, valid_every: int, average: int, steps: tuple[int, ...]
) -> None:
    assert steps_to_average(TrainConfig(valid_every=valid_every, average=average), total) == steps


def test_the_mean_of_the_last_weights_is_evaluated(tmp_path: Path, cache: Path) -> None:
    run = train(tmp_path, cache)
    result = run.result()
    assert result is not None and result["averaged_steps"] == [8, 10, 12]
    files = [load_file(run.checkpoints / f"step-{step:06d}" / "model.safetensors") for step in (8, 10, 12)]
    settings = config(valid_every=2, average=3)
    corpus = load_corpus(settings.corpus, cache)
    trainer = make_trainer(settings, corpus, seed=3)
    weights = {name: torch.stack([file[name] for file in files]).mean(0) for name in files[0]}
    trainer.model.load_state_dict(weights)
    clock = Clock.evaluation(STEPS, STEPS)
    found = evaluate(trainer, corpus, final_metrics(settings), clock).metrics
    assert result["metrics"]["test/nll"] == pytest.approx(found["test/nll"], abs=1e-5)
    trainer.model.load_state_dict(files[-1])
    last = evaluate(trainer, corpus, final_metrics(settings), clock).metrics
    assert abs(result["metrics"]["test/nll"] - last["test/nll"]) > 1e-3


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> RunDirectory:
    return train(tmp_path_factory.mktemp("whole"), cache)


@pytest.mark.parametrize("kills", [[9], [10], [8, 11], [12]])
def test_a_kill_changes_neither_the_weights_nor_the_result(
    whole: RunDirectory, tmp_path: Path, cache: Path, kills: list[int]
) -> None:
    for step in kills:
        assert train(tmp_path / "killed", cache, stop_after=step).result() is None
    resumed = train(tmp_path / "killed", cache)
    assert resumed.metrics.path.read_bytes() == whole.metrics.path.read_bytes()
    assert resumed.translations("test") == whole.translations("test")


def test_weights_that_are_not_there_are_missed(tmp_path: Path, cache: Path) -> None:
    run = train(tmp_path, cache)
    with pytest.raises(RunDirectoryError, match="step-000006"):
        average_weights(run.checkpoints, (6, 12))
