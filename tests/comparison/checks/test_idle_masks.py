"""What the table says of arms whose masks did nothing in their runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_runs import experiment, scored, write

from maskbench.comparison.checks.idle_masks import describe_idle, describe_untrained_positions
from maskbench.comparison.results import Comparison, ComparisonOptions
from maskbench.comparison.table import compare


def entry(site: str = "encoder_input", **facts: Any) -> dict[str, Any]:
    return {"site": site, "mask": "window", "phases": ["train", "eval"], **facts}


@pytest.mark.parametrize(
    ("proof", "expected"),
    [
        (entry(realised_ratio=0.0), "picked no token in training"),
        (entry(realised_ratio=0.15), ""),
        (entry(realised_ratio=None, density=1.0), "hid no pair of positions in training"),
        (entry(realised_ratio=None, density=0.99), ""),
        (entry(realised_ratio=None, density=None), ""),
        (entry("loss", realised_ratio=0.0), "left every target token in the loss"),
        (entry("loss", realised_ratio=1.0), "left no target token in the loss"),
        (entry(realised_ratio=1.0), ""),
        (entry(trained=False, density=None), "has learned numbers that were never trained"),
        (entry(trained=True, density=None), ""),
        ({**entry(realised_ratio=None), "phases": ["eval"]}, ""),
        (
            {"site": "encoder_input", "realised_ratio": 0.0},
            "picked no token in training",
        ),  # recorded before there were phases
    ],
)
def test_what_a_proof_says(proof: dict[str, Any], expected: str) -> None:
    assert describe_idle(proof) == expected


def test_a_mask_from_another_run_may_have_been_trained_there() -> None:
    assert describe_idle(entry(trained=False), starts_trained=True) == ""


def tabulated(folder: Path, *results: dict[str, Any]) -> Comparison:
    """Compare two arms of two seeds; result.json of the second arm's runs gets these keys."""
    runs = {"none": [scored(0.4), scored(0.5)], "idle": [scored(0.6), scored(0.7)]}
    found = write(folder, experiment(["none", "idle"], 2), runs)
    for seed, extra in enumerate(results):
        path = found / "idle" / f"seed-{seed}" / "result.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **extra}))
    (comparison,) = compare([found], ComparisonOptions())
    return comparison


def test_the_table_says_above_it_which_mask_did_nothing_and_in_how_many_runs(tmp_path: Path) -> None:
    idle, acting = {"masks": [entry(realised_ratio=0.0)]}, {"masks": [entry(realised_ratio=0.2)]}
    (both,) = tabulated(tmp_path / "a", idle, idle).alarms
    assert (
        both.startswith("a mask that did nothing: ") and "picked no token in training in 2 of 2 runs" in both
    )
    (one,) = tabulated(tmp_path / "b", idle, acting).alarms
    assert "in 1 of 2 runs" in one
    assert tabulated(tmp_path / "c", acting, acting).alarms == ()


def test_the_table_says_that_nothing_was_learned(tmp_path: Path) -> None:
    empty = {"loss_without_tokens": True}
    (alarm,) = tabulated(tmp_path, empty, empty).alarms
    assert alarm.startswith("nothing was learned: no target token counted in the loss of idle in 2 of 2 runs")


def test_what_a_mask_does_in_evaluation_is_not_denied(tmp_path: Path) -> None:
    """A window wider than training sentences may be narrower than evaluated ones: the records are of training."""
    wide = {"masks": [entry("encoder_self", density=1.0)]}
    (alarm,) = tabulated(tmp_path, wide, wide).alarms
    assert alarm.endswith(
        "hid no pair of positions in training in 2 of 2 runs: nothing the arm learned comes from it"
    )


def test_splits_beyond_the_trained_positions_share_a_sentence_where_the_arms_are_the_same() -> None:
    both, one = {"test": (1, 4), "long": (7, 7)}, {"novel": (2, 5)}
    said = describe_untrained_positions([("a", both), ("b", {**both, **one}), ("a", both), ("c", {})])
    start, end = "untrained positions: ", " exceed the longest training pair, and with positions: learned the"
    assert [sentence.split(end)[0] for sentence in said] == [
        f"{start}1 of 4 pairs of test and 7 of 7 pairs of long",
        f"{start}2 of 5 pairs of novel",
    ]
    assert [sentence[sentence.index("(") :] for sentence in said] == ["(a, b)", "(b)"]


def test_the_table_says_how_many_sentences_use_places_that_were_never_trained(tmp_path: Path) -> None:
    longer = {"untrained_positions": {"test": [12, 40]}}
    found = tabulated(tmp_path, longer, longer)
    (warning,) = [said for said in found.warnings if said.startswith("untrained positions")]
    assert "12 of 40 pairs of test" in warning and "(idle)" in warning and found.alarms == ()
