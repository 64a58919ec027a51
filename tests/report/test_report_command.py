"""`maskbench report` as users call it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from report_runs import baseline, gaining, write_experiment
from typer.testing import CliRunner, Result

from maskbench.cli.main import app


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_experiment(tmp_path / "runs", none=baseline(), up=gaining())


def call(*arguments: str | Path) -> Result:
    env = {"COLUMNS": "100", "TERM": "dumb", "GITHUB_ACTIONS": None, "FORCE_COLOR": None}
    return CliRunner().invoke(app, ["report", *map(str, arguments)], env=env)


def test_the_page_goes_beside_the_runs_and_its_path_to_stdout(directory):
    result = call(directory)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{directory / 'report.html'}\n"
    assert (directory / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_without_a_directory_it_is_the_newest_experiment(directory, tmp_path):
    result = call("--runs-dir", directory.parent, "-o", tmp_path / "page.html", "--metric", "test/bleu")
    assert result.exit_code == 0
    assert "--metric test/bleu" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_several_directories_need_a_file_to_go_to(directory, tmp_path):
    other = write_experiment(tmp_path / "more", none=baseline(), up=gaining())
    refused = call(directory, other)
    assert refused.exit_code == 2 and "--output" in refused.stderr
    assert not (directory / "report.html").exists()
    assert call(directory, other, "-o", tmp_path / "both.html").exit_code == 0


def test_mistakes_are_explained(directory, tmp_path):
    nowhere = call(directory, "-o", tmp_path / "no" / "page.html")
    assert nowhere.exit_code == 4 and "there is no folder" in nowhere.stderr
    unknown = call(directory, "--baseline", "nune")
    assert unknown.exit_code == 2 and "'none'" in unknown.stderr
    missing = call(tmp_path / "nothing")
    assert missing.exit_code == 2 and "no such directory" in missing.stderr


def test_it_reads_the_runs_and_nothing_of_torch(directory):
    code = (
        "import sys; from maskbench.cli.main import app\n"
        "try: app(['report', sys.argv[1]])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'matplotlib.pyplot', 'sacrebleu'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", code, str(directory)]
    env = {**os.environ, "HOME": str(directory), "MPLBACKEND": "tkagg"}
    made = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60, check=False)
    assert made.returncode == 0, made.stderr


def test_simultaneous_intervals_are_those_of_compare_and_stand_in_the_command(directory):
    file = directory / "report.html"
    assert call(directory).exit_code == 0 and "--simultaneous" not in file.read_text(encoding="utf-8")
    assert call(directory, "--simultaneous").exit_code == 0
    assert file.read_text(encoding="utf-8").count("--simultaneous") >= 2
