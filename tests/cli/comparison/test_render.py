"""The printed table: it fits, it names everything, and text from files cannot do anything to it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path

import pytest
from fake_runs import FakeRun, experiment, scored, write, write_costs
from made_comparisons import comparison as made
from made_comparisons import difference, every_verdict, on, others, row
from rich.cells import cell_len
from rich.console import Console

from maskbench.cli.comparison.other_metrics import MetricSelection
from maskbench.cli.comparison.render import as_text, print_comparisons, render_comparison
from maskbench.cli.terminal import ASCII, UNICODE, Glyphs
from maskbench.comparison.results import Comparison, ComparisonOptions, OtherMetric
from maskbench.comparison.table import tabulate
from maskbench.comparison.text.footnotes import grouped_warnings
from maskbench.comparison.text.number_format import Scale, scale_of
from maskbench.records.collect import collect_panel
from maskbench.records.locate import find_panels
from maskbench.text import sanitize

BASE = (0.90, 0.91, 0.89, 0.92, 0.90, 0.88, 0.91, 0.90)
GAIN = (0.021, 0.019, 0.022, 0.02, 0.018, 0.023, 0.02, 0.025)
NOISE = (0.004, -0.006, 0.003, -0.002, 0.005, -0.004, 0.001, -0.003)

Changes = Mapping[str, Sequence[float]]
EVERY_VERDICT: Changes = {
    "none": (0.0,) * 8,
    "up": GAIN,
    "down": [-g for g in GAIN],
    "same": (0.0,) * 8,
    "noise": NOISE,
}


def comparison(root: Path, arms: Changes, choices: ComparisonOptions | None = None) -> Comparison:
    """Compare arms whose scores are the baseline's plus the given differences."""
    runs = {arm: [scored(b + d) for b, d in zip(BASE, gaps, strict=False)] for arm, gaps in arms.items()}
    directory = write(root, experiment(list(arms), 8, min_effect=0.001), runs)
    write_costs(directory, {arm: 1 + 0.05 * i for i, arm in enumerate(arms)})
    (found,) = find_panels(directory)
    return tabulate(collect_panel(found), choices or ComparisonOptions())


def drawn(found: Comparison, width: int = 80, glyphs: Glyphs = UNICODE) -> list[str]:
    """Draw on a terminal of that width, without colour."""
    console = Console(file=StringIO(), width=width, color_system=None, _environ={})
    console.print(render_comparison(found, width, glyphs))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 100, 120])
def test_every_line_fits_and_every_arm_has_its_verdict(tmp_path: Path, width: int) -> None:
    lines = drawn(comparison(tmp_path, EVERY_VERDICT), width)
    assert all(cell_len(line) <= width for line in lines)
    for words in (
        "none .*baseline",
        "up .*▲ better",
        "down .*▼ worse",
        "same .*= identical",
        "noise .*~ inconclusive",
    ):
        assert any(re.match(words, line) for line in lines), words


@pytest.mark.parametrize("long", ["window-of-radius-three-at-layers", "a" * 32])
def test_long_names_fit_80_columns_without_being_cut(tmp_path: Path, long: str) -> None:
    lines = drawn(comparison(tmp_path, {"none": (0.0,) * 8, long: GAIN}))
    assert all(cell_len(line) <= 80 for line in lines)
    assert "…" not in "".join(lines)
    start = next(number for number, line in enumerate(lines) if line.startswith("arm"))
    first = "".join(line.split(" ")[0] for line in lines[start : lines.index("", start)])
    assert long in first


def test_numbers_stand_in_the_row(tmp_path: Path) -> None:
    lines = drawn(comparison(tmp_path, {"none": (0.0,) * 8, "up": GAIN}), 100)
    row = next(line for line in lines if line.startswith("up"))
    expected = "up 8 92.2 ± 1.1 +2.1 [1.9, 2.3] 0.008 8/8 ▲ better 1.05×"
    assert row.split() == expected.split()


def test_the_signature_ends_the_page_on_a_line_of_its_own() -> None:
    found = every_verdict()
    *_, before, last = as_text([found]).splitlines()
    assert (before, last) == ("! mixed commit: a, b", found.signature)


