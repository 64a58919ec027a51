"""Inputs that reports about other programs led to: each case stands outside the project and says what is right."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import maskbench.data
import maskbench.data.corpora.files
import maskbench.metrics.text_scores
import maskbench.tensorboard.columns
import maskbench.tensorboard.hparams

CASES = sorted((Path(__file__).resolve().parents[2] / "shared" / "cases").glob("[0-9]*/run.sh"))


@pytest.mark.slow
@pytest.mark.skipif(not CASES, reason="the cases stand beside the checkout, and are not here")
@pytest.mark.parametrize("script", CASES, ids=lambda script: script.parent.name)
def test_a_case_comes_out_right(script: Path) -> None:
    environment = os.environ | {"MASKBENCH_PYTHON": sys.executable}
    done = subprocess.run(["sh", str(script)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (maskbench.data.corpora.files, "Files"),
        (maskbench.metrics.text_scores, "text_scores"),
        (maskbench.tensorboard.hparams, "settings"),
        (maskbench.tensorboard.columns, "differing"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_names_that_scripts_outside_look_up_stay(module: object, name: str) -> None:
    """A script finds a name in the module that defines it, wherever that module is."""
    assert getattr(module, name).__module__ == module.__name__
