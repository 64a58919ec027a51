"""Means over seeds, the layout and the columns, as TensorBoard's own reader finds them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fake_runs import FakeRun, arm_config, experiment, scored, write, write_run
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import metadata as layout_metadata
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams import api_pb2, metadata

from maskbench.config.load import dump_resolved
from maskbench.config.schema.experiment import Experiment, PanelConfig
from maskbench.errors import ConfigError, RunDirectoryError
from maskbench.records.collect import collect_panel
from maskbench.records.locate import find_panels
from maskbench.runs.directory import RunDirectory
from maskbench.tensorboard.columns import differing
from maskbench.tensorboard.events import list_event_files
from maskbench.tensorboard.hparams import Setting
from maskbench.tensorboard.layout import list_mask_groups, make_layout, select_charted_tags
from maskbench.tensorboard.refresh import RefreshCounts, find_experiments, rebuild_all, refresh_overview
from maskbench.tensorboard.sinks import JsonLinesSink

CURVES = {
    "none": ([4.0, 2.0], [5.0, 1.0], [9.0, 3.0]),
    "window": ([3.0, 2.5], [3.5, 0.5], [2.5, 1.5]),
}
"""valid/nll at steps 10 and 20, seed by seed."""


def log(run: RunDirectory, values: Sequence[float], tag: str = "valid/nll") -> None:
    for step, value in zip((10, 20), values, strict=False):
        JsonLinesSink(run.metrics).write(step, {tag: value})


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    wanted = experiment(list(CURVES), 3)
    runs: dict[str, list[FakeRun | None]] = {arm: [scored(0.1 * i) for i in range(3)] for arm in CURVES}
    directory = write(tmp_path, wanted, runs)
    for arm, seeds in CURVES.items():
        for seed, values in enumerate(seeds):
            log(RunDirectory(directory / arm / f"seed-{seed}"), values)
            log(RunDirectory(directory / arm / f"seed-{seed}"), [0.0, 0.1 * seed], "test/exact_match")
    return directory


def read(directory: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(directory))
    accumulator.Reload()
    return accumulator


def points(directory: Path, tag: str) -> list[tuple[int, float]]:
    return [(s.step, s.value) for s in read(directory).Scalars(tag)]


def layout(directory: Path) -> dict[str, dict[str, Any]]:
    (event,) = read(directory).Tensors(layout_metadata.CONFIG_SUMMARY_TAG)
    found = Layout.FromString(event.tensor_proto.string_val[0])
    return {category.title: {chart.title: chart for chart in category.chart} for category in found.category}


def columns(directory: Path) -> Any:
    content = read(directory).PluginTagToContent("hparams")[metadata.EXPERIMENT_TAG]
    return metadata.parse_experiment_plugin_data(content)


def test_an_arm_is_a_run_of_its_own_with_mean_lowest_and_highest(finished: Path) -> None:
    assert refresh_overview(finished) == RefreshCounts(runs=0, arms=2)
    none, window = (finished / "_aggregate" / arm for arm in CURVES)
    assert points(none, "seeds_mean/valid/nll") == [(10, 6.0), (20, 2.0)]
    assert points(none, "seeds_lowest/valid/nll") == [(10, 4.0), (20, 1.0)]
    assert points(none, "seeds_highest/valid/nll") == [(10, 9.0), (20, 3.0)]
    assert points(window, "seeds_mean/valid/nll") == [(10, 3.0), (20, 1.5)]


def test_a_seeds_own_tags_are_not_among_those_of_an_arm(finished: Path) -> None:
    """TensorBoard reports every run that has one of a band's three tags but not all."""
    refresh_overview(finished)
    tags = read(finished / "_aggregate" / "none").Tags()["scalars"]
    assert tags and all(re.match("seeds_(mean|lowest|highest)/", tag) for tag in tags)


def test_a_step_that_a_seed_has_not_reached_is_left_out(finished: Path) -> None:
    log(RunDirectory(finished / "none" / "seed-0"), [])
    JsonLinesSink(RunDirectory(finished / "none" / "seed-0").metrics).write(30, {"valid/nll": 1.0})
    refresh_overview(finished)
    assert [step for step, _ in points(finished / "_aggregate" / "none", "seeds_mean/valid/nll")] == [10, 20]


def test_every_band_names_three_tags_that_every_arm_has(finished: Path) -> None:
    refresh_overview(finished)
    bands, means = layout(finished).values()
    assert list(bands) == list(means) == ["test/exact_match", "valid/nll"]
    for tag, chart in bands.items():
        (series,) = chart.margin.series
        assert (series.lower, series.value, series.upper) == (
            f"seeds_lowest/{tag}",
            f"seeds_mean/{tag}",
            f"seeds_highest/{tag}",
        )
        for arm in CURVES:
            present = set(read(finished / "_aggregate" / arm).Tags()["scalars"])
            assert {series.value, series.lower, series.upper} <= present
    (pattern,) = means["valid/nll"].multiline.tag
    assert re.match(pattern, "seeds_mean/valid/nll")
    assert not re.match(pattern, "seeds_mean/valid/nll[tag:x]") and not re.match(pattern, "valid/nll")


