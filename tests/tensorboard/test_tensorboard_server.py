"""TensorBoard itself, started on the runs of a small quickstart, shows them."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fake_runs import scored, write_run

import maskbench.data
import maskbench.masks  # noqa: F401  (fills the registries)
from maskbench.config.load import dump_resolved, load_experiment
from maskbench.executors.local import LocalExecutor
from maskbench.experiment import PRELOAD
from maskbench.experiment.run import run_experiment
from maskbench.runs.directory import RunDirectory
from maskbench.tensorboard.refresh import refresh_overview
from maskbench.tensorboard.sinks import JsonLinesSink, rebuild_events

QUICKSTART = Path(__file__).parents[2] / "experiments" / "quickstart.yaml"
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
    assert run_experiment(experiment, runs, executor=LocalExecutor(2, preload=PRELOAD)).is_sound
    with serve(runs) as address:
        yield address


@contextmanager
def serve(runs: Path) -> Iterator[str]:
    """Start TensorBoard on a folder, and stop it again."""
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


def fetch(request: str | urllib.request.Request) -> Any:
    with urllib.request.urlopen(request, timeout=10) as answer:
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


ARMS = ("static", "dynamic")
RUNS = {f"quickstart/{arm}/seed-{seed}" for arm in ARMS for seed in (0, 1)}
MEANS = {f"quickstart/_aggregate/{arm}" for arm in ARMS}


def test_every_arm_and_seed_is_a_run_with_the_same_tags(server):
    tags = when_loaded(f"{server}/plugin/scalars/tags", len(RUNS | MEANS))
    assert set(tags) == RUNS | MEANS
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


def rows_of_settings(server: str, *columns: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the HParams page, filtered and sorted by the given columns."""
    asked = {
        "experimentName": "",
        "allowedStatuses": ["STATUS_SUCCESS"],
        "colParams": columns,
        "sliceSize": 99,
    }
    found: list[dict[str, Any]] = ask(server, "session_groups", asked)["sessionGroups"]
    return found


def ask(server: str, what: str, asked: dict[str, Any]) -> Any:
    headers = {"Content-Type": "application/json"}
    return fetch(
        urllib.request.Request(f"{server}/plugin/hparams/{what}", json.dumps(asked).encode(), headers)
    )


def test_an_arm_is_one_row_of_the_settings_page_with_the_mean_of_its_seeds(server):
    tags = when_loaded(f"{server}/plugin/scalars/tags", len(RUNS | MEANS))
    rows = {row["hparams"]["arm"]: row for row in rows_of_settings(server)}
    assert set(rows) == set(ARMS)
    for arm, row in rows.items():
        assert {session["name"] for session in row["sessions"]} == {run for run in RUNS if f"/{arm}/" in run}
        assert {session["status"] for session in row["sessions"]} == {"STATUS_SUCCESS"}
        means = {metric["name"]["tag"]: metric["value"] for metric in row["metricValues"]}
        assert "test/token_accuracy" in means and set(means) < {tag for run in RUNS for tag in tags[run]}
        seeds = [
            fetch(f"{server}/plugin/scalars/scalars?run={run}&tag=test/token_accuracy")
            for run in RUNS
            if arm in run
        ]
        assert means["test/token_accuracy"] == pytest.approx(sum(points[-1][2] for points in seeds) / 2)


def test_every_band_of_the_layout_has_its_three_curves_for_every_arm(server):
    when_loaded(f"{server}/plugin/scalars/tags", len(RUNS | MEANS))
    bands, _ = fetch(f"{server}/plugin/custom_scalars/layout")["category"]
    assert {"valid/nll", "train/nll"} < {chart["title"] for chart in bands["chart"]}
    for chart in bands["chart"]:
        (series,) = chart["margin"]["series"]
        wanted = [series[key] for key in ("value", "lower", "upper")]
        for run in MEANS:
            pattern = urllib.parse.quote("|".join(f"({re.escape(tag)})" for tag in wanted))
            curves = fetch(f"{server}/plugin/custom_scalars/scalars?run={run}&tag={pattern}")["tag_to_events"]
            mean, low, high = ([point[1:] for point in curves[tag]] for tag in wanted)
            assert [step for step, _ in mean] == [step for step, _ in low] == [step for step, _ in high] != []
            assert all(a[1] <= b[1] <= c[1] for a, b, c in zip(low, mean, high, strict=True))


