"""What was planned over time, and what the table says of a plan that was changed with results in sight."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from fake_runs import experiment, scored, write

from maskbench.comparison.checks.plan_changes import plan_change_alarms
from maskbench.comparison.results import ComparisonOptions
from maskbench.comparison.table import compare
from maskbench.records.collect import CollectedPanel, collect_panel
from maskbench.records.locate import find_panels
from maskbench.records.plans import Plan, Question, SeedChange, find_seed_changes, read_plans
from maskbench.runs.directory import ExperimentDirectory


def plan(*seeds: int, results: int = 0, **others: object) -> Plan:
    return Plan(seeds, results=results, **others)  # type: ignore[arg-type]


def directory(tmp_path: Path, plans: Sequence[Plan] = (), *, seeds: int = 4, text: str | None = None) -> Path:
    """Two arms of `seeds` runs each, and a plans.jsonl."""
    place = write(
        tmp_path,
        experiment(("none", "window"), seeds),
        {
            "none": [scored(0.5 + 0.01 * seed) for seed in range(seeds)],
            "window": [scored(0.6 + 0.02 * seed) for seed in range(seeds)],
        },
    )
    lines = "".join(json.dumps({**one.to_json(), "time": 1.5}) + "\n" for one in plans)
    if plans or text is not None:
        (place / "plans.jsonl").write_text(lines if text is None else text)
    return place


def collected(place: Path) -> CollectedPanel:
    (found,) = find_panels(place)
    return collect_panel(found)


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    first = plan(0, 1)
    second = Plan((0, 1, 7), "sequential", 20, {"": {"window": (0, 1)}, "small": {"near": (7,)}}, 4)
    place = directory(tmp_path, [first, second])
    assert read_plans(ExperimentDirectory(place)) == (first, second)
    assert second.closed_in(None) == {"window": (0, 1)} and second.closed_in("small") == {"near": (7,)}
    assert second.closed_in("large") == {}


@pytest.mark.parametrize(
    ("plans", "changes"),
    [
        ([], []),
        ([plan(0, 1)], []),
        # Nobody had seen anything yet.
        ([plan(0, 1), plan(0, 1, 2)], []),
        ([plan(0, 1), plan(0, 1, 2, results=3)], [SeedChange("added", (2,), 3)]),
        ([plan(0, 1), plan(0, 1, 2), plan(0, 1, 2, 3, results=6)], [SeedChange("added", (3,), 6)]),
        # Twice; what counts is what was known at the first time.
        (
            [plan(0, 1), plan(0, 1, 2, results=4), plan(0, 1, 2, 3, results=6)],
            [SeedChange("added", (2, 3), 4)],
        ),
        ([plan(0, 1, 2), plan(0, 1, results=4)], [SeedChange("dropped", (2,), 4)]),
        (
            [plan(0, 1, 2), plan(0, 3, results=5)],
            [SeedChange("added", (3,), 5), SeedChange("dropped", (1, 2), 5)],
        ),
        # Dropped and put back: as planned.
        ([plan(0, 1), plan(0, results=2), plan(0, 1, results=2)], []),
        # Added, looked at, and dropped again.
        ([plan(0, 1), plan(0, 1, 2, results=4), plan(0, 1, results=6)], [SeedChange("dropped", (2,), 6)]),
        # The rule that allows for looking.
        ([plan(0, 1), plan(0, 1, 2, results=4, rule="sequential", limit=20)], []),
        # It allows for looking, and not for having chosen among seeds before; unless they are back.
        (
            [plan(0, 1, 2), plan(0, 2, results=6), plan(0, 2, 3, results=4, rule="sequential")],
            [SeedChange("dropped", (1,), 6)],
        ),
        ([plan(0, 1, 2), plan(0, 2, results=6), plan(0, 1, 2, results=4, rule="sequential")], []),
        # Seeds of a fixed plan that the sequential one had no need of.
        ([plan(0, 1, 2), plan(0, results=2, rule="sequential")], []),
        # A record that begins with results was begun when an earlier one was lost; its first line is taken as given.
        ([plan(0, 1, results=2), plan(0, 1, 2, results=4)], [SeedChange("added", (2,), 4)]),
    ],
)
def test_what_was_changed_after_the_first_results(plans: list[Plan], changes: list[SeedChange]) -> None:
    assert find_seed_changes(plans) == changes


def test_an_extension_is_an_alarm_that_says_what_when_why_and_what_to_do(tmp_path: Path) -> None:
    place = directory(tmp_path, [plan(0, 1), plan(0, 1, 2, 3, results=4)])
    (comparison,) = compare([place], ComparisonOptions())
    (alarm,) = comparison.alarms
    assert alarm.startswith("extended after seeing results: seeds 2-3 were added when 4 runs had results")
    assert "promise too much" in alarm and "--until-decided" in alarm
    assert comparison.plan_change_alarms == (alarm,)
    assert comparison.rule == "fixed"


def test_one_seed_and_one_run_are_spoken_of_as_one(tmp_path: Path) -> None:
    place = directory(tmp_path, [plan(0, 1), plan(0, results=1)], seeds=1)
    (remark,) = plan_change_alarms(collected(place))
    assert remark.startswith("shortened after seeing results: seed 1 was dropped when 1 run had a result;")


@pytest.mark.parametrize(
    "text",
    [
        "not JSON\n",
        "[1]\n",
        '{"seeds": 4}\n',
        '{"seeds": [0, "x"], "rule": "fixed", "limit": null, "closed": {}, "results": 0}\n',
        '{"seeds": [0], "rule": "guessed", "limit": null, "closed": {}, "results": 0}\n',
        '{"seeds": [0], "rule": "fixed", "limit": null, "closed": [3], "results": 0}\n',
        '{"seeds": [0], "rule": "fixed", "limit": null, "closed": {}, "results": true}\n',
        '{"seeds": 0, "rule": "fixed", "limit": null, "closed": {}, "results": -1}\n',
    ],
)
def test_a_damaged_record_of_plans_is_a_remark(tmp_path: Path, text: str) -> None:
    found = collected(directory(tmp_path, text=text))
    (remark,) = (text for text in found.remarks if "plans.jsonl" in text)
    assert "nobody knows whether seeds were added" in remark
    # Nobody can tell, so the rule is the one that holds in either case.
    assert found.rule == "sequential" and found.plans == () and len(found.runs) == 8


def test_a_torn_last_line_does_not_count(tmp_path: Path) -> None:
    place = directory(tmp_path, [plan(0, 1, 2, 3)])
    with (place / "plans.jsonl").open("a") as file:
        file.write('{"seeds": [0')
    assert collected(place).plans == (plan(0, 1, 2, 3),)


def test_later_seeds_of_a_closed_arm_are_not_planned(tmp_path: Path) -> None:
    closed = {"": {"window": (0, 2)}}
    found = collected(directory(tmp_path, [Plan((0, 1, 2, 3), "sequential", 9, closed)]))
    assert [seed for arm, seed in found.runs if arm == "window"] == [0, 2]
    assert [seed for arm, seed in found.runs if arm == "none"] == [0, 1, 2, 3]
    assert found.limit == 9


ASKED = Question("test/exact_match", 0.05, None, {"": "none"}, {"": ("none", "window")})


def asking(results: int = 0, **changes: object) -> Plan:
    return Plan((0, 1, 2, 3), results=results, question=replace(ASKED, **changes))  # type: ignore[arg-type]


def test_the_question_of_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    plans = (plan(0), asking(min_effect=0.01, alpha=0.2))
    assert read_plans(ExperimentDirectory(directory(tmp_path, plans))) == plans


@pytest.mark.parametrize(
    ("plans", "beginnings"),
    [
        ([asking()], []),
        # What an earlier version did not write down is not known to have been otherwise.
        ([plan(0, 1, 2, 3), asking(8)], []),
        ([asking(alpha=0.2), asking()], []),
        ([asking(), asking(8, alpha=0.2), asking(8)], []),
        (
            [
                asking(alpha=0.2, metric="test/nll", min_effect=0.1, baseline={"": "window"}),
                asking(8),
                asking(9),
            ],
            [
                "the question was changed after seeing results: metric test/exact_match instead of test/nll, baseline "
                "none instead of window, alpha 0.05 instead of 0.2, min_effect none instead of 0.1; 8 runs had results "
                "by then; "
            ],
        ),
        (
            [asking(arms={"": ("none", "window", "loser")}), asking(5)],
            [
                "arms were taken out after seeing results: loser; 5 runs had results by then; the correction counts fewer"
            ],
        ),
        # The correction counts an arm that was added.
        ([asking(arms={"": ("none",)}), asking(5)], []),
        # experiment.yaml was edited past `maskbench run`.
        (
            [plan(0, 1, 2, 3, 4)],
            ["experiment.yaml is not what was planned: seeds 0-3 instead of seeds 0-4; "],
        ),
        ([plan(1, 0, 2, 3)], ["experiment.yaml is not what was planned: its seeds in another order; "]),
        (
            [asking(alpha=0.01, arms={"": ("none", "window", "loser")})],
            ["experiment.yaml is not what was planned: alpha 0.05 instead of 0.01, no arm loser; "],
        ),
    ],
)
def test_a_question_that_was_changed_after_the_answers_is_said_to_be(
    tmp_path: Path, plans: list[Plan], beginnings: list[str]
) -> None:
    said = plan_change_alarms(collected(directory(tmp_path, plans)))
    assert len(said) == len(beginnings)
    assert all(text.startswith(begin) for text, begin in zip(said, beginnings, strict=True)), said
