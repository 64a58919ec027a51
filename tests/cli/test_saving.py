"""What `-o` may write to, and what it must leave as it is."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from fake_runs import experiment, scored, write
from typer.testing import CliRunner, Result

from maskbench.cli.main import app
from maskbench.cli.output_files import save_output
from maskbench.errors import ConfigError, ResourceError


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write(
        tmp_path / "runs", experiment(["none", "up"], 2), {a: [scored(0.5)] * 2 for a in ("none", "up")}
    )


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "100", "TERM": "dumb"})


def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "a.txt", tmp_path / "link.txt"
    link.symlink_to(target)
    for text in (b"first", b"second"):
        save_output(text, link)
        assert link.is_symlink() and target.read_bytes() == text


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe, heard = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: heard.append(pipe.read_bytes()), daemon=True)
    reader.start()
    save_output(b"through", pipe)
    reader.join(10)
    assert heard == [b"through"] and stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_folder_and_a_missing_folder_are_refused(tmp_path: Path) -> None:
    for output in (tmp_path, tmp_path / "none" / "a.txt"):
        with pytest.raises(ResourceError, match="cannot write"):
            save_output(b"x", output)


def test_a_read_only_file_is_refused_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"mine")
    file.chmod(0o444)
    with pytest.raises(ResourceError, match="read-only"):
        save_output(b"x", file)
    assert file.read_bytes() == b"mine"


@pytest.mark.parametrize(
    "name",
    ["experiment.yaml", "plans.jsonl", "cost.json", "up/seed-1/run.json", "up/seed-1/sentences/new.txt"],
)
def test_no_file_of_an_experiment_is_written_over(directory: Path, tmp_path: Path, name: str) -> None:
    file = directory / name
    file.parent.mkdir(exist_ok=True)
    before = file.read_bytes() if file.exists() else None
    link = tmp_path / "link"
    link.symlink_to(file)
    for output in (file, link):
        with pytest.raises(ConfigError, match="belongs to an experiment"):
            save_output(b"x", output)
        for command in (("compare", "--format", "json"), ("report",)):
            result = call(*command, directory, "-o", output)
            assert result.exit_code == 2 and "belongs to an experiment" in result.stderr
    assert (file.read_bytes() if file.exists() else None) == before


def test_such_names_elsewhere_are_nobody_s(tmp_path: Path) -> None:
    for name in ("cost.json", "seed-1/a.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        save_output(b"x", tmp_path / name)
        assert (tmp_path / name).read_bytes() == b"x"


def test_pictures_and_corpora_are_not_put_into_runs_either(directory: Path) -> None:
    run = directory / "up" / "seed-0"
    for arguments in (
        ("masks", "window", "--png", run / "a.png"),
        ("corpus", "copy", "--export", run / "a.jsonl"),
        ("corpus", "copy", "--split", "test", "--export", run / "a.tsv.gz"),
    ):
        result = call(*arguments)
        assert result.exit_code == 2 and "belongs to an experiment" in result.stderr
    assert not list(run.glob("a.*"))


def test_a_suffix_that_is_no_format_s_is_refused_with_those_there_are(
    directory: Path, tmp_path: Path
) -> None:
    result = call("compare", directory, "-o", tmp_path / "a.xml")
    assert result.exit_code == 2 and ".txt, .json, .csv, .md, .tex" in result.stderr
    assert call("compare", directory, "-o", tmp_path / "a.xml", "--format", "csv").exit_code == 0
    assert call("compare", directory, "-o", tmp_path / "bare").exit_code == 0
    assert (tmp_path / "a.xml").read_text().startswith("experiment,")
    assert (tmp_path / "bare").read_text().startswith("fake\n")
