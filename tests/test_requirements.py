"""docs/requirements.md names what exists: every name on it is looked up, and every strategy stands on it."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

import maskbench.data
import maskbench.masks  # noqa: F401  fills the registries
from maskbench.config.resolve.arms import LONG_FORM_KEYS
from maskbench.config.resolve.experiment import TOP_LEVEL_KEYS
from maskbench.config.resolve.placements import PLACEMENT_KEYS
from maskbench.config.schema.experiment import RunConfig
from maskbench.registry import CORPORA, MASKS, METRICS, PRESETS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "requirements.md").read_text(encoding="utf-8")
IDEAS = {0: 19, 1: 34, 2: 19, 3: 20, 4: 19}
"""How many ideas each article has."""
REFERENCE = ROOT.parent / "shared" / "masks.md"
WORDS = ("strategy", "preset", "option", "key", "command", "metric", "corpus", "experiment")


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("|--")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def named() -> list[tuple[str, str]]:
    """Every name in backticks behind one of the words, singular or plural, as (word, name)."""
    found = []
    plurals = {"strategies": "strategy", "corpora": "corpus", **{f"{word}s": word for word in WORDS}}
    pattern = rf"\b({'|'.join([*plurals, *WORDS])})((?:,? (?:and )?`[^`]+`)+)"
    for word, names in re.findall(pattern, PAGE):
        found += [(plurals.get(word, word), name) for name in re.findall(r"`([^`]+)`", names)]
    return found


def exists(word: str, name: str) -> bool:
    if word == "strategy":
        return name in MASKS.names()
    if word == "preset":
        return name in PRESETS
    if word == "metric":
        return name in METRICS
    if word == "corpus":
        return name in CORPORA.names()
    if word == "experiment":
        return (ROOT / "experiments" / f"{name}.yaml").is_file()
    if word == "command":
        from maskbench.cli.main import app

        commands = {c.name or getattr(c.callback, "__name__", "") for c in app.registered_commands}
        return name.split()[0] == "maskbench" and name.split()[1] in commands
    section, _, field = name.partition(".")
    if word == "option":
        return section in MASKS.names() and field in MASKS.lookup(section).Options.model_fields
    if field:
        settings = {**RunConfig.model_fields, **_top_level()}
        return section in settings and field in settings[section].annotation.model_fields
    return name in (*PLACEMENT_KEYS, *LONG_FORM_KEYS, *TOP_LEVEL_KEYS)


def _top_level() -> dict[str, object]:
    from maskbench.config.schema.experiment import Experiment

    return {"compare": Experiment.model_fields["compare"]}


def test_every_idea_of_every_article_has_a_row() -> None:
    seen = defaultdict(list)
    for row in rows():
        if match := re.fullmatch(r"(\d)\.(\d+)", row[0]):
            seen[int(match[1])].append(int(match[2]))
            assert row[1] and row[2], row
    assert dict(seen) == {article: list(range(1, n + 1)) for article, n in IDEAS.items()}


def test_what_a_row_names_exists() -> None:
    assert [f"{word} `{name}`" for word, name in named() if not exists(word, name)] == []


def test_there_are_names_of_every_kind_to_look_up() -> None:
    assert {word for word, _ in named()} >= {"strategy", "preset", "option", "key", "command"}
    assert len(named()) > 100


def test_every_strategy_and_preset_stands_on_the_page() -> None:
    on_page = {name for word, name in named() if word in ("strategy", "preset")}
    assert on_page >= {*MASKS.names(), *PRESETS}


def test_files_the_page_points_to_exist() -> None:
    paths = set(re.findall(r"`((?:tests|maskbench)/[\w/]+\.py)`", PAGE))
    assert paths and [path for path in paths if not (ROOT / path).is_file()] == []


def test_the_page_has_the_ideas_that_the_reading_of_the_articles_lists() -> None:
    if not REFERENCE.exists():
        pytest.skip(f"the reading of the articles is not here ({REFERENCE})")
    text = REFERENCE.read_text(encoding="utf-8")
    ids = re.findall(r"^\| (\d\.\d+) \|", text, flags=re.MULTILINE)
    assert set(ids) <= {row[0] for row in rows()}
