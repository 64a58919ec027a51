"""Retired arms: trained no more, still corrected for, and listed with their reason and numbers in every format."""

from __future__ import annotations

import csv
import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from fake_runs import FakeRun, experiment, scored, write, write_run
from typer.testing import CliRunner

from maskbench.cli.comparison.csv_format import to_csv
from maskbench.cli.comparison.latex_format import to_latex
from maskbench.cli.comparison.markdown_format import to_markdown
from maskbench.cli.comparison.render import as_text
from maskbench.cli.main import app
from maskbench.comparison.results import Comparison, ComparisonOptions
from maskbench.comparison.table import compare
from maskbench.comparison.text.json_document import panel_object
from maskbench.config.load import dump_resolved
from maskbench.config.schema.experiment import Experiment, RetiredArm
from maskbench.experiment.plan_log import record_plan
from maskbench.experiment.until_decided import _StoppingRule
from maskbench.records.plans import Plan
from maskbench.report.page import render_page

SEEDS = 8
REASON = "no better than radius 1"
GAINS = {"up": 0.02, "down": -0.01, "window-radius-2": 0.005}


def runs(gain: float, only: int = SEEDS) -> list[FakeRun]:
    return [
        scored(0.5 + seed / 64 + gain * (1 + seed % 3) * (-1 if seed == 3 else 1)) for seed in range(only)
    ]


def made(root: Path, *, only: int = SEEDS, rule: str = "fixed") -> tuple[Experiment, Path]:
    """An experiment of three arms that was run whole, with its plan."""
    whole = experiment(["none", *GAINS], SEEDS)
    folder = write(
        root,
        whole,
        {"none": runs(0.0), **{a: runs(g, only if "2" in a else SEEDS) for a, g in GAINS.items()}},
    )
    seeds = tuple(range(SEEDS))
    record_plan(whole, root, Plan(seeds, rule, 12 if rule == "sequential" else None))  # type: ignore[arg-type]
    return whole, folder


def retire(whole: Experiment, root: Path, name: str = "window-radius-2", title: str = "") -> Experiment:
    """Take an arm out of the file, and say why."""
    (panel,) = whole.panels
    left = panel.model_copy(update={"arms": tuple(arm for arm in panel.arms if arm.name != name)})
    gone = RetiredArm(name=name, title=title or name, reason=REASON)
    part = whole.model_copy(update={"panels": (left,), "retired": (gone,)})
    (root / whole.name / "experiment.yaml").write_text(dump_resolved(part), encoding="utf-8")
    return part


def table(folder: Path) -> Comparison:
    (found,) = compare([folder], ComparisonOptions())
    return found


def numbers(found: Comparison) -> dict[str, Any]:
    document = panel_object(found)
    rows = {row["arm"]: row for row in document["arms"]}
    rows |= {one["arm"]: one["result"] for one in document["retired"]}
    for row in rows.values():
        # Only the file tells these two of an arm.
        row.pop("unsafe"), row.pop("also_different"), row.pop("other_metrics", None)
    return rows


@pytest.mark.parametrize("rule", ["fixed", "sequential"])
@pytest.mark.parametrize("only", [SEEDS, 3, 1])
def test_retiring_an_arm_changes_no_number_of_any_arm(rule: str, only: int, tmp_path: Path) -> None:
    whole, folder = made(tmp_path, only=only, rule=rule)
    before = table(folder)
    part = retire(whole, tmp_path)
    plan = Plan(tuple(range(SEEDS)), rule, 12 if rule == "sequential" else None)  # type: ignore[arg-type]
    record_plan(part, tmp_path, plan)
    after = table(folder)
    assert numbers(after) == numbers(before)
    assert [row.arm for row in after.rows] == ["none", "up", "down"]
    assert after.n_comparisons == 3 == before.n_comparisons
    assert after.signature.replace("8", "") == before.signature.replace("8", "") or only != SEEDS
    assert "adj:holm3" in after.signature
    assert not [alarm for alarm in after.alarms if "taken out" in alarm or "edited" in alarm]
    assert not [warning for warning in after.warnings if "left out" in warning or "retired" in warning]


