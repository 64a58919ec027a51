from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_runs import arm_config, scored, write_run
from tensorboard.util.tensor_util import make_ndarray

from maskbench.files import write_atomically
from maskbench.pictures.mask_snapshots import render_grids_png
from maskbench.runs.directory import RunDirectory
from maskbench.tensorboard.events import list_event_files
from maskbench.tensorboard.sinks import JsonLinesSink, TensorBoardSink, rebuild_events


def events(path: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(path))
    accumulator.Reload()
    return accumulator


def test_a_metric_line_has_the_step_first_and_the_tags_sorted(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    JsonLinesSink(run.metrics).write(3, {"train/nll": 0.1 + 0.2, "train/lr": 1e-3})
    assert (
        run.metrics.path.read_bytes() == b'{"step": 3, "train/lr": 0.001, "train/nll": 0.30000000000000004}\n'
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_never_logged(tmp_path: Path, value: float) -> None:
    run = RunDirectory(tmp_path)
    with pytest.raises(ValueError):
        JsonLinesSink(run.metrics).write(3, {"train/nll": value})
    assert run.metrics.read() == []


def test_tensorboard_reads_the_scalars_back(tmp_path: Path) -> None:
    sink = TensorBoardSink(tmp_path)
    sink.write(5, {"train/nll": 2.5, "valid/nll": 3.5})
    sink.write(10, {"train/nll": 1.5})
    scalars = events(tmp_path).Scalars("train/nll")
    assert [(s.step, s.value) for s in scalars] == [(5, 2.5), (10, 1.5)]


def test_sample_translations_are_shown_verbatim(tmp_path: Path) -> None:
    pair = {"step": 7, "split": "test", "id": 4, "source": "<b>a</b> dog\nbarks", "reference": "# zwei"}
    TensorBoardSink(tmp_path).write_samples([{**pair, "hypothesis": "[drei](x)"}])
    found = events(tmp_path).Tensors("samples/test")[0]
    assert found.step == 7
    assert found.tensor_proto.string_val[0].decode().splitlines() == [
        "    source       <b>a</b> dog barks",
        "    reference    # zwei",
        "    translation  [drei](x)",
        "    ",
    ]


def test_rebuilt_events_have_every_step_once(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    for step in (5, 10):
        JsonLinesSink(run.metrics).write(step, {"train/nll": step / 4})
    old = TensorBoardSink(tmp_path)
    for step in (5, 10, 15):
        old.write(step, {"train/nll": 99.0})
    sink = rebuild_events(run)
    sink.write(15, {"train/nll": 3.75})
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 1
    assert [(s.step, s.value) for s in events(tmp_path).Scalars("train/nll")] == [
        (5, 1.25),
        (10, 2.5),
        (15, 3.75),
    ]


def test_a_full_disk_switches_event_files_off_and_stops_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    sink = TensorBoardSink(blocked)
    sink.write(5, {"train/nll": 2.5})
    sink.write(6, {"train/nll": 2.5})
    assert sink.failure is not None and sink.failure.errno in (errno.ENOTDIR, errno.EEXIST)


def a_run_with_everything(path: Path) -> RunDirectory:
    run = RunDirectory(path / "fake" / "window" / "seed-3")
    write_run(run.path, arm_config("window", 2), 3, scored(0.5))
    for step in (5, 10):
        JsonLinesSink(run.metrics).write(step, {"train/nll": step / 4})
        run.timing.append({"step": step, "time": 1000.0 + step})
        run.histograms.append(
            {"step": step, "tag": "mask/parameters/x", "edges": [0.0, 1.0, 3.0], "counts": [2, step]}
        )
        write_atomically(
            run.picture("attention-cross", step), render_grids_png([[np.ones((2, 3), dtype=np.float32)]])
        )
    for number in (0, 1):
        told = {"source": f"s{number}", "reference": f"r{number}", "hypothesis": f"h{number}"}
        run.samples.append({"step": 10, "split": "test", "id": number, **told})
    return run


def test_a_second_rebuild_writes_the_same_bytes(tmp_path: Path) -> None:
    run = a_run_with_everything(tmp_path)
    rebuild_events(run)
    (first,) = list_event_files(run.path)
    before = first.read_bytes()
    rebuild_events(run)
    assert list_event_files(run.path) == [first] and first.read_bytes() == before


def test_a_rebuilt_file_shows_everything_that_lies_beside_it(tmp_path: Path) -> None:
    run = a_run_with_everything(tmp_path)
    rebuild_events(run)
    found = events(run.path)
    bars = [
        (event.step, make_ndarray(event.tensor_proto).tolist())
        for event in found.Tensors("mask/parameters/x")
    ]
    assert bars == [(step, [[0.0, 1.0, 2.0], [1.0, 3.0, float(step)]]) for step in (5, 10)]
    assert [event.step for event in found.Tensors("attention/cross")] == [5, 10]
    (samples,) = found.Tensors("samples/test")
    assert samples.step == 10 and samples.tensor_proto.string_val[0].count(b"source") == 2


def test_a_point_of_a_rebuilt_curve_has_the_time_at_which_its_step_was_done(tmp_path: Path) -> None:
    run = a_run_with_everything(tmp_path)
    JsonLinesSink(run.metrics).write(12, {"train/nll": 3.0})
    rebuild_events(run)
    assert [s.wall_time for s in events(run.path).Scalars("train/nll")] == [1005.0, 1010.0, 1010.0]


def test_a_tensorboard_that_saw_an_older_file_forgets_it(tmp_path: Path) -> None:
    """Both files lie there for a moment: what the later one says from step 0 on replaces the earlier."""
    for begun, value in ((100.0, 9.0), (200.0, 1.0)):
        sink = TensorBoardSink(tmp_path, begun)
        sink.write(5, {"train/nll": value})
    assert [(s.step, s.value) for s in events(tmp_path).Scalars("train/nll")] == [(5, 1.0)]
