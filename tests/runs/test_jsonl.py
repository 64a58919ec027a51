"""Lines of a run's files with entries of the wrong kind are named by file and line, whoever reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_runs import arm_config, scored, write_run

from maskbench.errors import RunDirectoryError
from maskbench.runs.directory import RunDirectory
from maskbench.tensorboard.events import list_event_files
from maskbench.tensorboard.sinks import rebuild_events

GOOD: dict[str, dict[str, Any]] = {
    "metrics": {"step": 3, "train/nll": 1.5, "valid/nll": 2},
    "timing": {"step": 3, "seconds": 0.5, "time": 1e9},
    "samples": {"step": 3, "split": "test", "id": 0, "source": "a", "reference": "b", "hypothesis": "c"},
    "histograms": {"step": 3, "tag": "mask/x", "edges": [0, 0.5, 1], "counts": [2, 3]},
}
NO_STEPS = (None, "x", 1.5, -1, True, 2**63, [])
NO_NUMBERS = (None, "x", [], {}, True)
BAD = [
    *((name, {**line, "step": step}) for name, line in GOOD.items() for step in NO_STEPS),
    *((name, {key: x for key, x in line.items() if key != "step"}) for name, line in GOOD.items()),
    *(("metrics", {**GOOD["metrics"], "train/nll": value}) for value in NO_NUMBERS),
    *(("timing", {**GOOD["timing"], key: value}) for key in ("seconds", "time") for value in NO_NUMBERS),
    *(("samples", {**GOOD["samples"], key: 1}) for key in ("split", "source", "reference", "hypothesis")),
    *(("samples", {**GOOD["samples"], "id": value}) for value in ("0", None)),
    *(("samples", {k: x for k, x in GOOD["samples"].items() if k != key}) for key in ("split", "hypothesis")),
    *(("histograms", {**GOOD["histograms"], "edges": value}) for value in ([0, 1], 3, ["a", 1, 2])),
    *(("histograms", {**GOOD["histograms"], "counts": value}) for value in ([1], None, [1, None])),
    ("histograms", {**GOOD["histograms"], "tag": 3}),
    ("histograms", {k: x for k, x in GOOD["histograms"].items() if k != "edges"}),
]


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A finished run that logged a line of each kind and has its event file."""
    made = RunDirectory(tmp_path / "none" / "seed-0")
    write_run(made.path, arm_config("none", 0), 0, scored(0.5))
    for name, line in GOOD.items():
        (made.path / f"{name}.jsonl").write_text(json.dumps(line) + "\n")
    rebuild_events(made)
    return made


def test_lines_as_they_should_be_are_read(run: RunDirectory) -> None:
    for name, line in GOOD.items():
        assert getattr(run, name).read() == [line]


@pytest.mark.parametrize(("name", "line"), BAD)
def test_a_wrong_entry_is_named_and_costs_no_event_file(
    run: RunDirectory, name: str, line: dict[str, Any]
) -> None:
    with (run.path / f"{name}.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    before = {path: path.read_bytes() for path in list_event_files(run.path)}
    assert before
    with pytest.raises(RunDirectoryError, match=rf"{name}\.jsonl:2 is damaged: "):
        getattr(run, name).read()
    with pytest.raises(RunDirectoryError, match=rf"{name}\.jsonl:2 is damaged: "):
        rebuild_events(run)
    assert {path: path.read_bytes() for path in list_event_files(run.path)} == before


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_damage(run: RunDirectory, value: str) -> None:
    run.metrics.path.write_text(f'{{"step": 1, "train/nll": {value}}}\n')
    with pytest.raises(RunDirectoryError, match=r"metrics\.jsonl:1 is damaged: train/nll"):
        run.metrics.read()


@pytest.mark.parametrize("text", ["{}", '{"identity": []}', '{"identity": {"config": {"masks": [3]}}}'])
def test_a_record_without_its_entries_is_named(run: RunDirectory, text: str) -> None:
    (run.path / "run.json").write_text(text)
    with pytest.raises(RunDirectoryError, match=r"run\.json is damaged: "):
        rebuild_events(run)
    assert len(list_event_files(run.path)) == 1


@pytest.mark.parametrize(
    "text", ['{"state": 3}', '{"state": "running", "pid": "x"}', '{"state": "failed", "error": "why"}']
)
def test_a_status_with_wrong_entries_is_named(run: RunDirectory, text: str) -> None:
    import platform

    (run.path / "result.json").unlink()
    (run.path / "status.json").write_text(text.replace("}", f', "host": "{platform.node()}"}}'))
    with pytest.raises(RunDirectoryError, match=r"status\.json is damaged: "):
        run.status()
