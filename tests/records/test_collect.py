"""Runs read from disk, whatever state they are in."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_runs import FakeRun, arm_config, experiment, scored, write, write_run

from maskbench.config.load import dump_resolved
from maskbench.config.schema.experiment import Experiment, PanelConfig
from maskbench.errors import ConfigError
from maskbench.records.collect import CollectedPanel, CollectedRun, collect_panel, format_seeds
from maskbench.records.locate import find_panels, newest_experiment

ARMS = ("none", "window")


def three_seeds() -> dict[str, list[FakeRun]]:
    return {arm: [scored(0.5 + 0.01 * seed) for seed in range(3)] for arm in ARMS}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write(tmp_path, experiment(ARMS, 3), {arm: list(runs) for arm, runs in three_seeds().items()})


def collected(directory: Path) -> CollectedPanel:
    (found,) = find_panels(directory)
    return collect_panel(found)


def cell_after(directory: Path, damage: Callable[[Path], object]) -> CollectedRun:
    """Damage one run, and return what is read of it; the others must be as they were."""
    damage(directory / "window" / "seed-1")
    cells = collected(directory).runs
    assert [key for key, cell in cells.items() if cell.state != "done"] in ([], [("window", 1)])
    return cells["window", 1]


def change(name: str, **entries: object) -> Callable[[Path], object]:
    """Return a function that overwrites entries of a run's JSON file."""

    def apply(run: Path) -> None:
        path = run / name
        path.write_text(json.dumps(json.loads(path.read_text()) | entries))

    return apply


def replace(name: str, text: str) -> Callable[[Path], object]:
    return lambda run: (run / name).write_text(text)


def test_finished_runs_are_read_with_what_they_measured(directory: Path) -> None:
    cells = collected(directory).runs
    assert {key: cell.state for key, cell in cells.items()} == {
        (a, s): "done" for a in ARMS for s in range(3)
    }
    outcome = cells["window", 2].result
    assert outcome is not None
    assert outcome.metrics["test/exact_match"] == 0.52
    assert (outcome.parameters, outcome.peak_memory_mb) == (812_000, 410.0)


def test_reading_changes_nothing(directory: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*")}
    collected(directory)
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*")} == before


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (replace("result.json", '{"metrics": {"test/exa'), "damaged"),
        (replace("result.json", "[1, 2]"), "damaged"),
        (replace("result.json", ""), "damaged"),
        (replace("result.json", "[" * 100_000), "damaged"),
        (replace("run.json", "\x00"), "damaged"),
        (replace("status.json", "{"), "damaged"),
        (
            change("result.json", metrics={"test/exact_match": "0.9"}),
            "'0.9' stands where a finite number should",
        ),
        (change("result.json", metrics={"test/exact_match": float("nan")}), "nan stands where"),
        (change("result.json", metrics={"test/exact_match": True}), "True stands where"),
        (change("result.json", metrics=[0.9]), "damaged"),
        (change("result.json", metrics=None), "damaged"),
        (change("run.json", identity={}), "the entry 'data_sha256' is missing"),
        (change("run.json", seed=0), "foreign: run.json says it is arm window, seed 0"),
        (change("run.json", arm="none"), "foreign: run.json says it is arm none, seed 1"),
        (lambda run: (run / "run.json").unlink(), "run.json is missing"),
        (lambda run: (run / "result.json").unlink() or (run / "result.json").mkdir(), ""),
    ],
)
def test_a_damaged_run_is_kept_with_its_reason(
    directory: Path, damage: Callable[[Path], object], reason: str
) -> None:
    cell = cell_after(directory, damage)
    assert cell.state == "failed"
    assert reason in cell.reason and cell.reason


def test_a_run_of_other_settings_is_foreign_and_names_the_first_difference(directory: Path) -> None:
    other = arm_config("window", 7)
    cell = cell_after(directory, lambda run: write_run(run, other, 1, scored(0.5)))
    assert cell.state == "failed"
    assert cell.reason.startswith(
        "foreign: its settings are not those of experiment.yaml (masks[0].options.radius 7"
    )


@pytest.mark.parametrize(
    ("state", "read", "reason"),
    [
        ("planned", "waiting", "not started"),
        ("running", "waiting", "still running"),
        ("interrupted", "waiting", "interrupted; `maskbench run` goes on where it stopped"),
        ("failed", "failed", "failed: CUDA error: out of memory"),
        ("diverged", "diverged", "diverged: CUDA error: out of memory"),
    ],
)
def test_unfinished_runs_have_a_state_and_a_reason(
    directory: Path, state: str, read: str, reason: str
) -> None:
    def unfinish(run: Path) -> None:
        shutil.rmtree(run)
        message = "Traceback (most recent call last):\n  ...\nCUDA error: out of memory\n"
        write_run(run, arm_config("window", 1), 1, scored(0.5).with_(state=state, message=message))

    cell = cell_after(directory, unfinish)
    assert (cell.state, cell.reason) == (read, reason)


def test_a_run_whose_process_is_gone_is_interrupted(directory: Path) -> None:
    gone = {"state": "running", "pid": 2**22 + 1, "host": os.uname().nodename, "started": 1.0}

    def kill(run: Path) -> None:
        (run / "result.json").unlink()
        (run / "status.json").write_text(json.dumps(gone))

    assert cell_after(directory, kill).reason.startswith("interrupted")


