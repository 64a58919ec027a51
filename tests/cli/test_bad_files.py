"""What a person can get wrong in a file: exit code 2, one message with file, line and hint, no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from maskbench.cli.main import app

GOOD = """\
name: small
seeds: 1
corpus: {name: copy, pairs: 100}
model: {d_model: 16, n_heads: 2}
train: {steps: 2}
arms:
  none: []
  hidden: [{site: encoder_input, mask: tokens, ratio: 0.2}]
"""
FILES_CORPUS = "corpus: {name: files, path: nowhere, src: de, tgt: en}"
CASES = {
    "misspelt key": ("train: {steps: 2}", "train: {stesp: 2}", 5, "did you mean 'steps'"),
    "duplicate key": ("seeds: 1", "name: again", 2, "line 1"),
    "wrong type": ("train: {steps: 2}", "train: {steps: many}", 5, "whole number"),
    "heads that do not divide": ("n_heads: 2", "n_heads: 3", 4, "must divide d_model"),
    "unknown strategy": ("mask: tokens", "mask: token", 8, "did you mean 'tokens'"),
    "unknown site": ("site: encoder_input", "site: encoder_inputs", 8, "did you mean 'encoder_input'"),
    "a number that is not finite": ("ratio: 0.2", "ratio: .nan", 8, "finite"),
    "a corpus file that is not there": ("corpus: {name: copy, pairs: 100}", FILES_CORPUS, 3, "looked for"),
    "a name that is a path": ("name: small", "name: ../x", 1, "lower-case"),
    "broken YAML": ("arms:\n", "arms: [\n", 8, "not valid YAML"),
}


def run(directory: Path, text: str) -> Result:
    file = directory / "small.yaml"
    file.write_text(text, encoding="utf-8")
    return CliRunner().invoke(
        app, ["run", str(file), "--runs-dir", str(directory / "runs")], env={"TERM": "dumb"}
    )


@pytest.mark.parametrize("case", CASES)
def test_a_bad_file_ends_in_one_message_with_its_place(case, tmp_path):
    old, new, line, hint = CASES[case]
    assert old in GOOD
    ended = run(tmp_path, GOOD.replace(old, new))
    assert ended.exit_code == 2, ended.output
    errors = [row for row in ended.stderr.splitlines() if "error:" in row]
    assert len(errors) == 1
    assert errors[0].startswith(f"{tmp_path / 'small.yaml'}:{line}:")
    assert hint in ended.stderr
    assert "Traceback" not in ended.output + ended.stderr
    assert ended.stdout == ""


@pytest.mark.parametrize("case", CASES)
def test_a_bad_file_leaves_no_runs_behind(case, tmp_path):
    old, new, _, _ = CASES[case]
    run(tmp_path, GOOD.replace(old, new))
    assert {path.name for path in tmp_path.iterdir()} <= {"small.yaml", "runs"}
    # At the most the cache of corpora, where one was looked for.
    assert {path.name for path in tmp_path.glob("runs/*")} <= {".cache"}