def test_an_arm_that_is_merely_dropped_is_alarmed_about_and_pointed_to_the_honest_way(tmp_path: Path) -> None:
    whole, folder = made(tmp_path)
    part = retire(whole, tmp_path).model_copy(update={"retired": ()})
    (folder / "experiment.yaml").write_text(dump_resolved(part), encoding="utf-8")
    record_plan(part, tmp_path, Plan(tuple(range(SEEDS))))
    found = table(folder)
    (alarm,) = (alarm for alarm in found.alarms if "taken out" in alarm)
    assert "retired: {arm: reason}" in alarm
    assert found.n_comparisons == 2


def test_every_format_lists_it_with_its_reason_and_its_numbers(tmp_path: Path) -> None:
    whole, folder = made(tmp_path, only=3)
    retire(whole, tmp_path, title="window(radius=2)")
    found = table(folder)
    row = found.retired[0].row
    assert row is not None and row.difference is not None
    sentence = (
        r"retired: window\(radius=2\), not trained any more: no better than radius 1; it had "
        r"[\d.]+ \+- [\d.]+ % over 3/8 seeds; \+\d\.\d+ .*against none, p \d?\.\d+; .*"
        r"counted among the 3 arms that are corrected for"
    )
    plain = re.sub(r"\s+", " ", as_text([found]))
    assert re.search(sentence, plain)
    for shown in (to_markdown([found]), to_latex([found]), render_page([folder], ComparisonOptions())):
        words = re.sub(r"[\\{}]", "", re.sub(r"\s+", " ", shown))
        assert re.search(
            r"retired: window\(radius=2\), not trained any more: no better than radius 1;", words
        )
        assert "counted among the 3 arms" in words
    (entry,) = json.loads(json.dumps(panel_object(found)))["retired"]
    assert (entry["arm"], entry["reason"], entry["is_counted"]) == ("window-radius-2", REASON, True)
    assert entry["result"]["mean"] == pytest.approx(row.mean)
    lines = list(csv.DictReader(StringIO(to_csv([found]))))
    assert [line["retired"] for line in lines] == ["", "", "", REASON]
    assert lines[3]["arm"] == "window-radius-2" and float(lines[3]["mean"]) == pytest.approx(row.mean)
    assert "corrected for 3 arms" in plain


def test_one_that_nobody_ever_ran_is_listed_not_counted_and_perhaps_misspelt(tmp_path: Path) -> None:
    whole, folder = made(tmp_path)
    part = retire(whole, tmp_path)
    wrong = RetiredArm(name="window-radius-3", title="window-radius-3", reason=REASON)
    part = part.model_copy(update={"retired": (wrong,)})
    (folder / "experiment.yaml").write_text(dump_resolved(part), encoding="utf-8")
    found = table(folder)
    assert found.n_comparisons == 2
    (warning,) = (w for w in found.warnings if w.startswith("retired arm"))
    assert "does not count it; did you mean 'window-radius-2'?" in warning
    assert "not counted in the correction" in as_text([found])
    line = list(csv.DictReader(StringIO(to_csv([found]))))[-1]
    assert (line["arm"], line["mean"], line["retired"]) == ("window-radius-3", "", REASON)


def test_one_whose_results_were_deleted_counts_all_the_same(tmp_path: Path) -> None:
    import shutil

    whole, folder = made(tmp_path)
    record_plan(retire(whole, tmp_path), tmp_path, Plan(tuple(range(SEEDS))))
    shutil.rmtree(folder / "window-radius-2")
    found = table(folder)
    assert found.retired[0].row is None and found.retired[0].is_counted
    assert found.n_comparisons == 3
    assert "has none here now; the correction counts it" in " ".join(found.warnings)