def test_a_run_without_a_folder_is_not_started(directory: Path) -> None:
    assert cell_after(directory, shutil.rmtree).reason == "not started"


def test_runs_nobody_asked_for_are_named(directory: Path) -> None:
    for place in ("none/seed-7", "none/seed-8", "stray/seed-0"):
        write_run(directory / place, arm_config("none", 0), 7, scored(0.9))
    found = collected(directory)
    assert found.remarks == (
        "left out: none, seeds 7-8, which experiment.yaml does not ask for",
        "left out: stray, seed 0, which experiment.yaml does not ask for",
    )
    assert len(found.runs) == 6


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"relative_step_time": {"none": "fast"}}', '{"relative_step_time": 3}']
)
def test_a_damaged_cost_measurement_is_a_remark(directory: Path, text: str) -> None:
    (directory / "cost.json").write_text(text)
    (remark,) = collected(directory).remarks
    assert remark.startswith("the cost measurement cannot be read")


@pytest.mark.parametrize(
    ("seeds", "words"),
    [([3], "seed 3"), ([0, 1, 2], "seeds 0-2"), ([9, 0, 2, 1], "seeds 0-2, 9"), ([1, 3], "seeds 1, 3")],
)
def test_seeds_in_words(seeds: list[int], words: str) -> None:
    assert format_seeds(seeds) == words


class TestLocating:
    def with_panels(self, root: Path) -> Experiment:
        """Write an experiment of two panels, each a folder with the experiment's file."""
        plain = experiment(ARMS, 3, name="paneled")
        arms = plain.panels[0].arms
        panels = tuple(PanelConfig(name=name, arms=arms, baseline="none") for name in ("small", "large"))
        wanted = plain.model_copy(update={"panels": panels})
        for panel in panels:
            place = root / "paneled" / str(panel.name)
            place.mkdir(parents=True)
            (place / "experiment.yaml").write_text(dump_resolved(wanted))
        return wanted

    def test_an_experiment_gives_all_its_panels(self, tmp_path: Path) -> None:
        self.with_panels(tmp_path)
        found = find_panels(tmp_path / "paneled")
        assert sorted(str(f.panel.name) for f in found) == ["large", "small"]
        assert sorted(f.directory.path.name for f in found) == ["large", "small"]

    def test_a_panel_gives_itself(self, tmp_path: Path) -> None:
        self.with_panels(tmp_path)
        (found,) = find_panels(tmp_path / "paneled" / "large")
        assert (found.panel.name, found.directory.path) == ("large", tmp_path / "paneled" / "large")

    def test_a_file_at_the_top_gives_all_panels_too(self, tmp_path: Path) -> None:
        wanted = self.with_panels(tmp_path)
        (tmp_path / "paneled" / "experiment.yaml").write_text(dump_resolved(wanted))
        assert [f.directory.path.name for f in find_panels(tmp_path / "paneled")] == ["small", "large"]

    @pytest.mark.parametrize("inside", ["none", "none/seed-0"])
    def test_a_part_of_an_experiment_points_to_the_whole(self, directory: Path, inside: str) -> None:
        with pytest.raises(ConfigError, match=f"compare the whole: maskbench compare .*{directory.name}"):
            find_panels(directory / inside)

    def test_a_folder_of_experiments_lists_them(self, directory: Path) -> None:
        with pytest.raises(ConfigError, match=r"several experiments \(fake\); name one"):
            find_panels(directory.parent)

    def test_nothing_at_all_says_what_to_run(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="`maskbench run FILE`"):
            find_panels(tmp_path)
        with pytest.raises(ConfigError, match=r"no such directory.*`maskbench run FILE`"):
            find_panels(tmp_path / "missing")
        with pytest.raises(ConfigError, match=r"does not exist.*`maskbench run FILE`"):
            newest_experiment(tmp_path / "missing")

    def test_a_file_is_not_a_directory(self, directory: Path) -> None:
        with pytest.raises(ConfigError, match="is a file"):
            find_panels(directory / "experiment.yaml")

    def test_a_damaged_experiment_file_is_an_error_and_no_traceback(self, directory: Path) -> None:
        (directory / "experiment.yaml").write_text("name: [")
        with pytest.raises(ConfigError, match=r"experiment\.yaml"):
            find_panels(directory)

    def test_the_newest_experiment_is_the_one_with_the_latest_result(self, tmp_path: Path) -> None:
        old, new = (
            write(tmp_path, experiment(ARMS, 3, name=n), dict(three_seeds())) for n in ("zebra", "ant")
        )
        for path in tmp_path.rglob("*"):
            os.utime(path, (1_000, 1_000))
        os.utime(new / "window" / "seed-2" / "result.json", (2_000, 2_000))
        assert newest_experiment(tmp_path) == new
        os.utime(old / "experiment.yaml", (3_000, 3_000))
        assert newest_experiment(tmp_path) == old


@pytest.mark.parametrize("key", ["outputs_sha256", "train_nll_sha256"])
@pytest.mark.parametrize("value", [[], {}, 3])
def test_a_hash_that_is_no_text_is_damage(directory: Path, key: str, value: object) -> None:
    def damage(run: Path) -> None:
        result = json.loads((run / "result.json").read_text())
        (run / "result.json").write_text(json.dumps({**result, key: value}))

    cell = cell_after(directory, damage)
    assert cell.state == "failed" and f"damaged: {key}" in cell.reason
