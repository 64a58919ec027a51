from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from maskbench.errors import RunDirectoryError
from maskbench.runs.checkpoint import (
    Checkpoint,
    DeterminismAlarm,
    Snapshot,
    load_best,
    prune_checkpoints,
    remove_unfinished_checkpoints,
    save_checkpoint,
    scan_checkpoints,
    write_best,
)

FILES = ["model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"]


def snapshot(step: int, *, run: str = "cafe", best_step: int | None = None, shift: float = 0.0) -> Snapshot:
    generator = torch.Generator().manual_seed(step)
    weight = torch.randn(3, 5, generator=generator) + shift
    moments = {"exp_avg/w": weight * 2, "exp_avg_sq/w": weight**2, "step/w": torch.tensor(float(step))}
    found = None if best_step is None else {"step": best_step, "value": 0.1 + 0.2}
    return Snapshot(
        run, step, {"w": weight, "tied": weight}, moments, {"best": found, "metrics_bytes": 7 * step}
    )


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def newest_valid(folder: Path, run: str | None = None) -> Checkpoint | None:
    return next(iter(scan_checkpoints(folder, run).valid), None)


def steps(folder: Path) -> list[int]:
    return [c.step for c in scan_checkpoints(folder).valid]


def test_a_checkpoint_reads_back_bit_for_bit(tmp_path: Path) -> None:
    saved = snapshot(200, best_step=100)
    save_checkpoint(tmp_path, saved)
    found = newest_valid(tmp_path, "cafe")
    assert found is not None
    assert found.path.name == "step-000200"
    assert found.state == saved.state
    for present, wanted in [(found.read_model(), saved.model), (found.read_optimizer(), saved.optimizer)]:
        assert present.keys() == wanted.keys()
        assert all(torch.equal(present[name], wanted[name]) for name in wanted)


def test_the_same_state_gives_the_same_bytes(tmp_path: Path) -> None:
    for place in ("a", "b"):
        save_checkpoint(tmp_path / place, snapshot(200))
    for name in FILES:
        one, other = (tmp_path / place / "step-000200" / name for place in ("a", "b"))
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_in_any_file_means_the_older_checkpoint_is_used(tmp_path: Path, name: str) -> None:
    save_checkpoint(tmp_path, snapshot(100))
    newest = save_checkpoint(tmp_path, snapshot(200))
    flip_a_byte(newest / name)
    assert steps(tmp_path) == [100]
    assert "step-000200" in scan_checkpoints(tmp_path).damaged[0]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", ["missing", "truncated"])
def test_a_missing_or_truncated_file_means_the_older_checkpoint_is_used(
    tmp_path: Path, name: str, how: str
) -> None:
    save_checkpoint(tmp_path, snapshot(100))
    path = save_checkpoint(tmp_path, snapshot(200)) / name
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] if name != "manifest.json" else b"")
    assert steps(tmp_path) == [100]


def test_a_checkpoint_of_another_run_or_another_step_is_not_used(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, snapshot(100, run="beef"))
    save_checkpoint(tmp_path, snapshot(200)).rename(tmp_path / "step-000300")
    assert newest_valid(tmp_path, "cafe") is None
    assert [
        "another run" in d or "not the one in its name" in d
        for d in scan_checkpoints(tmp_path, "cafe").damaged
    ] == [True] * 2


def test_the_manifest_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr("maskbench.runs.checkpoint.write_synced", lambda path, data: order.append(path.name))
    monkeypatch.setattr("maskbench.runs.checkpoint.sha256_of", lambda path: "")
    save_checkpoint(tmp_path, snapshot(100))
    assert order == FILES


