"""What TensorBoard's HParams page is told about a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_runs import arm_config, scored, write_run
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, metadata

from maskbench.runs.directory import RunDirectory, RunStateName
from maskbench.tensorboard.hparams import group_name, make_session_end, settings
from maskbench.tensorboard.sinks import rebuild_events


def placement(site: str, mask: str, **options: Any) -> dict[str, Any]:
    refresh = {"per": "example", "variants": "unlimited"}
    return {
        "site": site,
        "mask": mask,
        "layers": [0, 1],
        "phases": None,
        "refresh": refresh,
        "options": options,
    }


def record(*masks: dict[str, Any], arm: str = "a", data: str = "d", **config: Any) -> dict[str, Any]:
    return {"arm": arm, "identity": {"config": {**config, "masks": list(masks)}, "data_sha256": data}}


def test_settings_are_numbers_or_texts_by_dotted_key() -> None:
    corpus = {"name": "toydeen", "options": {"pairs": 200}}
    model = {"d_model": 8, "tied": True, "dropout": 0.1}
    found = settings(record(corpus=corpus, model=model, train={"epochs": None}, streams="b"), "small")
    assert found == {
        "arm": "a",
        "masks": "none",
        "panel": "small",
        "corpus.name": "toydeen",
        "corpus.pairs": 200.0,
        "model.d_model": 8.0,
        "model.tied": "true",
        "model.dropout": 0.1,
        "train.epochs": "none",
        "streams": "b",
    }


def test_a_masks_options_are_settings_and_a_schedule_is_one_of_them() -> None:
    found = settings(record(placement("cross", "window", radius=3, ratio={"linear": [0.3, 0.1]})), "x")
    assert found["masks"] == "cross.window"
    assert found["cross.window.radius"] == 3.0
    assert found["cross.window.ratio"] == '{"linear": [0.3, 0.1]}'
    assert found["cross.window.layers"] == "[0, 1]"
    assert (found["cross.window.phases"], found["cross.window.refresh.per"]) == ("none", "example")


def test_masks_that_stand_at_a_site_twice_are_numbered() -> None:
    twice = (placement("cross", "window", radius=3), placement("cross", "window", radius=5))
    found = settings(record(*twice, placement("cross", "full")), "x")
    assert found["masks"] == "cross.window-1, cross.window-2, cross.full"
    assert (found["cross.window-1.radius"], found["cross.window-2.radius"]) == (3.0, 5.0)


def test_a_group_is_an_arm_whatever_the_seed_and_never_another_arm() -> None:
    one = record(train={"lr": 0.1})
    assert group_name({**one, "seed": 1, "hash": "x"}, "p") == group_name(
        {**one, "seed": 2, "hash": "y"}, "p"
    )
    others = [
        (record(train={"lr": 0.1}, arm="twin"), "p"),
        (record(train={"lr": 0.2}), "p"),
        (record(train={"lr": 0.1}, data="e"), "p"),
        (one, "q"),
    ]
    assert len({group_name(one, "p"), *(group_name(other, place) for other, place in others)}) == 5
    assert group_name(one, "p").startswith("a-")


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("done", api_pb2.STATUS_SUCCESS),
        ("failed", api_pb2.STATUS_FAILURE),
        ("diverged", api_pb2.STATUS_FAILURE),
        ("running", None),
        ("interrupted", None),
        ("planned", None),
    ],
)
def test_only_an_end_closes_a_run(state: RunStateName, status: int | None) -> None:
    entry = make_session_end(state, 12.5)
    if status is None:
        assert entry is None
        return
    assert entry is not None
    info = metadata.parse_session_end_info_plugin_data(entry.metadata.plugin_data.content)
    assert (info.status, info.end_time_secs) == (status, 12.5)


def test_the_records_lie_in_the_runs_own_event_file(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "fake" / "window" / "seed-3")
    write_run(run.path, arm_config("window", 2), 3, scored(0.5))
    rebuild_events(run)
    accumulator = EventAccumulator(str(run.path))
    accumulator.Reload()
    contents = accumulator.PluginTagToContent("hparams")
    assert set(contents) == {metadata.SESSION_START_INFO_TAG, metadata.SESSION_END_INFO_TAG}
    start = metadata.parse_session_start_info_plugin_data(contents[metadata.SESSION_START_INFO_TAG])
    assert start.hparams["arm"].string_value == "window" and start.hparams["panel"].string_value == "fake"
    assert start.hparams["encoder_self.window.radius"].number_value == 2.0
    assert start.hparams["model.tied"].string_value == "true"
    assert "seed" not in start.hparams