@pytest.mark.parametrize(
    ("width", "glyphs", "name"), [(80, UNICODE, "80"), (120, UNICODE, "120"), (80, ASCII, "ascii")]
)
def test_the_whole_table_is_as_it_was_approved(width: int, glyphs: Glyphs, name: str) -> None:
    """After a change that is meant: `.venv/bin/python tests/cli/comparison/golden.py`, and look at the difference."""
    approved = (Path(__file__).parent / "golden" / f"{name}.txt").read_text(encoding="utf-8")
    assert [line.rstrip() for line in drawn(every_verdict(), width, glyphs)] == approved.splitlines()


def test_other_metrics_are_shown_with_intervals_and_without_verdict(tmp_path: Path) -> None:
    lines = drawn(comparison(tmp_path, {"none": (0.0,) * 8, "up": GAIN}))
    start = next(n for n, line in enumerate(lines) if line.strip() == "other metrics on test")
    assert lines[start + 1].split() == ["none", "up"]
    assert lines[start + 3].split() == ["nll", "1.049", "-0.011", "[-0.012,", "-0.010]"]
    assert lines[start + 4].split() == ["bleu", "36.0", "+0.8", "[0.8,", "0.9]"]
    assert lines[start + 5].startswith("exploratory: difference [95 %], not corrected, without verdict")


def slices(count: int) -> Comparison:
    """A comparison with many slices of the compared metric and of another split's."""
    names = [f"{split}/token_accuracy[length:{n}]" for split in ("test", "other") for n in range(count)]
    both = [
        {name: replace(o, mean=0.5) for name in names for o in [others(g)["test/nll"]]} for g in (None, 0.1)
    ]
    return made(
        row("base", other_metrics=both[0]), row("arm", difference(0.1), "inconclusive", other_metrics=both[1])
    )


def test_rows_of_one_metric_have_the_same_decimals_however_their_spreads_differ() -> None:
    base = {"a/bleu": OtherMetric(30.0, 0.004, 3, None), "b/bleu": OtherMetric(29.0, 2.0, 3, None)}
    gain = {
        "a/bleu": OtherMetric(31.0, 0.004, 3, 1.0, (1.0, 1.0)),
        "b/bleu": OtherMetric(29.5, 2.0, 3, 0.5, (0.5, 0.5)),
    }
    found = on(
        "test/bleu",
        made(
            row("static", other_metrics=base), row("up", difference(1.0), "inconclusive", other_metrics=gain)
        ),
    )
    shown = drawn(found)
    start = next(i for i, line in enumerate(shown) if line.startswith("bleu on other splits"))
    assert [line.split() for line in shown[start + 3 : start + 5]] == [
        ["a", "30.0", "+1.0"],
        ["b", "29.0", "+0.5"],
    ]


def test_a_long_block_is_cut_and_what_is_missing_is_counted() -> None:
    text = "\n".join(drawn(slices(30)))
    assert text.count("length:") == 24
    assert "not shown: 36 more slices (--slices)" in text


@pytest.mark.parametrize("width", [80, 120])
def test_seeds_added_until_decided_have_a_p_for_any_time(width: int) -> None:
    made = every_verdict()
    rows = [
        replace(row, difference=row.difference and replace(row.difference, test="sequential"))
        for row in made.rows
    ]
    lines = drawn(replace(made, rule="sequential", rows=tuple(rows)), width)
    assert all(cell_len(line) <= width for line in lines)
    text = " ".join(" ".join(lines).split())
    assert "anytime p" in next(line for line in lines if "difference" in line)
    assert (
        "p: from wins alone, valid however often one looks (sequential rule), corrected for 7 arms (Holm)"
        in text
    )
    assert "exact sign-flip test" not in text


def test_many_arms_have_shorter_blocks() -> None:
    names = [f"noise-{n}/token_accuracy" for n in range(20)]
    both = [{name: others(gain)["test/nll"] for name in names} for gain in (None, 0.1)]
    arms = [row(f"arm-{n}", difference(0.1), "better", other_metrics=both[1]) for n in range(12)]
    text = "\n".join(drawn(made(row("base", other_metrics=both[0]), *arms)))
    # Three arms fit beside the baseline, so four tables share the lines.
    assert [text.count(f"noise-{n} ") for n in range(20)] == [4] * 6 + [0] * 14
    assert "not shown: 14 more metrics (--all-metrics)" in text


