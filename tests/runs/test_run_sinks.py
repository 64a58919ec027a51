from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from maskbench.runs.directory import RunDirectory
from maskbench.runs.sinks import JsonLinesSink, TensorBoardSink, rebuild_events


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
    sink = TensorBoardSink(tmp_path)
    sink.write_text(7, "samples/test", ["<b>ein</b> Hund\nbellt", "# zwei"])
    found = events(tmp_path).Tensors("samples/test")[0]
    assert found.tensor_proto.string_val[0].decode() == "    <b>ein</b> Hund bellt\n    # zwei"


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