def test_a_number_that_was_logged_once_has_no_band() -> None:
    logged = ["test/exact_match", "valid/nll"]
    entry = make_layout(experiment(["none", "window"], 3), logged, {"valid/nll"})
    bands, means = Layout.FromString(entry.tensor.string_val[0]).category
    assert [chart.title for chart in bands.chart] == ["valid/nll"]
    assert [chart.title for chart in means.chart] == logged


def test_charts_are_of_what_is_compared_what_picks_and_how_training_went() -> None:
    wanted = experiment(["none", "window"], 3, metric="noise-drop-20/bleu")
    logged = ["train/lr", "valid/nll", "train/nll", "noise-drop-20/bleu", "test/bleu"]
    assert select_charted_tags(wanted, logged) == ["noise-drop-20/bleu", "valid/nll", "train/nll"]
    masks = ["mask/ratio/a-b-0", "mask/ratio/a-b-1", "mask/density/c", "mask/odd", "train/nll"]
    assert list_mask_groups(masks) == ["mask/density/", "mask/ratio/"]


def test_the_columns_are_what_differs_and_the_compared_metric_comes_first(finished: Path) -> None:
    refresh_overview(finished)
    found = columns(finished)
    infos = {info.name: info for info in found.hparam_infos}
    # `none` has no window, so all options of the only window are differences.
    own = {
        key.removeprefix("encoder_self.window.") for key in infos if key.startswith("encoder_self.window.")
    }
    assert "radius" in own and set(infos) == {"arm", "masks", *(f"encoder_self.window.{key}" for key in own)}
    assert all(info.differs for info in infos.values())
    assert [v.string_value for v in infos["arm"].domain_discrete.values] == ["none", "window"]
    assert next(metric.name.tag for metric in found.metric_infos) == "test/exact_match"
    assert {metric.name.tag for metric in found.metric_infos} == {"test/exact_match", "test/nll", "test/bleu"}


def test_values_of_one_kind_have_a_domain_and_mixed_ones_have_none(tmp_path: Path) -> None:
    arms = ["none", "window", "wide", "wider"]
    directory = write(tmp_path, experiment(arms, 1), {arm: [scored(0.5)] for arm in arms})
    refresh_overview(directory)
    info = {info.name: info for info in columns(directory).hparam_infos}["encoder_self.window.radius"]
    assert info.type == api_pb2.DATA_TYPE_FLOAT64
    assert (info.domain_interval.min_value, info.domain_interval.max_value) == (1.0, 3.0)
    schedule = arm_config("wide", 2)
    masks = (schedule.config.masks[0].model_copy(update={"options": {"radius": {"linear": [1, 4]}}}),)
    changed = schedule.model_copy(update={"config": schedule.config.model_copy(update={"masks": masks})})
    write_run(directory / "wide" / "seed-0", changed, 0, scored(0.5))
    refresh_overview(directory)
    info = {info.name: info for info in columns(directory).hparam_infos}["encoder_self.window.radius"]
    assert info.type == api_pb2.DATA_TYPE_STRING and info.WhichOneof("domain") is None


BASE: dict[str, Setting] = {"arm": "a", "masks": "none"}
ALWAYS: dict[str, list[Setting]] = {"arm": ["a"], "masks": ["none"]}


@pytest.mark.parametrize(
    ("runs", "columns"),
    [
        ([{"x": 1.0}, {"x": 2.0}], {"x": [1.0, 2.0]}),
        ([{"x": 1.0}, {"x": 1.0}], {}),
        ([{"x": 1.0}, {}], {"x": [1.0]}),
        ([{}, {"x": "only"}, {}], {"x": ["only"]}),
        ([{"x": 1.0}, {"x": "1.0"}], {"x": [1.0, "1.0"]}),
        ([{"x": 1.0}, {"x": 1.0}, {"y": "b", "x": 1.0}], {"y": ["b"]}),
        ([{"steps": 9.0}, {"epochs": 3.0}, {"steps": 9.0}], {"steps": [9.0], "epochs": [3.0]}),
        ([{"x": 1.0, "y": "b"}], {}),
        ([], {}),
    ],
)
def test_a_column_is_a_setting_with_several_values_or_one_that_some_runs_lack(
    runs: list[dict[str, Setting]], columns: dict[str, list[Setting]]
) -> None:
    assert differing([BASE | run for run in runs]) == ((ALWAYS if runs else {}) | columns)


