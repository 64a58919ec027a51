"""Names with slices and foreign masks come through a comparison as they are: brackets are no markup, and count as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

import pytest
from fake_runs import FakeRun, experiment, write
from rich.console import Console

from maskbench.cli.render import as_text, renderables
from maskbench.comparison.document import to_json
from maskbench.comparison.results import Choices, Comparison
from maskbench.comparison.table import compare
from maskbench.config.metrics import metric_name
from maskbench.errors import ConfigError
from maskbench.runs.sinks import TensorBoardSink

NAMES = {
    "test/exact_match": 0.5,
    "test/token_accuracy": 0.75,
    # Rich would read these as the ends of markup, or as colours.
    "test/token_accuracy[tag:noun]": 0.25,
    "test/token_accuracy[tag:/adjective]": 0.35,
    "test/token_accuracy[tag:bold red]": 0.45,
    "test/nll[length:6-10]": 1.5,
    "test/distractor_mass[site:cross]": 0.125,
    "test@none/exact_match": 0.375,
    "test@none/token_accuracy[tag:noun]": 0.625,
}


def run(change: float, signatures: Mapping[str, str] | None = None) -> FakeRun:
    metrics = {name: value + change for name, value in NAMES.items()}
    return FakeRun(metrics, outputs=repr(change), losses=repr(change), signatures=signatures or {})


def compared(root: Path, metric: str | None = None) -> Comparison:
    runs = {"none": [run(0.001 * i) for i in range(3)], "other": [run(0.001 * i + 0.1) for i in range(3)]}
    (found,) = compare([write(root, experiment(list(runs), 3), runs)], Choices(metric=metric))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_each_can_be_the_one_that_is_compared(tmp_path: Path, name: str) -> None:
    found = compared(tmp_path, name)
    assert found.settings.metric == name and f"metric:{name}|" in found.signature
    assert [row.mean for row in found.rows] == [
        pytest.approx(NAMES[name] + shift) for shift in (0.001, 0.101)
    ]
    parts = metric_name(name)
    assert parts is not None and found.settings.info is parts.info and str(parts) == name
    assert name in as_text([found])


def test_the_json_document_holds_every_name(tmp_path: Path) -> None:
    arms = json.loads(to_json([compared(tmp_path)]))["arms"]
    others = arms[1]["other_metrics"]
    assert others.keys() == NAMES.keys() - {"test/exact_match"}
    assert others["test@none/token_accuracy[tag:noun]"]["difference_mean"] == pytest.approx(0.1)


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_shows_every_name_under_its_split(tmp_path: Path, width: int) -> None:
    console = Console(file=StringIO(), width=width, color_system=None, _environ={})
    console.print(renderables(compared(tmp_path), width))
    assert isinstance(console.file, StringIO)
    text = console.file.getvalue()
    assert "…" not in text and all(len(line) <= width for line in text.splitlines())
    blocks: dict[str, str] = {}
    for block in text.split("also measured on ")[1:]:
        caption, _, table = block.partition(",")
        blocks[caption] = blocks.get(caption, "") + table
    assert blocks.keys() == {"test", "test@none"}
    for name in NAMES.keys() - {"test/exact_match"}:
        split, _, shown = name.partition("/")
        assert shown in blocks[split], name


def test_shares_are_percentages_in_slices_and_under_other_masks_too(tmp_path: Path) -> None:
    text = as_text([compared(tmp_path)])
    assert "token_accuracy[tag:noun] %" in text and "distractor_mass[site:cross] %" in text
    assert "nll[length:6-10] %" not in text


@pytest.mark.parametrize("metric", ["test/bleu", "test/bleu[length:6-10]", "test@none/bleu"])
def test_a_slice_was_computed_as_its_metric_was(tmp_path: Path, metric: str) -> None:
    runs = {
        arm: [FakeRun({metric: 30.0, "test/nll": 1.0}, "o", "l", signatures={"bleu": f"tok:{kind}"})] * 2
        for arm, kind in (("none", "13a"), ("other", "none"))
    }
    directory = write(tmp_path, experiment(["none", "other"], 2, metric="test/nll"), runs)
    with pytest.raises(ConfigError, match="computed in different ways"):
        compare([directory], Choices(metric=metric))
    (found,) = compare([directory], Choices())
    assert f"left out, because runs computed them in different ways: {metric}" in found.warnings


def test_tensorboard_keeps_the_names(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    TensorBoardSink(tmp_path).write(7, NAMES)
    read = EventAccumulator(str(tmp_path))
    read.Reload()
    assert set(read.Tags()["scalars"]) == set(NAMES)
