"""The leak alarm: which arms it rings for, what it says, and where it is read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from fake_runs import FakeRun, experiment, write

from maskbench.cli.comparison.render import as_text
from maskbench.comparison.results import Comparison, ComparisonOptions
from maskbench.comparison.table import compare
from maskbench.comparison.text.json_document import to_json


def leaking(gap: float, *, split: str = "test", match: float = 0.03, **more: float) -> FakeRun:
    """A finished run with a gap."""
    metrics = {"test/exact_match": match, f"{split}/forced_gap": gap, **more}
    return FakeRun(metrics, outputs=repr(metrics), losses=repr(metrics))


def compared(root: Path, metric: str | None = None, **arms: Sequence[FakeRun | None]) -> Comparison:
    (found,) = compare([write(root, experiment(list(arms), 3), arms)], ComparisonOptions(metric=metric))
    return found


def clean() -> list[FakeRun | None]:
    return [leaking(0.0, match=0.9 + seed / 100) for seed in range(3)]


def test_it_says_who_leaks_how_much_and_by_what_evidence(tmp_path: Path) -> None:
    runs = [leaking(gap, **{"test/token_accuracy": 0.991}) for gap in (0.93, 0.945, 0.94)]
    (alarm,) = compared(tmp_path, none=clean(), leaky=runs).alarms
    assert alarm == (
        "leak alarm: of 100 sentences of test, leaky gets 94 more right when it is given the reference's words than when"
        " it goes on from its own (token accuracy 99.1 %, exact match 3.0 %, seed 1; likewise in 3 of 3 runs): it sees"
        " what it should not, or something acts only in decoding, such as a mask of the logits or the limit on length"
    )


@pytest.mark.parametrize(("gap", "rings"), [(0.0, 0), (0.02, 0), (0.0201, 1), (1.0, 1), (-1.0, 0)])
def test_it_rings_above_two_sentences_in_a_hundred(tmp_path: Path, gap: float, rings: int) -> None:
    found = compared(tmp_path, none=clean(), other=[leaking(gap)] * 3)
    assert len(found.alarms) == rings


def test_the_baseline_is_heard_too_and_one_run_is_enough(tmp_path: Path) -> None:
    runs = [leaking(0.0), leaking(0.0), leaking(0.3)]
    first, second = compared(tmp_path, none=[leaking(0.5), *clean()[1:]], other=runs).alarms
    assert "none gets 50 more" in first and "seed 0; likewise in 1 of 3 runs)" in first
    assert "other gets 30 more" in second and "seed 2; likewise in 1 of 3 runs)" in second


def test_an_arm_is_one_sentence_about_its_worst_split(tmp_path: Path) -> None:
    runs = [
        leaking(0.5, **{"long-1/forced_gap": 0.7, "long-1/exact_match": 0.125, "long-2/forced_gap": 0.1})
    ] * 3
    (alarm,) = compared(tmp_path, none=clean(), other=runs).alarms
    assert "of 100 sentences of long-1, other gets 70 more" in alarm
    assert "(exact match 12.5 %, seed 0; likewise in 3 of 3 runs, and less so on 2 more splits)" in alarm


def test_a_gap_under_other_masks_says_so(tmp_path: Path) -> None:
    runs = [leaking(0.25, split="test@none", **{"test@none/token_accuracy": 0.75})] * 3
    (alarm,) = compared(tmp_path, none=clean(), other=runs).alarms
    assert "of 100 sentences of test under the masks of none, other gets 25 more" in alarm
    assert "(token accuracy 75.0 %, seed 0" in alarm


def test_runs_are_heard_that_the_table_cannot_use(tmp_path: Path) -> None:
    runs = [leaking(0.5, **{"test/bleu": 1.0}), leaking(0.5), leaking(0.5).with_(state="diverged")]
    base = [leaking(0.0, **{"test/bleu": 30.0})] * 3
    found = compared(tmp_path, "test/bleu", none=base, other=runs)
    assert found.rows[1].counts.done == 1
    assert "in 2 of 2 runs" in found.alarms[0]


def test_without_the_metric_nothing_is_said(tmp_path: Path) -> None:
    runs = [FakeRun({"test/exact_match": 0.5}, outputs="o", losses="l")] * 3
    assert compared(tmp_path, none=runs, other=runs).alarms == ()


def test_people_read_it_before_the_table_and_programs_among_the_warnings(tmp_path: Path) -> None:
    found = compared(tmp_path, none=clean(), other=[*[leaking(0.5)] * 2, None])
    text = as_text([found])
    assert text.count("leak alarm") == 1
    assert text.index("test/exact_match in %") < text.index("! leak alarm") < text.index("verdict")
    warnings = json.loads(to_json([found]))["warnings"]
    assert warnings == [*found.alarms, *found.warnings] and len(found.warnings) == 1
