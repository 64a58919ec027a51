"""The cells of a table: what each says, and that all formats show the same ones."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from io import StringIO

import pytest
from made_comparisons import comparison, difference, every_verdict, on, others, row

from maskbench.cli.comparison.csv_format import to_csv
from maskbench.cli.comparison.latex_format import to_latex
from maskbench.cli.comparison.markdown_format import to_markdown
from maskbench.cli.comparison.render import as_text
from maskbench.comparison.results import ArmCost, OtherMetric, RunCounts
from maskbench.comparison.text.number_format import Scale
from maskbench.comparison.text.table_cells import arm_cells, other_metric_names, table_cells
from maskbench.comparison.text.verdict_symbols import verdict_with_symbol

PERCENT = Scale(100.0, 1)
FREE = ArmCost(None, None, None, None)


@pytest.mark.parametrize(
    ("cost", "text", "short"),
    [
        (ArmCost(None, 1.337, None, None, 1.291, 1.402), "1.34x [1.29, 1.40]", "1.34x"),
        (ArmCost(None, 1.337, None, None), "1.34x", "1.34x"),
        (FREE, "", ""),
    ],
)
def test_a_cost_has_its_interval_where_there_is_one(cost, text, short):
    cells = arm_cells(row("a", cost=cost), PERCENT)
    assert cells.cost_with_interval("x") == text
    assert cells.cost("x") == short


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        (RunCounts(8, 0, 0, 0), "8"),
        (RunCounts(5, 1, 1, 1), "5/8"),
        (RunCounts(0, 0, 0, 3), "0/3"),
        (RunCounts(0, 0, 0, 0), "0"),
    ],
)
def test_runs_are_counted_against_all_planned_ones_where_some_are_not_done(counts, text):
    assert arm_cells(row("a", counts=counts), PERCENT).runs == text
    assert counts.planned == counts.ended + counts.waiting


def test_an_arm_has_its_numbers_in_the_unit_of_the_scale():
    cells = arm_cells(row("a", difference(0.0167, -0.009, 0.0251, p_holm=0.0312), "better"), PERCENT)
    assert (cells.mean, cells.sd) == ("55.2", "1.8")
    assert cells.mean_with_sd() == "55.2 ± 1.8"
    assert cells.mean_with_sd("+-", "\n") == "55.2\n+- 1.8"
    assert cells.difference_with_interval() == "+1.7 [-0.9, 2.5]"
    assert (cells.p, cells.wins, cells.verdict) == ("0.031", "8/8", "better")
    assert not cells.is_baseline


def test_what_is_not_known_is_an_empty_cell():
    nothing = row(
        "a", difference(None, p=None, p_holm=None, wins=0, n=0), "unusable", mean=None, sd=None, cost=FREE
    )
    cells = arm_cells(nothing, PERCENT)
    assert (
        cells.mean_with_sd()
        == cells.difference_with_interval()
        == cells.p
        == cells.cost_with_interval("x")
        == ""
    )
    assert cells.wins == "0/0"
    one_seed = arm_cells(row("a", difference(0.01, n=1, wins=1), "not testable", sd=None), PERCENT)
    assert one_seed.mean_with_sd() == "55.2"
    assert one_seed.difference_with_interval() == "+1.0"


def test_a_baseline_has_no_difference_and_no_verdict():
    cells = arm_cells(row("a"), PERCENT)
    assert cells.is_baseline
    assert cells.difference == cells.interval == cells.p == cells.wins == cells.verdict == ""


def test_marks_stand_behind_a_title():
    assert arm_cells(row("a", unsafe=True, oracle=True), PERCENT).title_with_marks == "a (unsafe) (oracle)"
    assert arm_cells(row("a"), PERCENT).title_with_marks == "a"


def test_a_table_says_what_it_compares():
    found = every_verdict()
    assert table_cells(found).settings_text == (
        "test/token_accuracy in % (higher is better), baseline static, min_effect 1.0"
    )
    nll = on("test/nll", replace(found, settings=replace(found.settings, min_effect=None)))
    assert table_cells(nll).settings_text == "test/nll (lower is better), baseline static"


def test_p_is_called_corrected_where_there_are_several_arms_and_anytime_where_seeds_are_added():
    found = every_verdict()
    pair = replace(found, rows=found.rows[:2])
    assert table_cells(found).p_heading == "p (Holm)"
    assert table_cells(pair).p_heading == "p"
    assert table_cells(replace(found, rule="sequential")).p_heading == "anytime p (Holm)"


def test_a_verdict_stands_behind_its_symbol():
    assert verdict_with_symbol("better") == "▲ better"
    assert verdict_with_symbol("") == ""


def test_the_forced_gap_is_listed_only_where_it_is_not_zero_for_some_arm():
    def gaps(*means: float):
        rows = [
            row(f"a{n}", other_metrics={**others(None), "test/forced_gap": OtherMetric(mean, 0.0, 8, None)})
            for n, mean in enumerate(means)
        ]
        return {str(name) for name in other_metric_names(comparison(*rows))}

    assert gaps(0.0, 0.0) == set(others(None))
    assert gaps(0.0, 0.1) == {*others(None), "test/forced_gap"}


def test_every_format_shows_the_same_numbers():
    found = every_verdict()
    records = {record["arm"]: record for record in csv.DictReader(StringIO(to_csv([found]), newline=""))}
    shown = {
        "terminal": as_text([found]),
        "markdown": to_markdown([found]).replace("\\", ""),
        "latex": to_latex([found]).replace("$", "").replace("{", "").replace("}", ""),
    }
    for one in found.rows:
        record = records[one.arm]
        numbers = [f"{100 * float(record[key]):.1f}" for key in ("mean", "sd") if record[key]]
        if record["difference"]:
            numbers.append(f"{100 * float(record['difference']):+.1f}")
        if record["low"]:
            low, high = (f"{100 * float(record[key]):.1f}" for key in ("low", "high"))
            numbers.append(f"[{low}, {high}]".replace("-0.0", "0.0"))
        for name, text in shown.items():
            lines = [line for line in text.splitlines() if re.match(rf"(\| )?{one.arm}\b", line)]
            assert any(all(number in line for number in numbers) for line in lines), (name, one.arm, numbers)