def test_everything_is_shown_on_demand() -> None:
    console = Console(file=StringIO(), width=80, color_system=None, _environ={})
    console.print(render_comparison(slices(30), 80, detail=MetricSelection(slices=True)))
    assert isinstance(console.file, StringIO)
    text = console.file.getvalue()
    assert (text.count("length:"), "not shown" in text) == (60, False)
    console.print(render_comparison(every_verdict(), 80, detail=MetricSelection(all_metrics=True)))
    assert "metrics on noise-10" in console.file.getvalue()


def test_the_same_to_say_of_many_arms_is_said_once() -> None:
    late = [
        row(
            f"arm-{n}",
            difference(None, p=None, p_holm=None, wins=0, n=0),
            "not testable",
            notes=("0 of 8 pairs so far",),
        )
        for n in range(24)
    ]
    warnings = tuple(f"arm-{n}, seeds 0-7: not started" for n in range(24))
    text = " ".join(" ".join(drawn(made(row("base"), *late, warnings=warnings))).split())
    assert text.count("0 of 8 pairs so far") == 1
    assert text.count("not started") == 1
    assert "arm-22 and arm-23, seeds 0-7: not started" in text


def test_an_arm_whose_title_begins_another_is_not_mistaken_for_it() -> None:
    rows = [row("base"), row("a", difference(0.1), "better"), row("a, seeds", difference(0.1), "better")]
    found = made(*rows, warnings=("a, seeds, seed 3: failed", "a, seed 3: failed"))
    assert grouped_warnings(found) == ["a, seeds and a, seed 3: failed"]


def test_warnings_that_name_an_arm_with_a_colon_are_put_together_too() -> None:
    rows = [row("base"), row("x", difference(0.1), "better", title="X"), row("y", difference(0.1), "better")]
    found = made(*rows, warnings=("x: 1 failed", "mixed: a", "y: 1 failed", "y: 2 failed"))
    assert grouped_warnings(found) == ["x and y: 1 failed", "mixed: a", "y: 2 failed"]


def test_failures_and_missing_runs_are_listed(tmp_path: Path) -> None:
    runs: dict[str, list[FakeRun | None]] = {"none": [scored(b) for b in BASE], "up": [scored(0.9)] * 8}
    runs["up"][1:4] = [
        scored(0.9).with_(state="failed", message="disk full"),
        scored(0.9).with_(state="diverged"),
        None,
    ]
    directory = write(tmp_path, experiment(["none", "up"], 8), runs)
    text = "\n".join(drawn(tabulate(collect_panel(find_panels(directory)[0]), ComparisonOptions())))
    assert "! up, seed 1: failed: disk full" in text
    assert "! up, seed 2: diverged: loss was nan at step 17" in text
    assert "! up, seed 3: not started" in text
    assert re.search(r"^up +5/8 ", text, re.MULTILINE)


SHARE = "share of sentences"
HOSTILE = "\x1b[2J\x1b]0;owned\x07[bold red]x[/] :smile: \u202eevil\x9b31m\r\u2028\ud800"


def test_hostile_text_reaches_the_terminal_as_plain_characters(tmp_path: Path) -> None:
    runs: dict[str, list[FakeRun | None]] = {"none": [scored(b) for b in BASE], "up": [scored(0.9)] * 8}
    runs["up"][1] = scored(0.9).with_(state="failed", message=HOSTILE)
    directory = write(tmp_path, experiment(["none", "up"], 8), runs)
    text = "\n".join(drawn(tabulate(collect_panel(find_panels(directory)[0]), ComparisonOptions()), 100))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text)
    assert "[bold red]x[/] :smile: evil31m" in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("window(radius=1)", "window(radius=1)"),
        ("a\tb\nc", "a b c"),
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("\u2066a\u2069\u200f", "a"),
        ("日本語 ▲", "日本語 ▲"),
    ],
)
def test_plain_keeps_characters_and_drops_controls(text: str, shown: str) -> None:
    assert sanitize(text) == shown


def test_plain_can_keep_lines() -> None:
    assert sanitize("a\r\nb\x1b", lines=True) == "a \nb"


