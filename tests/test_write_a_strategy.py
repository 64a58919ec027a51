"""The page on writing a strategy keeps what it says: its code is extracted and used as a reader would."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import warm_process

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "write-a-strategy.md").read_text(encoding="utf-8")
SMALL = (
    *("--set", "seeds=1", "--set", "corpus.pairs=60", "--set", "corpus.max_length=6"),
    *("--set", "model={d_model: 12, n_heads: 3, d_ff: 20, encoder_layers: 1, decoder_layers: 1}"),
    *("--set", "train={steps: 4, batch_tokens: 96, valid_every: 2, warmup_steps: 1}"),
)


def block(language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"{len(found)} {language} blocks"
    return str(found[0])


def commands() -> list[list[str]]:
    """The commands of the page, without the program's name."""
    lines = re.findall(r"^maskbench (.*)$", PAGE, re.MULTILINE)
    return [line.split() for line in lines]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reader")
    (path / "round_robin.py").write_text(block("python"), encoding="utf-8")
    (path / "round-robin.yaml").write_text(block("yaml"), encoding="utf-8")
    return path


def maskbench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return warm_process.maskbench(*arguments, cwd=folder)


def test_the_page_uses_the_four_commands_it_explains() -> None:
    assert [command[0] for command in commands()] == ["masks", "run", "masks", "masks", "masks", "audit"]


@pytest.mark.parametrize("arguments", [c for c in commands() if c[0] != "run"], ids=" ".join)
def test_every_other_command_of_the_page_works(folder: Path, arguments: list[str]) -> None:
    ended = maskbench(folder, *arguments)
    assert ended.returncode == 0, ended.stderr + ended.stdout


def test_the_strategy_does_what_the_page_says(folder: Path) -> None:
    drawn = maskbench(folder, "masks", "--plugin", "round_robin.py", "round_robin", "--show", "--length", "4")
    rows = [line[4:] for line in drawn.stdout.splitlines() if "█" in line][:4]
    assert rows[0].split("   ")[0].rstrip() == "██· ██·"
    assert "heads 0, 2" in drawn.stdout and "heads 1, 3" in drawn.stdout


def test_the_experiment_of_the_page_runs(folder: Path) -> None:
    ended = maskbench(
        folder, "run", "--plugin", "round_robin.py", "round-robin.yaml", "--json", "--workers", "1", *SMALL
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
        re.findall(r"`([A-Z]\w+)`", PAGE[PAGE.index("| class |") : PAGE.index("Three rules")])
    )