def test_the_experiment_is_shown_as_text_and_attention_as_an_image(server):
    when_loaded(f"{server}/plugin/scalars/tags", len(RUNS | MEANS))
    (shown,) = fetch(f"{server}/plugin/text/text?run=quickstart&tag=experiment")
    assert "batch_tokens" in shown["text"]
    images = fetch(f"{server}/plugin/images/tags")
    assert all("attention/cross" in images[run] for run in RUNS)


PANELS = """\
name: lacking
corpus: {name: toydeen, pairs: 200}
train: {steps: 100}
panels:
  small: {model.d_model: 64}
  large: {model.d_model: 128}
arms:
  none: []
  longer: {masks: [], set: {train.epochs: 3}}
  frozen: {masks: [], train_only: ["decoder.*"]}
  narrow: [{site: encoder_self, mask: window, radius: 1}]
  widening: [{site: encoder_self, mask: window, radius: {linear: [1, 4]}}]
"""


@pytest.fixture(scope="module")
def lacking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server on two panels whose arms have settings that others lack."""
    root = tmp_path_factory.mktemp("lacking")
    (root / "lacking.yaml").write_text(PANELS)
    wanted = load_experiment(root / "lacking.yaml")
    for panel in wanted.panels:
        place = root / "runs" / "lacking" / str(panel.name)
        for arm in panel.arms:
            run = RunDirectory(place / arm.name / "seed-0")
            write_run(run.path, arm, 0, scored(0.5))
            JsonLinesSink(run.metrics).write(10, {"valid/nll": 1.0})
            rebuild_events(run)
        for folder in (place, place.parent):
            (folder / "experiment.yaml").write_text(dump_resolved(wanted), encoding="utf-8")
    refresh_overview(root / "runs" / "lacking")
    with serve(root / "runs") as address:
        when_loaded(f"{address}/plugin/scalars/tags", 10)
        yield address


def test_a_setting_that_only_some_arms_have_is_a_column_and_empty_in_the_other_rows(lacking):
    rows = [row["hparams"] for row in rows_of_settings(lacking)]
    infos = ask(lacking, "experiment", {"experimentName": ""})["hparamInfos"]
    assert all(info["differs"] for info in infos) and len(rows) == 10
    cells = {
        info["name"]: {(row["panel"], row["arm"]): row.get(info["name"]) for row in rows} for info in infos
    }
    arms = ("none", "longer", "frozen", "narrow", "widening")

    def by_arm(default: Any = None, **others: Any) -> dict[tuple[str, str], Any]:
        return {(panel, arm): others.get(arm, default) for panel in ("small", "large") for arm in arms}

    assert cells["train.epochs"] == by_arm(longer=3.0)
    assert cells["train.steps"] == by_arm(100.0, longer=None)
    assert cells["train_only"] == by_arm(frozen='["decoder.*"]')
    assert cells["encoder_self.window.radius"] == by_arm(narrow=1.0, widening='{"linear": [1, 4]}')
    assert cells["encoder_self.window.phases"] == by_arm(narrow="none", widening="none")
    assert {(row["panel"], row["model.d_model"]) for row in rows} == {("small", 64.0), ("large", 128.0)}
    assert not {"corpus.pairs", "model.d_ff", "train.lr"} & set(cells)


def test_rows_that_lack_a_setting_are_sorted_last_and_filtered_out_only_on_request(lacking):
    epochs = {"hparam": "train.epochs", "order": "ORDER_ASC"}
    assert [row["hparams"]["arm"] for row in rows_of_settings(lacking, epochs)][:2] == ["longer"] * 2
    only = {"hparam": "train.epochs", "filterInterval": {"minValue": 0.0, "maxValue": 9.0}}
    assert len(rows_of_settings(lacking, only)) == 10
    found = rows_of_settings(lacking, only | {"excludeMissingValues": True})
    assert [row["hparams"]["arm"] for row in found] == ["longer"] * 2