def test_runs_on_other_data_are_no_results_of_it(tmp_path: Path) -> None:
    whole, folder = made(tmp_path)
    part = retire(whole, tmp_path)
    gone = whole.panels[0].arms[3]
    for seed, run in enumerate(runs(0.1)):
        write_run(folder / gone.name / f"seed-{seed}", gone, seed, run.with_(data="0" * 64))
    row = table(folder).retired[0].row
    assert part.retired and row is not None
    assert (row.counts.failed, row.mean) == (SEEDS, None)


def test_the_stopping_rule_asks_for_the_evidence_of_all_arms(tmp_path: Path) -> None:
    whole, folder = made(tmp_path, only=3, rule="sequential")
    before = _StoppingRule(table(folder), 12)
    retire(whole, tmp_path)
    after = _StoppingRule(table(folder), 12)
    assert {row.arm: before.reason(row) for row in before.rows if row.arm != "window-radius-2"} == {
        row.arm: after.reason(row) for row in after.rows
    }
    assert before._n_open == after._n_open == 3


def call(*arguments: str | Path) -> Any:
    env = {"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"}
    return CliRunner().invoke(app, [str(a) for a in arguments], env=env)


def test_status_lists_it(tmp_path: Path) -> None:
    whole, folder = made(tmp_path, only=3)
    retire(whole, tmp_path)
    shown = call("status", folder)
    assert "retired: window-radius-2, 3 done: no better than radius 1" in shown.stdout
    (panel,) = json.loads(call("status", folder, "--json").stdout)["panels"]
    (entry,) = panel["retired"]
    assert (entry["arm"], entry["reason"]) == ("window-radius-2", REASON)
    assert [run["state"] for run in entry["runs"]] == ["done"] * 3


FILE = """\
name: small
seeds: 6
corpus: {name: copy, pairs: 64, valid: 8, test: 8, symbols: 7, max_length: 5}
model: {d_model: 12, n_heads: 3, encoder_layers: 1, decoder_layers: 1, d_ff: 20}
train: {steps: 5}
arms: {none: [], window: [{site: encoder_self, mask: window, radius: 1}]}
retired: {window-radius-2: no better than radius 1}
"""


def test_a_plan_lists_it_and_asks_for_the_seeds_of_all_arms(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(FILE, encoding="utf-8")
    alone = json.loads(call("plan", file, "--runs-dir", tmp_path / "runs", "--json").stdout)
    assert alone["retired"] == [{"arm": "window-radius-2", "reason": REASON}]
    gone = experiment(["none", "window-radius-2"], 6).panels[0].arms[1]
    write_run(tmp_path / "runs" / "small" / gone.name / "seed-0", gone, 0, scored(0.5))
    counted = json.loads(call("plan", file, "--runs-dir", tmp_path / "runs", "--json").stdout)
    assert [(one["seeds"][0]["n_arms"], one["seeds"][0]["n_retired"]) for one in (alone, counted)] == [
        (1, 0),
        (2, 1),
    ]
    assert {run["arm"] for run in counted["runs"]} == {"none", "window"}
    words = re.sub(r"\s+", " ", call("plan", file, "--runs-dir", tmp_path / "runs").stdout)
    assert (
        "window-radius-2 is not trained any more: no better than radius 1; its results are counted" in words
    )


@pytest.mark.parametrize("asked", ["window-radius-2", "window(radius=2)"])
@pytest.mark.parametrize(
    "options", [["--baseline", "{}"], ["--fail-unless", "{} better"], ["--fail-unless", "{}"]]
)
def test_an_arm_that_is_asked_for_is_said_to_be_retired(
    asked: str, options: list[str], tmp_path: Path
) -> None:
    whole, folder = made(tmp_path)
    retire(whole, tmp_path, title="window(radius=2)")
    found = CliRunner().invoke(app, ["compare", str(folder), *(option.format(asked) for option in options)])
    assert found.exit_code == 2
    said = f"arm {asked!r} is retired ({REASON}): it gets no verdict any more (arms"
    assert said in " ".join(found.output.split())