@pytest.mark.parametrize("survived", range(4))
def test_a_kill_during_writing_leaves_no_folder_that_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    class Killed(BaseException):
        pass

    from maskbench.files import write_synced

    written: list[str] = []

    def write(path: Path, data: bytes) -> None:
        if len(written) == survived:
            path.write_bytes(data[: len(data) // 2])
            raise Killed
        written.append(path.name)
        write_synced(path, data)

    monkeypatch.setattr("maskbench.runs.checkpoint.write_synced", write)
    monkeypatch.setattr("maskbench.runs.checkpoint.shutil.rmtree", lambda path, ignore_errors: None)
    with pytest.raises(Killed):
        save_checkpoint(tmp_path, snapshot(100))
    monkeypatch.undo()
    assert scan_checkpoints(tmp_path).valid == () and scan_checkpoints(tmp_path).damaged == ()
    remove_unfinished_checkpoints(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_saving_the_same_step_again_is_accepted_if_the_bytes_agree(tmp_path: Path) -> None:
    for _ in range(2):
        save_checkpoint(tmp_path, snapshot(100))
    assert [p.name for p in tmp_path.iterdir()] == ["step-000100"]


def test_saving_the_same_step_with_other_bytes_is_a_determinism_alarm(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, snapshot(100))
    with pytest.raises(DeterminismAlarm, match=r"other bytes in model\.safetensors, optimizer\.safetensors"):
        save_checkpoint(tmp_path, snapshot(100, shift=1e-3))
    assert steps(tmp_path) == [100]


def test_a_damaged_checkpoint_is_replaced_and_kept_aside(tmp_path: Path) -> None:
    flip_a_byte(save_checkpoint(tmp_path, snapshot(100)) / "model.safetensors")
    save_checkpoint(tmp_path, snapshot(100))
    assert steps(tmp_path) == [100]
    assert len(list(tmp_path.glob(".damaged-step-000100-*"))) == 1


def test_pruning_keeps_the_newest_two_the_best_and_the_ones_they_need(tmp_path: Path) -> None:
    for step, best_step in [(100, 100), (200, 200), (300, 200), (400, 200), (500, 500), (600, 500)]:
        save_checkpoint(tmp_path, snapshot(step, best_step=best_step))
    write_best(tmp_path, 300, "valid/nll", 2.5)
    prune_checkpoints(tmp_path)
    assert steps(tmp_path) == [600, 500, 300]


def test_pruning_keeps_the_best_that_an_older_checkpoint_would_resume_with(tmp_path: Path) -> None:
    for step, best_step in [(200, 200), (300, 200), (400, 400)]:
        save_checkpoint(tmp_path, snapshot(step, best_step=best_step))
    write_best(tmp_path, 400, "valid/nll", 2.5)
    prune_checkpoints(tmp_path)
    flip_a_byte(tmp_path / "step-000400" / "model.safetensors")
    found = scan_checkpoints(tmp_path).resumable
    assert found is not None and found.step == 300


def test_pruning_never_deletes_the_last_valid_checkpoint(tmp_path: Path) -> None:
    for step in (100, 200, 300, 400):
        path = save_checkpoint(tmp_path, snapshot(step))
        if step > 100:
            flip_a_byte(path / "model.safetensors")
    prune_checkpoints(tmp_path)
    assert steps(tmp_path) == [100]
    assert len(list(tmp_path.glob("step-*"))) == 4


def test_a_checkpoint_whose_best_is_gone_is_not_resumed(tmp_path: Path) -> None:
    for step, best_step in [(100, 100), (200, 200), (300, 200)]:
        save_checkpoint(tmp_path, snapshot(step, best_step=best_step))
    flip_a_byte(tmp_path / "step-000200" / "model.safetensors")
    found = scan_checkpoints(tmp_path).resumable
    assert found is not None and found.step == 100


def test_the_selected_checkpoint_is_the_one_best_json_names(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match=r"no best\.json"):
        load_best(tmp_path)
    save_checkpoint(tmp_path, snapshot(100))
    save_checkpoint(tmp_path, snapshot(200))
    write_best(tmp_path, 100, "valid/nll", 2.5)
    assert load_best(tmp_path).step == 100
    assert json.loads((tmp_path / "best.json").read_text()) == {
        "step": 100,
        "metric": "valid/nll",
        "value": 2.5,
    }


def test_reading_a_folder_of_foreign_files_executes_nothing(tmp_path: Path) -> None:
    (tmp_path / "step-000001").mkdir()
    (tmp_path / "step-000001" / "manifest.json").write_text('{"format": 1, "files": {}}')
    (tmp_path / "step-x").write_text("")
    assert newest_valid(tmp_path) is None
    assert newest_valid(tmp_path / "nowhere") is None


def test_weights_of_another_model_are_refused_by_name(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, snapshot(100))
    found = newest_valid(tmp_path)
    assert found is not None
    with pytest.raises(RunDirectoryError, match="does not fit the model"):
        found.load_into(torch.nn.Linear(5, 3))
