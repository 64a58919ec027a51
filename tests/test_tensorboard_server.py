"""TensorBoard itself, started on the runs of a small quickstart, shows them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import maskbench.data
import maskbench.masks  # noqa: F401  (fills the registries)
from maskbench.config.load import load_experiment
from maskbench.executors.local import LocalExecutor
from maskbench.experiment import run_experiment

QUICKSTART = Path(__file__).parent.parent / "experiments" / "quickstart.yaml"
SMALL = (
    "seeds=[0, 1]",
    "corpus.pairs=200",
    "corpus.valid=20",
    "corpus.test=30",
    "model.d_model=16",
    "model.d_ff=16",
    "train.steps=8",
    "train.valid_every=4",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    runs = tmp_path_factory.mktemp("tensorboard") / "runs"
    experiment = load_experiment(QUICKSTART, overrides=SMALL, arms=["static", "dynamic"])
    assert run_experiment(experiment, runs, executor=LocalExecutor(2)).is_sound
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ["--logdir", str(runs), "--host", "127.0.0.1", "--port", str(port), "--load_fast", "false"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tensorboard.main", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}/data"
    finally:
        process.kill()
        process.wait()


def fetch(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def when_loaded(url: str, enough: int) -> Any:
    """Ask until the server is up and has read `enough` entries."""
    for _ in range(240):
        try:
            found = fetch(url)
            if len(found) >= enough:
                return found
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass
        time.sleep(0.25)
    raise AssertionError(f"{url} never had {enough} entries")


RUNS = {f"quickstart/{arm}/seed-{seed}" for arm in ("static", "dynamic") for seed in (0, 1)}


def test_every_arm_and_seed_is_a_run_with_the_same_tags(server):
    tags = when_loaded(f"{server}/plugin/scalars/tags", len(RUNS))
    assert set(tags) == RUNS
    common = {"train/nll", "train/loss", "train/lr", "valid/nll", "noise-mask-20/token_accuracy"}
    for run in RUNS:
        assert common | {"mask/ratio/encoder_input-tokens-0"} <= set(tags[run])


def test_a_curve_holds_every_validated_step_once(server):
    when_loaded(f"{server}/plugin/scalars/tags", len(RUNS))
    curve = fetch(f"{server}/plugin/scalars/scalars?run=quickstart/static/seed-1&tag=valid/nll")
    assert [step for _, step, _ in curve] == [4, 8]
    assert all(1 < value < 10 for _, _, value in curve)


def test_sample_translations_are_shown_as_text(server):
    tags = when_loaded(f"{server}/plugin/text/tags", len(RUNS))
    (tag,) = tags["quickstart/dynamic/seed-0"]
    (shown,) = fetch(f"{server}/plugin/text/text?run=quickstart/dynamic/seed-0&tag={tag}")
    assert shown["step"] == 8
    assert "the" in shown["text"]
