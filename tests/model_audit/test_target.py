"""What a user names, and what is said where it cannot be audited."""

from __future__ import annotations

import json
import sys
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

def ends():
    raise SystemExit(7)

class Sized(Decoder):
    def __init__(self, size):
        super().__init__()

def kind():
    return Decoder

READY = Decoder()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(MODEL)
    (tmp_path / "script.py").write_text("import sys\nsys.exit(0)\n")
    (tmp_path / "random.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_and_a_module_are_the_same_model(folder):
    one, other = load_target("mine.py:build"), load_target("mine:build")
    assert one.name == other.name == "Decoder"
    weights = [subject.module.state_dict()["head.weight"] for subject in (one, other)]
    assert weights[0].equal(weights[1])


def test_a_model_itself_is_taken_as_it_is(folder):
    subject = load_target("mine.py:READY")
    assert subject.name == "Decoder" and subject.build_lines[-1].endswith("['READY'].eval()")


def test_a_file_does_not_take_the_place_of_a_module_of_python(folder):
    import random

    assert load_target("random.py:build").name == "Decoder"
    assert sys.modules["random"] is random


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("mine", "names no model"),
        ("mine.py:", "names no model"),
        ("other.py:build", "there is no file other.py"),
        ("no_such_module:build", "cannot be imported"),
        ("mine.py:bild", "has no function 'bild'; it has build$"),
        ("mine.py:nothing", "returned int; it must return"),
        ("mine.py:fails", "failed: RuntimeError: no weights"),
        ("mine.py:ends", "failed: SystemExit: 7"),
        ("mine.py:Sized", "it is called without arguments: write a function that returns Sized"),
        ("mine.py:kind", "returned the class Decoder; it must return"),
        ("script.py:build", "it ends the program; put what it does as a script under"),
        (".", "has no config.json"),
    ],
)
def test_what_cannot_be_audited_is_said(folder, target, words):
    with pytest.raises(ConfigError, match=words):
        load_target(target)


def test_a_model_of_ones_own_takes_the_settings_of_its_subject(folder):
    subject = load_target("mine.py:build", {"max_length": "20", "causal": "false"})
    assert subject.max_length == 20 and not subject.causal
    with pytest.raises(
        ConfigError, match="--config d_model: a model that is not hf:ClassName has the settings vocab"
    ):
        load_target("mine.py:build", {"d_model": "3"})
    with pytest.raises(ConfigError, match="--config max_length=long: write a whole number, true or false"):
        load_target("mine.py:build", {"max_length": "long"})


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
