"""A metric of a plug-in that is not loaded is known by what the experiment's directory says of it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from maskbench.config.schema import metrics
from maskbench.config.schema.metrics import (
    RECORDS_FILE,
    MetricInfo,
    find_metric,
    metric_names,
    read_recorded_metrics,
    record_of,
    record_plugin_metrics,
)
from maskbench.errors import ConfigError
from maskbench.registry import METRICS


@pytest.fixture(autouse=True)
def nothing_is_recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(metrics, "_recorded", {})
    monkeypatch.setattr(METRICS, "_entries", dict(METRICS))
    return


class Loss(MetricInfo):
    higher_is_better = False
    unit = "points"
    low, high = -math.inf, 50.0
    description = "what is lost"
    source = "a test"
    needs = frozenset({"tags"})
    slices = ("length", "tag")
    decimals = 2
    sentence_numbers = 2


def write(folder: Path, **records: object) -> Path:
    (folder / RECORDS_FILE).write_text(json.dumps(records), encoding="utf-8")
    return folder / "experiment.yaml"


def test_a_record_gives_back_what_is_known(tmp_path: Path) -> None:
    read_recorded_metrics(write(tmp_path, loss=record_of(Loss())))
    found = find_metric("loss")
    for attribute in (
        "higher_is_better",
        "unit",
        "low",
        "high",
        "description",
        "source",
        "needs",
        "decimals",
    ):
        assert getattr(found, attribute) == getattr(Loss, attribute), attribute
    assert found.name == "loss" and set(found.slices) == set(Loss.slices)
    assert found.factor == 1 and found.least_decimals == 2
    assert found.is_ratio and found.score_counts(np.array([[3.0, 4.0]])).tolist() == [0.75]
    assert metric_names()[-1] == "loss"


def test_a_metric_that_is_no_ratio_is_recorded_without_its_sums() -> None:
    class Curve(Loss):
        sentence_numbers = 3

        def score_counts(self, counts: object) -> object:
            return counts

    assert not record_of(Curve())["is_ratio"]


def test_a_loaded_plugin_goes_before_the_record(tmp_path: Path) -> None:
    read_recorded_metrics(write(tmp_path, loss={**record_of(Loss()), "unit": "cents"}))
    assert find_metric("loss").unit == "cents"
    METRICS.register("loss")(Loss)
    assert find_metric("loss").unit == "points" and metric_names().count("loss") == 1


def test_only_metrics_of_plugins_are_recorded() -> None:
    METRICS.register("loss")(Loss)
    assert list(record_plugin_metrics(["nll", "loss", "bleu", "loss"])) == ["loss"]


def test_two_directories_that_disagree_are_told_apart(tmp_path: Path) -> None:
    file = write(tmp_path, loss=record_of(Loss()))
    read_recorded_metrics(file)
    read_recorded_metrics(file)
    write(tmp_path, loss={**record_of(Loss()), "higher_is_better": True})
    with pytest.raises(ConfigError, match="'loss' is described otherwise"):
        read_recorded_metrics(file)


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", '{"loss": 3}', '{"loss": {}}', '{"loss": {"higher_is_better": "yes"}}', "\xff"]
)
def test_a_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / RECORDS_FILE).write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=RECORDS_FILE):
        read_recorded_metrics(tmp_path / "experiment.yaml")
    assert "loss" not in metric_names()


def test_no_record_is_no_error(tmp_path: Path) -> None:
    read_recorded_metrics(tmp_path / "experiment.yaml")
    assert metric_names() == list(METRICS)
