"""Means over other seeds than the baseline's are marked, and the means whose difference is shown stand beside them."""

from __future__ import annotations

import csv
import json
import re
import tempfile
from io import StringIO
from pathlib import Path

import pytest
from fake_runs import FakeRun, experiment, scored, write
from hypothesis import given, settings
from hypothesis import strategies as st

from maskbench.cli.comparison.csv_format import to_csv
from maskbench.cli.comparison.latex_format import to_latex
from maskbench.cli.comparison.markdown_format import to_markdown
from maskbench.cli.comparison.render import as_text
from maskbench.comparison.results import Comparison, ComparisonOptions
from maskbench.comparison.table import compare
from maskbench.comparison.text.footnotes import unequal_seeds
from maskbench.comparison.text.json_document import panel_object
from maskbench.comparison.text.number_format import scale_of
from maskbench.comparison.text.sentences import verdict_sentence
from maskbench.comparison.text.table_cells import table_cells
from maskbench.report.page import render_page

BLEU = "test/bleu"


def tabulated(root: Path, own: list[float | None], baseline: list[float | None]) -> tuple[Path, Comparison]:
    def runs(values: list[float | None]) -> list[FakeRun | None]:
        return [None if v is None else scored(v, metric=BLEU).with_(losses=repr(v)) for v in values]

    wanted = experiment(["none", "window"], len(own), metric=BLEU)
    folder = write(root, wanted, {"none": runs(baseline), "window": runs(own)})
    (found,) = compare([folder], ComparisonOptions())
    return folder, found


scores = st.one_of(st.none(), st.floats(0, 100, allow_nan=False))


@given(pairs=st.lists(st.tuples(scores, scores), min_size=2, max_size=6))
@settings(max_examples=40, deadline=None)
def test_the_difference_is_that_of_the_means_that_are_printed(
    pairs: list[tuple[float | None, float | None]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _, found = tabulated(Path(folder), [a for a, _ in pairs], [b for _, b in pairs])
    cells, difference = table_cells(found).rows[1], found.rows[1].difference
    assert difference is not None
    both = [(a, b) for a, b in pairs if a is not None and b is not None]
    is_unequal = any((a is None) != (b is None) for a, b in pairs)
    assert (difference.paired_means is not None) == (is_unequal and bool(both))
    if not both:
        assert cells.difference == ""
        return
    if difference.paired_means is None:
        shown = float(cells.mean) - float(table_cells(found).rows[0].mean)
    else:
        arm, _, baseline = cells.paired_means.partition(" - ")
        shown = float(arm) - float(baseline)
        assert difference.paired_means.seeds == len(both)
    # Each of the three numbers is rounded by at most half of its last digit.
    assert shown == pytest.approx(float(cells.difference), abs=1.5001 * 10.0 ** -scale_of(found).decimals)


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Comparison]:
    """Means of 24.4 and 20.0 whose seeds differ, and a difference of -0.9."""
    return tabulated(
        tmp_path_factory.mktemp("runs"), [None, None, 24.2, 24.6, None], [15.0, 15.0, 25.4, 25.2, 19.4]
    )


ARM, BASE, GAP = 24.4, 25.3, -0.9


def test_every_format_shows_the_paired_means(unfinished: tuple[Path, Comparison]) -> None:
    folder, found = unfinished
    note = "over the 2 seeds of both window has 24.4 and none 25.3"
    text, markdown, latex = as_text([found]), to_markdown([found]), to_latex([found])
    for shown in (text, markdown, latex, render_page([folder], ComparisonOptions())):
        assert note in re.sub(r"\s+", " ", shown.replace("·", ""))
    assert re.search(r"window +2/5 +24\.4 ± 0\.3†", text)
    assert re.search(r"\| window \| 2/5 \| 24\.4 ± 0\.3† \| -0\.9 ", markdown)
    assert r"$24.4$ \textpm{} $0.3$\textdagger{} & $-0.9$" in latex
    document = json.loads(json.dumps(panel_object(found)))
    assert document["arms"][1]["difference"]["paired_means"] == {
        "arm": pytest.approx(ARM),
        "baseline": pytest.approx(BASE),
        "seeds": 2,
    }
    line = list(csv.DictReader(StringIO(to_csv([found]))))[1]
    assert float(line["paired_mean"]) - float(line["paired_baseline_mean"]) == pytest.approx(GAP)
    assert "24.4 against 25.3 of none over the 2 seeds of both" in verdict_sentence(found.rows[1], found)


def test_nothing_is_marked_where_both_have_the_same_seeds(tmp_path: Path) -> None:
    folder, found = tabulated(tmp_path, [24.2, None, 24.6], [25.4, None, 25.2])
    assert not list(unequal_seeds(found))
    assert panel_object(found)["arms"][1]["difference"]["paired_means"] is None
    assert list(csv.DictReader(StringIO(to_csv([found]))))[1]["paired_mean"] == ""
    for shown in (as_text([found]), to_markdown([found]), render_page([folder], ComparisonOptions())):
        assert "†" not in shown and "of both" not in shown


def test_other_metrics_have_paired_means_too(tmp_path: Path) -> None:
    runs = [scored(0.5), scored(0.25), scored(0.75)]
    folder = write(tmp_path, experiment(["none", "window"], 3), {"none": runs, "window": [None, *runs[:2]]})
    (found,) = compare([folder], ComparisonOptions())
    other = panel_object(found)["arms"][1]["other_metrics"]["test/bleu"]
    assert other["mean"] == pytest.approx(15.0)
    assert other["paired_means"] == {"arm": pytest.approx(15.0), "baseline": pytest.approx(20.0), "seeds": 2}
    assert other["difference_mean"] == pytest.approx(-5.0)
    assert "15.0† (-5.0)" in render_page([folder], ComparisonOptions())
