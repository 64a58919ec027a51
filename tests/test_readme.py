"""The pages people read say what the program has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import maskbench.data
import maskbench.masks  # noqa: F401  (fills the registries)
from maskbench.cli.main import app
from maskbench.config.load import load_experiment
from maskbench.config.resolve.arms import LONG_FORM_KEYS
from maskbench.config.resolve.placements import PLACEMENT_KEYS
from maskbench.config.resolve.shorthand import COMBINING
from maskbench.config.schema import experiment as schema
from maskbench.registry import CORPORA, MASKS, PRESETS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "experiment-file.md").read_text(encoding="utf-8")
SECTIONS = [
    schema.ModelConfig,
    schema.TrainConfig,
    schema.DecodeConfig,
    schema.EvaluateConfig,
    schema.CompareConfig,
    schema.Refresh,
    schema.StartConfig,
]


def test_the_page_of_strategies_lists_every_one_at_each_of_its_sites():
    page = (ROOT / "docs" / "strategies.md").read_text(encoding="utf-8")
    listed = {}
    for name, cell in re.findall(r"^\| `(\w+)`[^|]* \| ([^|]+) \|", page, re.MULTILINE):
        listed[name] = set(re.findall(r"`(\w+)` \d", cell))
    sites = {n: set(MASKS.lookup(n).sites) for n in MASKS.names()}
    assert listed == sites | {n: set(preset.sites) for n, preset in PRESETS.items()}


def test_the_readme_names_every_strategy_and_counts_them():
    section = README.partition("## The masks")[2].partition("## ")[0]
    assert [n for n in MASKS.names() if f"`{n}`" not in section] == []
    assert f"\n{len(MASKS.names()) + len(PRESETS)} strategies and presets" in section


@pytest.mark.parametrize("section", SECTIONS, ids=lambda s: s.__name__)
def test_the_reference_names_every_key(section):
    for key in section.model_fields:
        assert re.search(rf"`[^`]*\b{key}\b[^`]*`", REFERENCE), key


@pytest.mark.parametrize("key", [*PLACEMENT_KEYS, *LONG_FORM_KEYS, *COMBINING])
def test_the_reference_names_every_key_of_an_arm_and_a_placement(key):
    code = re.findall(r"```yaml(.*?)```|`([^`]+)`", REFERENCE, re.DOTALL)
    assert any(re.search(rf"\b{key}\b", "".join(part)) for part in code)


@pytest.mark.parametrize("name", CORPORA.names())
def test_the_reference_names_every_corpus_and_its_options(name):
    (row,) = (
        line for line in REFERENCE.splitlines() if line.startswith("|") and f"`{name}`" in line.split("|")[1]
    )
    assert [key for key in CORPORA.lookup(name).Options.model_fields if f"`{key}`" not in row] == []


def test_the_readme_names_every_command():
    names = {c.name or c.callback.__name__ for c in app.registered_commands if c.callback}
    assert names == set(re.findall(r"^\| `maskbench (\w+)", README, re.MULTILINE))


def test_every_option_the_readme_gives_to_run_exists():
    shown = CliRunner().invoke(app, ["run", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    (sentence,) = re.findall(r"`maskbench run` takes (.*?)\. ", README.replace("\n", " "))
    for option in re.findall(r"--[a-z-]+", sentence):
        assert option in shown, option


def test_the_experiment_file_of_the_readme_loads(tmp_path):
    (text,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    file = tmp_path / "example.yaml"
    file.write_text(text, encoding="utf-8")
    (panel,) = load_experiment(file).panels
    assert [arm.title for arm in panel.arms][-3:] == [
        "window(radius=1)",
        "window(radius=2)",
        "window(radius=4)",
    ]
