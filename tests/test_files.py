from __future__ import annotations

import os
from pathlib import Path

import pytest

from maskbench.files import UNFINISHED, remove_folder, replace_file, unfinished_folder


def test_a_file_is_replaced_only_when_its_writer_is_done(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    path.write_bytes(b"old")
    with replace_file(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["numbers"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), replace_file(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"numbers": b"old"}


def test_a_folder_is_whole_under_its_name_or_absent(tmp_path: Path) -> None:
    target = tmp_path / "step"
    with unfinished_folder(target) as built:
        (built / "weights").write_bytes(b"1")
        assert built.name.startswith(UNFINISHED)
        assert not target.exists()
        os.rename(built, target)
    assert [p.name for p in tmp_path.iterdir()] == ["step"]
    with pytest.raises(ValueError), unfinished_folder(tmp_path / "other") as built:
        (built / "weights").write_bytes(b"1")
        raise ValueError
    assert [p.name for p in tmp_path.iterdir()] == ["step"]


def test_a_folder_that_is_removed_first_loses_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "step"
    target.mkdir()
    (target / "weights").write_bytes(b"1")

    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("maskbench.files.shutil.rmtree", killed)
        remove_folder(target)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(UNFINISHED)
    remove_folder(left)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        remove_folder(target)
