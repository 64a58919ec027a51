"""The page on writing a metric keeps what it says: its code is extracted and used as a reader would."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from documented_plugin import SMALL, Page
from warm_process import maskbench

PAGE = Page("write-a-metric.md")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader's folder after the page's first command, in small."""
    path = PAGE.save(tmp_path_factory.mktemp("reader"), "word_recall")
    run, compare = PAGE.commands()
    assert (run[0], compare[0]) == ("run", "compare")
    ended = maskbench(*run, "--workers", "1", *SMALL, cwd=path)
    assert ended.returncode == 0, ended.stderr
    return path


def test_the_metric_is_measured_and_compared_without_the_plugin(folder: Path) -> None:
    ended = maskbench("compare", "runs/word-recall", "--format", "json", cwd=folder)
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert document["metric"] == "test/word_recall"
    run = folder / "runs/word-recall/none/seed-0"
    value = json.loads((run / "result.json").read_text(encoding="utf-8"))["metrics"]["test/word_recall"]
    (baseline,) = (arm for arm in document["arms"] if arm["arm"] == "none")
    assert baseline["values"] == {"0": value}
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert list(record["plugins"]) == ["word_recall"]


def test_the_value_is_what_the_kept_translations_give(folder: Path) -> None:
    run = folder / "runs/word-recall/none/seed-0"
    value = json.loads((run / "result.json").read_text(encoding="utf-8"))["metrics"]["test/word_recall"]
    lines = (run / "sentences/test.jsonl").read_text(encoding="utf-8").splitlines()
    counts = [json.loads(line)["word_recall"] for line in lines]
    assert value == sum(found for found, _ in counts) / sum(of for _, of in counts)
    assert all(0 <= found <= of for found, of in counts)


def test_tables_say_percent_and_which_way_is_better(folder: Path) -> None:
    ended = maskbench("compare", "runs/word-recall", cwd=folder)
    assert ended.returncode == 0, ended.stderr
    assert "test/word_recall" in ended.stdout and "%" in ended.stdout


def test_without_its_record_the_metric_is_named_as_unknown(folder: Path, tmp_path: Path) -> None:
    record = folder / "runs/word-recall/plugin-metrics.json"
    kept = record.read_bytes()
    try:
        record.unlink()
        ended = maskbench("compare", "runs/word-recall", cwd=folder)
        assert ended.returncode == 2 and "word_recall" in ended.stderr, ended.stderr
        record.write_text("{", encoding="utf-8")
        ended = maskbench("compare", "runs/word-recall", cwd=folder)
        assert ended.returncode == 2 and "plugin-metrics.json" in ended.stderr, ended.stderr
    finally:
        record.write_bytes(kept)


def test_the_table_of_base_classes_names_every_kind() -> None:
    from maskbench.metrics import base

    kinds = {
        name
        for name, value in vars(base).items()
        if isinstance(value, type) and issubclass(value, base.Metric)
    }
    assert kinds == set(re.findall(r"^\| `([A-Z]\w+)` \|", PAGE.text, re.MULTILINE))
