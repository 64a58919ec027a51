"""The examples of docs/audit-any-model.md do what the page says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from maskbench.model_audit.target import load_target

PAGE = Path(__file__).parents[2] / "docs" / "audit-any-model.md"


@pytest.fixture
def files(tmp_path):
    for name, text in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def run(folder, *arguments):
    command = [sys.executable, "-m", "maskbench.cli", "audit", "--model", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_broken_decoder_is_found_and_the_script_shows_it_without_maskbench(files):
    done = run(files, "decoder.py:build", "--write-reproduction", "shown.py", "--proof", "causality")
    assert done.returncode == 3
    assert re.search(
        r"changing target token \d+ moves the prediction at \d+ by .*; first seen in layer", done.stdout
    )
    script = (files / "shown.py").read_text()
    assert "maskbench" not in script
    shown = subprocess.run(
        [sys.executable, "shown.py"], cwd=files, capture_output=True, text=True, check=False
    )
    assert shown.returncode == 1 and "it must not" in shown.stdout


def test_the_mended_decoder_holds(files):
    file = files / "decoder.py"
    file.write_text(file.read_text().replace("triu(2)", "triu(1)"))
    done = run(files, "decoder.py:build", "--json")
    found = {one["proof"]: one["passed"] for one in json.loads(done.stdout)}
    assert done.returncode == 0 and found["causality"] and found["large scores"]
    assert found["padding content"] is None and False not in found.values()


def test_the_subject_of_the_page_proves_its_cache(files, monkeypatch):
    monkeypatch.chdir(files)
    subject = load_target("subject.py:build")
    assert subject.has_step
    done = run(
        files, "subject.py:build", "--json", "--proof", "cached decoding", "--proof", "several tokens a step"
    )
    assert [one["passed"] for one in json.loads(done.stdout)] == [True, True]


def test_every_family_is_on_the_page():
    from typing import get_args

    from maskbench.model_audit.proofs.registry import Family, model_proofs_in_order

    text = PAGE.read_text(encoding="utf-8")
    assert all(f"\n| {family} |" in text for family in get_args(Family))
    assert [proof.name for proof in model_proofs_in_order() if f"`{proof.name}`" not in text] == []
