"""What a user names, and what is said where it cannot be audited."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from controls import control

from maskbench.errors import ConfigError
from maskbench.model_audit import audit_subject
from maskbench.model_audit.formats import as_document, as_junit, as_sarif
from maskbench.model_audit.target import load_target

MODEL = """
import torch
from torch import nn

class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.head = nn.Embedding(30, 20), nn.Linear(20, 30)
    def forward(self, ids):
        return self.head(self.words(ids).cumsum(1))

def build():
    return Decoder()

def nothing():
    return 3

def fails():
    raise RuntimeError("no weights")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_and_a_module_are_the_same_model(folder):
    one, other = load_target("mine.py:build"), load_target("mine:build")
    assert one.name == other.name == "Decoder"
    weights = [subject.module.state_dict()["head.weight"] for subject in (one, other)]
    assert weights[0].equal(weights[1])


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("mine", "names no model"),
        ("mine.py:", "names no model"),
        ("other.py:build", "there is no file other.py"),
        ("no_such_module:build", "cannot be imported"),
        ("mine.py:bild", "has no function 'bild'; it has Decoder, build, nothing, fails"),
        ("mine.py:nothing", "returned int; it must return"),
        ("mine.py:fails", "failed: RuntimeError: no weights"),
        (".", "has no config.json"),
    ],
)
def test_what_cannot_be_audited_is_said(folder, target, words):
    with pytest.raises(ConfigError, match=words):
        load_target(target)


def test_settings_belong_to_classes_of_transformers(folder):
    with pytest.raises(ConfigError, match="--config belongs to hf:ClassName"):
        load_target("mine.py:build", {"d_model": "3"})


def test_findings_in_the_formats_of_other_programs():
    found = list(audit_subject(control("causal mask shifted"), ["causality", "batch order", "generation"]))
    document = as_document("x.py:build", found)
    assert [one["passed"] for one in document] == [False, True, None]
    assert json.loads(json.dumps(document)) == document
    suite = ElementTree.fromstring(as_junit("x.py:build", found))
    assert suite.attrib["tests"] == "3" and suite.attrib["failures"] == "1" and suite.attrib["skipped"] == "1"
    assert "moves the prediction" in suite.find("testcase/failure").attrib["message"]
    log = as_sarif("x.py:build", "1.2", found)
    (result,) = log["runs"][0]["results"]
    assert result["ruleId"] == "causality" and "moves the prediction" in result["message"]["text"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "x.py"
    assert {rule["id"] for rule in log["runs"][0]["tool"]["driver"]["rules"]} >= {result["ruleId"]}
