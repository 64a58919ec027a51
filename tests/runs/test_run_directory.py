from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from maskbench.errors import RunDirectoryError
from maskbench.runs.directory import ExperimentDirectory, RunDirectory
from maskbench.runs.identity import Identity, SoftwareEnvironment, build_run_record, read_git_state

CONFIG: dict[str, Any] = {
    "train": {"lr": 1e-3, "steps": 7},
    "masks": [{"site": "cross", "mask": "window", "options": {"radius": 2}}],
}
ORIGIN = SoftwareEnvironment(versions={"python": "3.11"}, environment={"threads": 1})


def identity(config: dict[str, Any] = CONFIG, data: str = "ab") -> Identity:
    return Identity(config, data)


def opened(path: Path, who: Identity) -> RunDirectory:
    run = RunDirectory(path / "none" / "seed-3")
    run.claim(build_run_record(who, arm="none", seed=3, provenance=ORIGIN), who)
    return run


def changed(key: str, value: object) -> dict[str, Any]:
    return {**CONFIG, "train": {**CONFIG["train"], key: value}}


def test_the_hash_changes_with_config_data_and_results_version_only() -> None:
    variants = [identity(), identity(changed("lr", 3e-4)), identity(data="cd"), Identity(CONFIG, "ab", 99)]
    assert len({v.hash for v in variants}) == 4
    assert identity().hash == identity(json.loads(json.dumps(CONFIG))).hash


def test_a_run_directory_is_opened_again_by_the_same_run(tmp_path: Path) -> None:
    first, again = opened(tmp_path, identity()), opened(tmp_path, identity())
    assert first.record() == again.record()
    assert (first.seed, first.arm) == (3, "none")


def test_a_foreign_directory_is_refused_and_the_differing_keys_are_named(tmp_path: Path) -> None:
    opened(tmp_path, identity())
    config = changed("lr", 3e-4) | {"masks": [{**CONFIG["masks"][0], "options": {"radius": 4}}]}
    with pytest.raises(RunDirectoryError) as caught:
        opened(tmp_path, identity(config, data="cd"))
    text = str(caught.value)
    assert "train.lr 0.001 -> 0.0003" in text
    assert "masks[0].options.radius 2 -> 4" in text
    assert 'the content of the corpus (sha256) "ab" -> "cd"' in text
    assert "steps" not in text
    assert caught.value.exit_code == 5


def test_a_key_that_only_one_side_has_is_shown_as_absent() -> None:
    recorded = identity().to_json()
    assert identity(changed("clip", 1.0)).differences(recorded) == ["train.clip absent -> 1.0"]


def test_a_run_without_files_is_planned(tmp_path: Path) -> None:
    assert RunDirectory(tmp_path / "seed-0").status().state == "planned"


def test_a_running_run_of_this_process_is_running(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "seed-0")
    run.write_status("running")
    assert run.status().state == "running"
    assert run.status().pid == os.getpid()


def test_a_running_run_whose_process_is_gone_is_interrupted(tmp_path: Path) -> None:
    code = "import sys; from maskbench.runs.directory import *; RunDirectory(Path(sys.argv[1])).write_status('running')"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "seed-0")], check=True)
    assert RunDirectory(tmp_path / "seed-0").status().state == "interrupted"


def test_a_pid_that_now_belongs_to_another_process_does_not_count_as_alive(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "seed-0")
    run.write_status("running")
    path = run.path / "status.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "started": 12.0}))
    assert run.status().state == "interrupted"


def test_a_run_on_another_host_is_taken_at_its_word(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "seed-0")
    run.path.mkdir()
    (run.path / "status.json").write_text('{"state": "running", "pid": 1, "host": "elsewhere.invalid"}')
    assert run.status().state == "running"


def test_a_result_means_done_whatever_the_status_says(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "seed-0")
    run.write_status("running")
    run.write_result({"metrics": {"test/bleu": 31.25}})
    assert run.status().state == "done"
    assert run.result() == {"metrics": {"test/bleu": 31.25}}


def test_an_error_is_kept_with_the_state(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "seed-0")
    run.write_status("diverged", {"message": "loss is nan", "step": 5})
    assert run.status().error == {"message": "loss is nan", "step": 5}


def test_an_unknown_state_is_damage(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "seed-0")
    run.path.mkdir()
    (run.path / "status.json").write_text('{"state": "merry"}')
    with pytest.raises(RunDirectoryError, match="no state is called 'merry'"):
        run.status()


def test_translations_read_back_by_id(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "seed-0")
    rows = {4: 'ein "Hund"', 1: "\u2028 zwei\nZeilen", 9: ""}
    run.write_translations("test", rows.items())
    assert run.translations("test") == rows
    assert run.translations("valid") == {}


def hold(path: str, pipe: Connection) -> None:
    with RunDirectory(Path(path)).lock():
        pipe.send("held")
        pipe.recv()


def test_a_directory_another_process_writes_is_busy_until_that_process_is_gone(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "seed-0")
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=hold, args=(str(run.path), there))
    child.start()
    assert here.recv() == "held"
    with pytest.raises(RunDirectoryError, match="is busy"), run.lock():
        pass
    child.kill()
    child.join()
    with run.lock():
        pass


def test_the_lock_can_be_taken_again_after_it_was_released(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "seed-0")
    for _ in range(2):
        with run.lock():
            pass


def test_an_experiment_lists_its_runs_by_arm_and_seed(tmp_path: Path) -> None:
    experiment = ExperimentDirectory.of(tmp_path, "demo", "small")
    for arm, seed in [("window", 2), ("none", 10), ("none", 9)]:
        experiment.run(arm, seed).path.mkdir(parents=True)
    (experiment.path / "none" / "notes").mkdir()
    assert [(r.arm, r.seed) for r in experiment.runs()] == [("none", 9), ("none", 10), ("window", 2)]
    assert experiment.path == tmp_path / "demo" / "small"


def test_cost_and_experiment_file_read_back(tmp_path: Path) -> None:
    experiment = ExperimentDirectory.of(tmp_path, "demo")
    assert experiment.cost() is None
    experiment.write_cost({"relative_step_time": {"none": 1.0}})
    experiment.write_experiment("name: demo\n")
    assert experiment.cost() == {"relative_step_time": {"none": 1.0}}
    assert experiment.experiment_file.read_text() == "name: demo\n"


def test_the_git_state_names_a_commit_or_is_none() -> None:
    state = read_git_state()
    assert state is None or (len(state["commit"]) == 40 and state["dirty"] in (True, False))


def test_reading_runs_does_not_import_torch() -> None:
    code = (
        "import sys, maskbench.runs.directory, maskbench.tensorboard.sinks; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
