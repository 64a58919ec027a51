"""Sentences shared with train or with the checkpoints' choice are said by the table and the report of the runs alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_runs import FakeRun, experiment, scored, write

from maskbench.comparison.results import Comparison, ComparisonOptions
from maskbench.comparison.table import compare
from maskbench.report.page import render_page
from maskbench.statistics.split_overlap import Overlap, SplitOrigin, SplitOverlaps

SIZES = {
    "train": SplitOrigin(900),
    "valid": SplitOrigin(100),
    "test": SplitOrigin(100),
    "noise-drop-20": SplitOrigin(100, origin="test"),
}


OTHERS = ("noise-drop-20/exact_match", "valid/exact_match")


def written(root: Path, *counts: Overlap, known: bool = True) -> Path:
    overlaps = SplitOverlaps(SIZES, counts) if known else None

    def run(score: float) -> FakeRun:
        made = scored(score)
        metrics = {**made.metrics, **dict.fromkeys(OTHERS, score)}
        return made.with_(metrics=metrics, overlaps=overlaps)

    runs = {
        arm: [run(base + 0.001 * seed) for seed in range(3)] for arm, base in (("none", 0.5), ("up", 0.6))
    }
    return write(root, experiment(["none", "up"], 3), runs)


def compared(directory: Path, metric: str = "test/exact_match") -> Comparison:
    return compare([directory], ComparisonOptions(metric))[0]


def about(sentences: tuple[str, ...]) -> list[str]:
    return [s for s in sentences if s.startswith(("tuned on", "trained on", "shared sentences"))]


@pytest.mark.parametrize("metric", ["test/exact_match", "noise-drop-20/exact_match"])
@pytest.mark.parametrize(("shared", "is_alarm"), [(100, True), (3, True), (2, False), (1, False), (0, None)])
@pytest.mark.parametrize(("other", "start"), [("valid", "tuned on what"), ("train", "trained on what")])
def test_the_share_decides_between_an_alarm_and_a_warning(
    tmp_path: Path, metric: str, shared: int, is_alarm: bool | None, other: str, start: str
) -> None:
    found = compared(written(tmp_path, Overlap("test", other, shared, shared, shared)), metric)
    alarms, warnings = about(found.alarms), about(found.warnings)
    assert (len(alarms), len(warnings)) == (is_alarm is True, is_alarm is False)
    if is_alarm:
        assert alarms[0].startswith(f"{start} is compared: {metric} is measured on")
        assert f"{shared} of 100 sources" in alarms[0]
    if is_alarm is False:
        assert warnings[0].startswith("shared sentences: of 100 sources of test")
        assert f"{shared} are also in {other}" in warnings[0]
    if is_alarm is not None:
        assert ("of which noise-drop-20 is an altered copy" in [*alarms, *warnings][0]) == metric.startswith(
            "noise"
        )


def test_both_are_one_line_of_the_table(tmp_path: Path) -> None:
    found = compared(written(tmp_path, Overlap("test", "train", 1, 1, 0), Overlap("test", "valid", 2, 2, 2)))
    assert about(found.warnings) == [
        "shared sentences: of 100 sources of test, 1 are also in train (0 with the same target) and 2 are also in valid, on"
        " which valid/nll picked every run's checkpoint"
    ]


def test_what_only_the_model_reads_alike_is_told_apart(tmp_path: Path) -> None:
    (alarm,) = about(compared(written(tmp_path, Overlap("test", "valid", 40, 0, 0, 30))).alarms)
    assert "(40 of 100 sources of test are also in valid, 30 of them only as the model reads them)" in alarm


def test_targets_and_other_splits_alone_are_nothing_to_the_table(tmp_path: Path) -> None:
    counts = Overlap("test", "train", 0, 100, 0), Overlap("valid", "train", 100, 100, 100)
    found = compared(written(tmp_path, *counts))
    assert about(found.alarms) == about(found.warnings) == []


def test_runs_of_an_older_version_are_judged_by_names(tmp_path: Path) -> None:
    found = compared(written(tmp_path, known=False))
    assert about(found.alarms) == about(found.warnings) == [] and found.rows[0].counts.done == 3
    (alarm,) = about(compared(written(tmp_path / "b", known=False), "valid/exact_match").alarms)
    assert alarm.endswith("such as test/exact_match")


def test_the_first_run_that_knows_speaks_for_all(tmp_path: Path) -> None:
    directory = written(tmp_path, Overlap("test", "valid", 100, 100, 100))
    for run in (directory / "none" / "seed-0", directory / "none" / "seed-1"):
        record = json.loads((run / "run.json").read_text())
        del record["data"]
        (run / "run.json").write_text(json.dumps(record))
    assert about(compared(directory).alarms)


def test_damaged_counts_are_a_damaged_run(tmp_path: Path) -> None:
    directory = written(tmp_path)
    file = directory / "up" / "seed-1" / "run.json"
    file.write_text(
        json.dumps({**json.loads(file.read_text()), "data": {"splits": {"test": {"pairs": "many"}}}})
    )
    found = compared(directory)
    assert found.rows[1].counts.failed == 1
    assert any("'many' stands where a count should" in warning for warning in found.warnings)


def test_the_report_has_every_count_and_says_the_grave_ones(tmp_path: Path) -> None:
    directory = written(
        tmp_path, Overlap("valid", "train", 7, 9, 5), Overlap("test", "valid", 41, 43, 37, 3, 2)
    )
    page = render_page([directory], ComparisonOptions())
    assert (
        "5 of 100 pairs of valid are also in train, word for word; 2 more sources with another target" in page
    )
    rows = {
        tuple(part.split("<")[0] for part in row.split("<td>")[1:]) for row in page.split('<th scope="row">')
    }
    assert {("train", "7", "9", "5", "0"), ("valid", "41", "43", "37", "3")} <= rows
    assert "Tuned on what is compared: test/exact_match" in page


def test_the_report_of_older_runs_has_no_such_table(tmp_path: Path) -> None:
    runs: dict[str, list[FakeRun]] = {"none": [scored(0.5)], "up": [scored(0.6)]}
    page = render_page([write(tmp_path, experiment(["none", "up"], 1), runs)], ComparisonOptions())
    assert "Sentences that splits have in common" not in page
