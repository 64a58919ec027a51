"""The page on writing a strategy keeps what it says: its code is extracted and used as a reader would."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from documented_plugin import SMALL, Page
from warm_process import maskbench

PAGE = Page("write-a-strategy.md")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return PAGE.save(tmp_path_factory.mktemp("reader"), "round_robin")


def test_the_page_uses_the_four_commands_it_explains() -> None:
    assert [command[0] for command in PAGE.commands()] == ["masks", "run", "masks", "masks", "masks", "audit"]


@pytest.mark.parametrize("arguments", [c for c in PAGE.commands() if c[0] != "run"], ids=" ".join)
def test_every_other_command_of_the_page_works(folder: Path, arguments: list[str]) -> None:
    ended = maskbench(*arguments, cwd=folder)
    assert ended.returncode == 0, ended.stderr + ended.stdout


def test_the_strategy_does_what_the_page_says(folder: Path) -> None:
    drawn = maskbench(
        *("masks", "--plugin", "round_robin.py", "round_robin", "--show", "--length", "4"), cwd=folder
    )
    rows = [line[4:] for line in drawn.stdout.splitlines() if "█" in line][:4]
    assert rows[0].split("   ")[0].rstrip() == "██· ██·"
    assert "heads 0, 2" in drawn.stdout and "heads 1, 3" in drawn.stdout


def test_the_experiment_of_the_page_runs(folder: Path) -> None:
    ended = maskbench(
        *("run", "--plugin", "round_robin.py", "round-robin.yaml", "--json", "--workers", "1", *SMALL),
        cwd=folder,
    )
    assert ended.returncode == 0, ended.stderr
    arms = {arm["arm"]: arm["n"] for arm in json.loads(ended.stdout)["arms"]}
    assert arms == {"none": 1, "turns": 1}
    record = json.loads((folder / "runs/round-robin/turns/seed-0/run.json").read_text(encoding="utf-8"))
    assert list(record["plugins"]) == ["round_robin"]


def test_the_table_of_base_classes_names_every_kind() -> None:
    from maskbench.masks import base

    kinds = {
        name
        for name, value in vars(base).items()
        if isinstance(value, type) and issubclass(value, base.Strategy) and value is not base.Strategy
    }
    assert kinds == set(
        re.findall(r"`([A-Z]\w+)`", PAGE.text[PAGE.text.index("| class |") : PAGE.text.index("Three rules")])
    )
