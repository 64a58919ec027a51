"""The script of a broken promise shows it, in the mode and the number format in which it was seen."""

from __future__ import annotations

import runpy

import pytest
import torch

from maskbench.model_audit import audit_subject
from maskbench.model_audit.reproduction import write_reproduction
from maskbench.model_audit.target import load_target

MODEL = """
import torch
from torch import nn

class Leaking(nn.Module):
    def __init__(self, when):
        super().__init__()
        self.words, self.head, self.when = nn.Embedding(30, 20), nn.Linear(20, 30), when
        self.dropout = nn.Dropout(0.2)

    def forward(self, ids):
        x = self.dropout(self.words(ids).cumsum(1).tanh())
        if self.when(self, x):
            x = x + 1e-4 * x.mean(1, keepdim=True)
        return self.head(x)

def in_training():
    return Leaking(lambda module, x: module.training)

def with_gradients():
    return Leaking(lambda module, x: torch.is_grad_enabled() and not module.training)

def in_float64():
    return Leaking(lambda module, x: x.dtype == torch.float64)

def in_float32():
    return Leaking(lambda module, x: x.dtype == torch.float32)
"""


@pytest.mark.parametrize("name", ["in_training", "with_gradients", "in_float64", "in_float32"])
def test_the_script_shows_what_was_found(name, tmp_path, monkeypatch, capsys):
    (tmp_path / "leaking.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    subject = load_target(f"leaking.py:{name}")
    (finding,) = audit_subject(subject, ["causality"])
    assert finding.passed is False and finding.answer.change is not None
    script = write_reproduction(
        subject, finding.answer.change, finding.answer.limit, finding.sentence, finding.dtype
    )
    (tmp_path / "shown.py").write_text(script)
    with pytest.raises(SystemExit) as ended, torch.enable_grad(), torch.random.fork_rng():
        runpy.run_path("shown.py")
    assert ended.value.code is True
    # 1e-4 of a mean, not rounding.
    moved = float(capsys.readouterr().out.split(" by ")[1].split(";")[0])
    assert 1e-8 < moved < 1e-3


def test_the_positions_of_a_convolution_are_found_on_its_last_axis(tmp_path, monkeypatch):
    (tmp_path / "centred.py").write_text(
        "from torch import nn\n"
        "class Centred(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.words, self.conv = nn.Embedding(30, 20), nn.Conv1d(20, 20, 3, padding=1)\n"
        "        self.head = nn.Linear(20, 30)\n"
        "    def forward(self, ids):\n"
        "        return self.head(self.conv(self.words(ids).mT).mT)\n"
    )
    monkeypatch.chdir(tmp_path)
    (finding,) = audit_subject(load_target("centred.py:Centred"), ["causality"])
    assert finding.module == "conv"
