"""Names with slices and foreign masks come through a comparison as they are: brackets are no markup, and count as text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from io import StringIO
from itertools import takewhile
from pathlib import Path

import pytest
from fake_runs import FakeRun, experiment, write
from rich.console import Console

from maskbench.cli.comparison.other_metrics import COMPACT_SELECTION, MetricSelection
from maskbench.cli.comparison.render import as_text, render_comparison
from maskbench.comparison.results import Comparison, ComparisonOptions
from maskbench.comparison.table import compare
from maskbench.comparison.text.json_document import to_json
from maskbench.config.schema.metrics import metric_name
from maskbench.errors import ConfigError
from maskbench.tensorboard.sinks import TensorBoardSink

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
    (found,) = compare([write(root, experiment(list(runs), 3), runs)], ComparisonOptions(metric=metric))
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


def shown(found: Comparison, width: int, detail: MetricSelection = COMPACT_SELECTION) -> dict[str, list[str]]:
    """Return the rows of the tables of other metrics by their captions, which stand two lines above a rule."""
    console = Console(file=StringIO(), width=width, color_system=None, _environ={})
    console.print(render_comparison(found, width, detail=detail))
    assert isinstance(console.file, StringIO)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert not any("…" in line or len(line) > width for line in lines)
    rules = [number for number, line in enumerate(lines) if line and not line.strip("─")][1:]
    rows: dict[str, list[str]] = {}
    for rule in rules:
        block = takewhile(lambda line: line and not line.startswith("exploratory"), lines[rule + 1 :])
        rows[lines[rule - 2]] = [re.split(r"  +", line)[0] for line in block]
    return rows


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_shows_the_metric_elsewhere_and_the_splits_others_and_counts_the_rest(
    tmp_path: Path, width: int
) -> None:
    found = compared(tmp_path)
    assert shown(found, width) == {
        "exact_match in % on other splits": ["test@none"],
        "other metrics on test": ["token_accuracy %"],
    }
    assert "not shown: 6 more slices (--slices)" in as_text([found])


@pytest.mark.parametrize("width", [80, 120])
def test_the_slices_of_the_compared_metric_are_shown(tmp_path: Path, width: int) -> None:
    assert shown(compared(tmp_path, "test/token_accuracy"), width) == {
        "other metrics on test": ["exact_match %"],
        "test/token_accuracy in % by slice": ["tag:noun", "tag:/adjective", "tag:bold red"],
    }


def test_what_is_not_shown_can_be_asked_for(tmp_path: Path) -> None:
    found = compared(tmp_path, "test/token_accuracy")
    unasked = shown(found, 80)
    metrics, slices = (
        shown(found, 80, MetricSelection(all_metrics=True)),
        shown(found, 80, MetricSelection(slices=True)),
    )
    assert metrics == {**unasked, "metrics on test@none": ["exact_match %"]}
    assert slices == {
        **unasked,
        "test/nll by slice": ["length:6-10"],
        "test/distractor_mass in % by slice": ["site:cross"],
        "test@none/token_accuracy in % by slice": ["tag:noun"],
    }
    assert "not shown: 1 more metric (--all-metrics), 3 more slices (--slices)" in as_text([found])


def test_beside_a_slice_stand_the_metrics_others_and_the_same_one_elsewhere(tmp_path: Path) -> None:
    names = [f"test/token_accuracy[{part}]" for part in ("tag:noun", "tag:verb", "length:1-5")]
    names += [
        "test@none/token_accuracy[tag:noun]",
        "test@none/token_accuracy[tag:verb]",
        "test/nll[tag:noun]",
    ]
    runs = {arm: [FakeRun(dict.fromkeys(names, 0.5), "o", "l")] * 2 for arm in ("none", "other")}
    directory = write(tmp_path, experiment(list(runs), 2), runs)
    (found,) = compare([directory], ComparisonOptions(metric=names[0]))
    assert shown(found, 80) == {
        "token_accuracy[tag:noun] in % on other splits": ["test@none"],
        "test/token_accuracy in % by slice": ["tag:verb", "length:1-5"],
    }
    assert "not shown: 2 more slices (--slices)" in as_text([found])


def test_many_splits_stand_below_each_other(tmp_path: Path) -> None:
    splits = ["test", *(f"noise-{percent}" for percent in (10, 20, 30))]
    metrics = {f"{split}/{name}": 0.5 for split in splits for name in ("token_accuracy", "nll")}
    runs = {arm: [FakeRun(metrics, "o", "l")] * 2 for arm in ("none", "other")}
    directory = write(tmp_path, experiment(list(runs), 2), runs)
    (found,) = compare([directory], ComparisonOptions(metric="test/token_accuracy"))
    assert shown(found, 80) == {
        "token_accuracy in % on other splits": splits[1:],
        "other metrics on test": ["nll"],
    }


def test_a_gap_that_nobody_asked_for_is_shown_where_there_is_one(tmp_path: Path) -> None:
    gaps = {"none": {"test/forced_gap": 0.0, "valid/forced_gap": 0.0}, "other": {"test/forced_gap": 0.01}}
    runs = {arm: [FakeRun({"test/bleu": 5.0, **gap}, "o", "l")] * 2 for arm, gap in gaps.items()}
    directory = write(tmp_path, experiment(list(runs), 2), runs)
    (found,) = compare([directory], ComparisonOptions(metric="test/bleu"))
    assert shown(found, 80) == {"other metrics on test": ["forced_gap %"]}


def test_what_nobody_measured_is_told_by_splits_and_metrics(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        compared(tmp_path, "test/token_acuracy[tag:noun]")
    assert str(error.value) == (
        "no run has measured the metric 'test/token_acuracy[tag:noun]'; did you mean 'test/token_accuracy[tag:noun]'?"
        " (splits: test, test@none; metrics: distractor_mass, exact_match, nll, token_accuracy)"
    )


def test_shares_are_percentages_in_slices_and_under_other_masks_too(tmp_path: Path) -> None:
    assert "distractor_mass[site:cross] in %" in as_text(
        [compared(tmp_path, "test/distractor_mass[site:cross]")]
    )
    assert "nll[length:6-10] (lower" in as_text([compared(tmp_path / "2", "test/nll[length:6-10]")])


@pytest.mark.parametrize("metric", ["test/bleu", "test/bleu[length:6-10]", "test@none/bleu"])
def test_a_slice_was_computed_as_its_metric_was(tmp_path: Path, metric: str) -> None:
    runs = {
        arm: [FakeRun({metric: 30.0, "test/nll": 1.0}, "o", "l", signatures={"bleu": f"tok:{kind}"})] * 2
        for arm, kind in (("none", "13a"), ("other", "none"))
    }
    directory = write(tmp_path, experiment(["none", "other"], 2, metric="test/nll"), runs)
    with pytest.raises(ConfigError, match="computed in different ways"):
        compare([directory], ComparisonOptions(metric=metric))
    (found,) = compare([directory], ComparisonOptions())
    assert f"left out, because runs computed them in different ways: {metric}" in found.warnings


def test_tensorboard_keeps_the_names(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    TensorBoardSink(tmp_path).write(7, NAMES)
    read = EventAccumulator(str(tmp_path))
    read.Reload()
    assert set(read.Tags()["scalars"]) == set(NAMES)