def test_ascii_output_is_ascii_and_still_says_everything(tmp_path: Path) -> None:
    lines = drawn(comparison(tmp_path, EVERY_VERDICT), 100, ASCII)
    assert all(line.isascii() for line in lines)
    assert any(re.match(r"up .* \^ better", line) for line in lines)
    assert any(re.match(r"down .* v worse", line) for line in lines)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1"])
def test_a_console_without_unicode_gets_ascii(tmp_path: Path, encoding: str) -> None:
    raw = BytesIO()
    stream = TextIOWrapper(raw, encoding=encoding)
    print_comparisons([comparison(tmp_path, EVERY_VERDICT)], stream)
    stream.flush()
    assert b"^ better" in raw.getvalue()


def test_a_file_gets_one_line_per_arm_at_any_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    long = "b" * 32
    text = as_text([comparison(tmp_path, {"none": (0.0,) * 8, long: [10 * g for g in GAIN]})])
    assert re.search(rf"^{long} .*▲ better +1\.05×$", text, re.MULTILINE)
    assert not re.search(r" $", text, re.MULTILINE)
    assert "\x1b" not in text


def test_the_layout_gives_way_step_by_step(tmp_path: Path) -> None:
    found = comparison(tmp_path, {"none": (0.0,) * 8, "a" * 28: GAIN})
    one_line, stacked = drawn(found, 120), drawn(found, 80)
    assert any("+2.1 [1.9, 2.3]" in line for line in one_line)
    assert any("+2.1" in line and "[1.9, 2.3]" not in line for line in stacked)


@pytest.mark.parametrize(
    ("scale", "value", "text"),
    [
        (Scale(100, 1), 0.91532, "91.5"),
        (Scale(1, 3), -0.0004, "0.000"),
        (Scale(1, 3), -0.0006, "-0.001"),
        (Scale(100, 2), 1.0, "100.00"),
    ],
)
def test_numbers_are_rounded_for_display_only(scale: Scale, value: float, text: str) -> None:
    assert scale.number(value) == text


def test_small_spreads_get_more_decimals(tmp_path: Path) -> None:
    coarse = comparison(tmp_path / "a", {"none": (0.0,) * 8, "up": GAIN})
    fine = comparison(tmp_path / "b", {"none": (0.0,) * 8, "up": GAIN}, ComparisonOptions(min_effect=0.0004))
    assert (scale_of(coarse), scale_of(fine)) == (Scale(100, 1, SHARE), Scale(100, 2, SHARE))
    assert scale_of(coarse, "test/nll") == Scale(1, 3, "nats per token")


def test_a_panel_and_what_else_is_different_are_named(tmp_path: Path) -> None:
    found = comparison(tmp_path, {"none": (0.0,) * 8, "up": GAIN})
    up = replace(found.rows[1], also_different=("model.positions", "train.lr"), unsafe=True)
    lines = drawn(replace(found, panel="small", rows=(found.rows[0], up)))
    assert lines[0].rstrip() == "fake / small"
    assert any(line.startswith("up !") for line in lines)
    text = " ".join(" ".join(lines).split())
    assert "· up: also different: model.positions, train.lr" in text
    assert "· up: unsafe: its author says that its masks let through what they should hide" in text


def test_an_arm_that_knows_the_answer_is_marked_and_explained(tmp_path: Path) -> None:
    found = comparison(tmp_path, {"none": (0.0,) * 8, "up": GAIN})
    lines = drawn(replace(found, rows=(found.rows[0], replace(found.rows[1], oracle=True, unsafe=True))))
    assert any(line.startswith("up ! *") for line in lines)
    assert "· up: its mask is told what no model knows; what it gains is a bound" in " ".join(
        " ".join(lines).split()
    )


def test_the_first_paragraph_of_the_question_is_shown(tmp_path: Path) -> None:
    found = replace(comparison(tmp_path, EVERY_VERDICT), question="Does it\nhelp?\n\nA long story.")
    assert drawn(found)[1].rstrip() == "Does it help?"


def test_a_single_arm_is_a_table_of_one(tmp_path: Path) -> None:
    text = "\n".join(drawn(comparison(tmp_path, {"none": (0.0,) * 8})))
    assert "There is one arm, and nothing to compare it with." in text
    assert re.search(r"^none +8 ", text, re.MULTILINE)
