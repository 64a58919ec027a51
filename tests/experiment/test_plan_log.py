"""What `maskbench run` writes down of its plans; with the training left out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from test_experiment import Pretender, load, run

from maskbench.config.schema.experiment import Experiment
from maskbench.errors import ConfigError, RunDirectoryError
from maskbench.experiment.plan_log import current_plan, extend_plan
from maskbench.records.plans import Plan, Question


def lines(tmp_path: Path, place: str = "trial") -> list[dict[str, Any]]:
    text = (tmp_path / "runs" / place / "plans.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def part(experiment: Experiment, seeds: Sequence[int], arms: Sequence[str] = ("a", "b")) -> Experiment:
    panels = tuple(
        panel.model_copy(update={"arms": tuple(arm for arm in panel.arms if arm.name in arms)})
        for panel in experiment.panels
    )
    return experiment.model_copy(update={"seeds": tuple(seeds), "panels": panels})


def test_a_plan_is_written_before_its_first_run(tmp_path: Path) -> None:
    class Curious(Pretender):
        def execute(self, *rest: Any) -> int | None:
            seen.append(lines(tmp_path))
            return super().execute(*rest)

    seen: list[list[dict[str, Any]]] = []
    run(load(tmp_path, seeds="[0, 2]"), tmp_path, Curious())
    (line,) = seen[0]
    assert line.pop("time") > 1.7e9
    assert line == {
        "seeds": [0, 2],
        "rule": "fixed",
        "limit": None,
        "closed": {},
        "results": 0,
        "metric": "test/exact_match",
        "alpha": 0.05,
        "min_effect": None,
        "baseline": {"": "a"},
        "arms": {"": ["a", "b"]},
    }


def test_the_same_plan_is_written_once(tmp_path: Path) -> None:
    for _ in range(3):
        run(load(tmp_path, seeds="[0, 2]"), tmp_path)
    assert len(lines(tmp_path)) == 1


def test_a_part_of_what_was_planned_from_the_start_is_no_new_plan(tmp_path: Path) -> None:
    whole = load(tmp_path, seeds="[0, 1, 2]")
    run(part(whole, [0]), tmp_path, whole=whole)
    run(whole, tmp_path)
    assert [line["seeds"] for line in lines(tmp_path)] == [[0, 1, 2]]


def test_seeds_added_later_are_a_new_plan_with_the_results_there_were(tmp_path: Path) -> None:
    run(load(tmp_path, seeds="[0, 1]"), tmp_path)
    run(load(tmp_path, seeds="[0, 1, 2]"), tmp_path)
    assert [(line["seeds"], line["results"]) for line in lines(tmp_path)] == [([0, 1], 0), ([0, 1, 2], 4)]


def test_an_experiment_of_a_version_that_kept_no_plans_was_planned_as_its_file_says(tmp_path: Path) -> None:
    run(load(tmp_path, seeds="[0, 1]"), tmp_path)
    (tmp_path / "runs/trial/plans.jsonl").unlink()
    present = current_plan(tmp_path / "runs", "trial")
    assert present == Plan((0, 1), question=Question.of(load(tmp_path, seeds="[0, 1]")))
    run(load(tmp_path, seeds="[0, 1, 2]"), tmp_path)
    assert [(line["seeds"], line["results"]) for line in lines(tmp_path)] == [([0, 1], 0), ([0, 1, 2], 4)]


def test_another_question_is_a_new_plan_with_the_results_there_were(tmp_path: Path) -> None:
    asked = load(tmp_path)
    louder = asked.model_copy(update={"compare": asked.compare.model_copy(update={"alpha": 0.2})})
    for experiment in (asked, louder, louder):
        run(experiment, tmp_path)
    assert [(line["alpha"], line["results"]) for line in lines(tmp_path)] == [(0.05, 0), (0.2, 2)]


def test_what_an_earlier_version_did_not_note_down_comes_first_from_experiment_yaml(tmp_path: Path) -> None:
    asked = load(tmp_path)
    run(asked, tmp_path)
    file = tmp_path / "runs/trial/plans.jsonl"
    old = {
        key: value for key, value in lines(tmp_path)[0].items() if key in ("seeds", "rule", "limit", "closed")
    }
    file.write_text(json.dumps(old | {"results": 0}) + "\n")
    run(part(asked, asked.seeds, ["a"]), tmp_path)
    assert [(line.get("arms"), line["results"]) for line in lines(tmp_path)] == [
        (None, 0),
        ({"": ["a", "b"]}, 0),
        ({"": ["a"]}, 2),
    ]


def test_every_panel_has_the_record_with_its_own_results(tmp_path: Path) -> None:
    panels = "panels: {small: {corpus.pairs: 32}, large: {corpus.pairs: 64}}"
    run(load(tmp_path, panels=panels), tmp_path)
    run(load(tmp_path, panels=panels, seeds="[0, 1]"), tmp_path)
    assert [lines(tmp_path, place)[1]["results"] for place in ("trial", "trial/small", "trial/large")] == [
        4,
        2,
        2,
    ]


def test_what_is_refused_leaves_no_plan(tmp_path: Path) -> None:
    run(load(tmp_path), tmp_path)
    with pytest.raises(RunDirectoryError):
        run(load(tmp_path, seeds="[0, 1]", lr="0.5"), tmp_path)
    with pytest.raises((ConfigError, ValueError)):
        run(load(tmp_path, arms=("a", "b", "-")), tmp_path)
    assert len(lines(tmp_path)) == 1


def test_a_damaged_record_is_refused_and_not_written_over(tmp_path: Path) -> None:
    run(load(tmp_path), tmp_path)
    file = tmp_path / "runs/trial/plans.jsonl"
    file.write_text('{"seeds": 3}\n')
    with pytest.raises(RunDirectoryError, match=r"plans\.jsonl is damaged.*move it away"):
        run(load(tmp_path), tmp_path)
    assert file.read_text() == '{"seeds": 3}\n'


def test_under_the_sequential_rule_no_seed_is_forgotten_and_arms_trained_further_are_open_again(
    tmp_path: Path,
) -> None:
    whole = load(tmp_path, arms=("a", "b", "c"), seeds="[0, 1, 2, 3]")
    before = Plan((0, 5), "sequential", 12, {"": {"b": (0,), "c": (0, 5)}})
    assert extend_plan(whole, part(whole, [5], ("a", "b", "c")), before) == Plan(
        (0, 5), "sequential", 12, {"": {"c": (0, 5)}}
    )
    assert extend_plan(whole, part(whole, [5, 6], ("a", "b")), before) == Plan(
        (0, 5, 6), "sequential", 12, {"": {"c": (0, 5)}}
    )
    assert extend_plan(whole, part(whole, [7]), None) == Plan((0, 1, 2, 3, 7))