def test_files_that_say_the_same_are_left_alone_and_changed_ones_replaced(finished: Path) -> None:
    refresh_overview(finished)
    files = sorted(finished.glob("_aggregate/*/events*")) + list_event_files(finished)
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in files}
    refresh_overview(finished)
    assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in files} == before
    log(RunDirectory(finished / "window" / "seed-2"), [7.0], "valid/other")
    refresh_overview(finished)
    assert len(list_event_files(finished / "_aggregate" / "window")) == 1
    assert points(finished / "_aggregate" / "window", "seeds_mean/valid/other") == [(10, 7.0)]


def test_an_arm_that_is_none_any_more_loses_its_means(finished: Path) -> None:
    refresh_overview(finished)
    only = experiment(["none"], 3)
    (finished / "experiment.yaml").write_text(dump_resolved(only), encoding="utf-8")
    refresh_overview(finished)
    assert [path.name for path in (finished / "_aggregate").iterdir()] == ["none"]


def test_panels_have_means_of_their_own_and_one_layout(tmp_path: Path) -> None:
    arms = tuple(arm_config(arm, i) for i, arm in enumerate(CURVES))
    panels = tuple(PanelConfig(name=name, arms=arms, baseline="none") for name in ("small", "large"))
    base = experiment(list(CURVES), 1)
    wanted = Experiment(name="fake", seeds=(0,), compare=base.compare, panels=panels)
    for place in ("fake", "fake/small", "fake/large"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "experiment.yaml").write_text(dump_resolved(wanted), encoding="utf-8")
    for panel, value in (("small", 1.0), ("large", 2.0)):
        run = tmp_path / "fake" / panel / "window" / "seed-0"
        write_run(run, arms[1], 0, scored(0.5))
        log(RunDirectory(run), [value])
    top = tmp_path / "fake"
    assert refresh_overview(top).arms == 2
    for panel, value in (("small", 1.0), ("large", 2.0)):
        assert points(top / panel / "_aggregate" / "window", "seeds_mean/valid/nll") == [(10, value)]
        assert not list_event_files(top / panel)
    assert len(list_event_files(top)) == 1
    assert {v.string_value for i in columns(top).hparam_infos for v in i.domain_discrete.values} >= {
        "small",
        "large",
    }
    assert find_experiments(top / "small")[1] == [top]  # part of an experiment: the whole is shown


def test_a_rebuild_deletes_every_event_file_and_writes_all_of_them(finished: Path) -> None:
    refresh_overview(finished)
    stale = [
        finished / place / "events.out.tfevents.1.old"
        for place in ("none/seed-0", "window/seed-2", "_aggregate/none", ".")
    ]
    for file in stale:
        file.write_bytes(b"rubbish")
    assert rebuild_all(finished) == RefreshCounts(runs=6, arms=2)
    assert not any(file.exists() for file in stale)
    assert points(finished / "none" / "seed-2", "valid/nll") == [(10, 9.0), (20, 3.0)]
    every = sorted(finished.rglob("events.out.tfevents.*"))
    assert len(every) == 6 + 2 + 1
    before = [file.read_bytes() for file in every]
    rebuild_all(finished)
    assert [file.read_bytes() for file in sorted(finished.rglob("events.out.tfevents.*"))] == before


def test_a_rebuild_is_refused_while_a_run_is_written(finished: Path) -> None:
    rebuild_all(finished)
    before = {file: file.read_bytes() for file in finished.rglob("events.out.tfevents.*")}
    with (
        RunDirectory(finished / "window" / "seed-1").lock(),
        pytest.raises(RunDirectoryError, match="seed-1 is busy"),
    ):
        rebuild_all(finished)
    (finished / "window" / "seed-1" / "result.json").unlink()
    RunDirectory(finished / "window" / "seed-1").write_status("running")
    with pytest.raises(RunDirectoryError, match="seed-1 is still training"):
        rebuild_all(finished)
    assert {file: file.read_bytes() for file in finished.rglob("events.out.tfevents.*")} == before


def test_means_are_no_arm_to_whoever_reads_the_experiment(finished: Path) -> None:
    refresh_overview(finished)
    (panel,) = find_panels(finished)
    assert {run.arm for run in panel.directory.runs()} == set(CURVES)
    assert not [remark for remark in collect_panel(panel).remarks if "_aggregate" in remark]


def test_a_folder_of_experiments_is_shown_whole_and_an_empty_one_is_an_error(finished: Path) -> None:
    assert find_experiments(finished.parent) == (finished.parent, [finished])
    assert find_experiments(finished) == (finished, [finished])
    with pytest.raises(ConfigError, match="no such directory"):
        find_experiments(finished / "nowhere")


def test_torch_is_not_needed(finished: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from maskbench.tensorboard.refresh import rebuild_all; "
        f"rebuild_all(Path({str(finished)!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
