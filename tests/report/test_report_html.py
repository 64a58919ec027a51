"""The page as a document: well-formed, closed in itself, with everything that is there and nothing that is not."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from page_reader import Element, read
from report_runs import (
    BASE,
    GAIN,
    baseline,
    gaining,
    wavering,
    write_experiment,
    write_full,
    write_lines,
    write_picture,
)

from maskbench.comparison.results import ComparisonOptions
from maskbench.report.forest import paired_differences
from maskbench.report.gather import read_panels
from maskbench.report.page import render_page


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_full(tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="module")
def text(directory: Path) -> str:
    return render_page([directory], ComparisonOptions())


@pytest.fixture(scope="module")
def page(text: str) -> Element:
    return read(text)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Element:
    """A page of runs that left nothing but their results."""
    directory = write_experiment(tmp_path_factory.mktemp("bare"), none=baseline(), up=gaining())
    return read(render_page([directory], ComparisonOptions()))


def headings(page: Element) -> list[str]:
    return [e.text for e in page.all("h2", "h3", "h4")]


def test_the_policy_lets_in_this_style_and_pictures_in_the_page_only(page, text):
    policy = page.one("meta", **{"http-equiv": "Content-Security-Policy"}).attributes["content"]
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_nothing_in_it_acts_or_comes_from_elsewhere(page, text):
    assert not page.all("script", "iframe", "object", "embed", "form", "base", "foreignobject")
    assert len(page.all("style")) == 1
    for element in page.all():
        assert "style" not in element.attributes, element.tag
        assert not [name for name in element.attributes if name.startswith("on")]
        for name in ("href", "src"):
            if name in element.attributes:
                assert element.attributes[name].startswith(("#", "data:")), element.attributes[name]
    assert "http:" not in text and "https:" not in text and "@import" not in text
    assert not re.search(r"url\((?!#)", text)


def test_ids_are_there_once_and_everything_that_is_referred_to_is_there(page):
    ids = [e.attributes["id"] for e in page.all() if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    wanted = [e.attributes["href"][1:] for e in page.all("a", "use")]
    wanted += [i for e in page.all() for i in e.attributes.get("aria-labelledby", "").split()]
    wanted += [
        i for e in page.all() for i in re.findall(r"url\(#([^)]+)\)", e.attributes.get("clip-path", ""))
    ]
    assert len(wanted) > 20
    assert set(wanted) <= set(ids)


def test_headings_go_down_one_level_at_a_time(page):
    levels = [int(e.tag[1]) for e in page.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))
    assert page.one("html").attributes["lang"] == "en"


def test_tables_say_what_their_headings_are_of(page):
    tables = page.all("table")
    assert len(tables) >= 3
    for table in tables:
        assert {e.attributes.get("scope") for e in table.all("th")} == {"col", "row"}
        # A box that scrolls can be scrolled with the keyboard, and has a name.
        assert {"role": "region", "tabindex": "0"}.items() <= table.parent.attributes.items()
        assert table.parent.attributes["aria-label"]
        widths = {sum(int(c.attributes.get("colspan", 1)) for c in r.children) for r in table.all("tr")}
        assert len(widths) == 1


def test_every_plot_has_a_text_with_its_numbers(page):
    plots = [e for e in page.all("svg") if e.attributes.get("role") == "img"]
    words = {plot.one("title").text.partition(":")[0]: plot.one("desc").text for plot in plots}
    assert list(words) == [
        "Differences to the baseline",
        "valid/nll over training",
        "Quality against cost",
        "exact_match by split",
        "test/exact_match by length",
    ]
    # Worked by hand: the mean of GAIN is 0.030, and of wavering (4 * 0.01 - 4 * 0.012) / 8 = -0.001.
    assert (
        "up: +3.0 points, 95 % interval from 2.8 to 3.2, 8 of 8 seeds better; verdict: better."
        in words["Differences to the baseline"]
    )
    assert "aside: -0.1 points" in words["Differences to the baseline"]
    # 3 / step + place + seed / 10, a mean of 0.35 over seeds: 3.35 and 1.1 for the baseline.
    assert (
        "none: 3.35 at step 1, 1.1 at step 4 (seeds from 0.75 to 1.45)." in words["valid/nll over training"]
    )
    assert "up: 1.25 times the baseline's step, +3.0, on the front." in words["Quality against cost"]
    assert "aside: 1.50 times the baseline's step, -0.1." in words["Quality against cost"]
    # Twice the gain on the noisy split.
    assert re.search(r"up: test \+3.0 \(2.8 to 3.2\), noise-drop-20 \+6.0 ", words["exact_match by split"])
    assert "up: 6-10 +3.0" in words["test/exact_match by length"]
    for plot in plots:
        assert plot.attributes["viewbox"] and "width" not in plot.attributes
        assert len(plot.all("path", "use")) > 5


def test_plots_are_in_the_page_s_colours(page):
    for svg in page.all("svg"):
        for element in svg.all():
            for name in ("fill", "stroke"):
                assert re.fullmatch(r"none|var\(--[a-z0-9-]+\)|", element.attributes.get(name, "")), (
                    element.attributes
                )


def test_the_letters_of_plots_are_the_page_s(page):
    for element in (e for svg in page.all("svg") for e in svg.all("text")):
        assert not {"font", "font-family", "style"} & set(element.attributes)
        assert float(element.attributes["font-size"].removesuffix("px")) >= 10


def test_strokes_of_single_seeds_are_arm_minus_baseline(directory):
    (panel,) = read_panels([directory], ComparisonOptions())
    rows = {row.arm: row for row in panel.comparison.rows}
    assert paired_differences(panel.comparison, rows["up"]) == pytest.approx(GAIN)


def test_splits_come_in_the_experiment_s_order_whichever_is_compared(directory):
    page = read(render_page([directory], ComparisonOptions(metric="noise-drop-20/exact_match")))
    (words,) = (e.one("desc").text for e in page.all("svg") if "by split" in e.text)
    assert re.search(r"up: test \+3.0 .*, noise-drop-20 \+6.0", words)


def test_colours_of_both_themes_can_be_told_from_the_paper(text):
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    light, dark = (
        dict(re.findall(r"(--[\w-]+): (#\w{6})", block))
        for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]
    )
    assert light.keys() == dark.keys()
    for theme in (light, dark):
        inks = [name for name in theme if name not in ("--paper", "--sheet", "--band", "--rule", "--mark")]
        assert len(inks) == 13
        for ground in ("--paper", "--sheet"):
            for ink in inks:
                assert contrast(theme[ink], theme[ground]) >= 4.5, (ink, ground)
        assert contrast(theme["--ink"], theme["--mark"]) >= 4.5


def contrast(a: str, b: str) -> float:
    """WCAG 2.1, 1.4.3."""
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_the_answer_comes_first(page):
    assert page.one("h1").text == "masks"
    assert (
        page.with_class("question")[0].text == "Do masks that are drawn anew beat masks that are drawn once?"
    )
    assert headings(page)[:3] == ["masks", "Answer", "Comparison"]
    assert "up by 3.0 points" in page.with_class("headline")[0].text
    verdicts = {e.one("dt").text: e.one("dd").text for e in page.with_class("verdicts")[0].children}
    assert verdicts.keys() == {"▲ better", "~ inconclusive"}
    assert verdicts["▲ better"].startswith("up is better than none by 3.0 points")


def test_the_table_has_the_numbers_of_the_terminal(page):
    table = page.with_class("comparison")[0]
    rows = [[cell.text.strip() for cell in row.children] for row in table.one("tbody").children]
    assert rows[0] == ["none", "8", "81.0 ± 1.3", "baseline", "", "1.00×"]
    assert rows[1] == ["up", "8", "84.0 ± 1.2", "+3.0", "[2.8, 3.2]", "0.016", "8/8", "▲ better", "1.25×"]
    assert rows[2][3] == "-0.1" and rows[2][6:] == ["4/8", "~ inconclusive", "1.50×"]


def test_what_the_runs_left_is_there(page):
    for heading in ("Learning", "Quality against cost", "Splits and slices", "Pictures", "Translations"):
        assert heading in headings(page)
    pictures = page.all("img")
    assert [(p.attributes["width"], p.attributes["height"]) for p in pictures] == [
        ("5", "3"),
        ("6", "3"),
        ("7", "3"),
        ("9", "2"),
    ]
    assert headings(page)[headings(page).index("Pictures") :][1:3] == ["Masks", "Attention"]
    assert pictures[3].attributes["alt"] == "up: where it attends, attention-cross-0, after 4 steps"


def test_what_the_runs_did_not_leave_is_not(bare):
    assert not {"Learning", "Quality against cost", "Pictures"} & set(headings(bare))
    assert "have translated nothing" in bare.text
    linked = {a.attributes["href"] for a in bare.all("a")}
    assert "#p1-learning" not in linked and "#p1-table" in linked


def test_translations_are_side_by_side_and_marked(page):
    sample = page.with_class("samples")[0].children[0]
    said = {e.one("dt").text: e.one("dd") for e in sample.one("dl").children}
    assert list(said) == ["source", "reference", "none", "up", "aside"]
    assert said["source"].text == "Satz 0" and said["reference"].text == "the cat sleeps"
    assert [m.text for m in said["none"].all("mark")] == ["dog", "there"]
    assert said["none"].text == "the dog sleeps there"
    assert "✓ as the reference" in said["up"].text and not said["up"].all("mark", "del")


def test_methods_say_what_was_done_and_nothing_else(page, bare, tmp_path):
    methods = page.text
    assert "3 arms were trained from scratch with 8 seeds each (seeds 0-7)." in methods
    assert "sign-flip test on the paired differences (Fisher 1935), over all 256 sign vectors" in methods
    assert "The p-values of the 2 arms were corrected together by Holm's method" in methods
    assert "All 24 runs finished; none failed or diverged." in methods
    assert "Holm's method" not in bare.text and "nothing to correct" in bare.text
    assert "time of a training step" not in bare.text
    runs = [*baseline()[:7], baseline()[7].with_(state="diverged")]
    short = read(render_page([write_experiment(tmp_path, none=baseline(), up=runs)], ComparisonOptions()))
    assert [e.children[1].text for e in short.with_class("comparison")[0].one("tbody").children] == [
        "8",
        "7/8",
    ]
    lost = short.text
    assert "Not every run finished (up: 1 diverged)." in lost and "sign test" in lost


def test_seeds_are_said_to_be_planned_only_where_it_is_known_and_was_kept_to(bare, tmp_path):
    assert "Seeds were planned" not in bare.text
    directory = write_experiment(tmp_path, none=baseline(), up=gaining())
    line = {"seeds": list(range(8)), "rule": "fixed", "limit": None, "closed": {}, "results": 0}
    (directory / "plans.jsonl").write_text(json.dumps(line) + "\n")
    assert (
        "Seeds were planned, not added until something came out"
        in read(render_page([directory], ComparisonOptions())).text
    )
    (directory / "plans.jsonl").write_text(
        json.dumps(line | {"seeds": [0]}) + "\n" + json.dumps(line | {"results": 2}) + "\n"
    )
    changed = read(render_page([directory], ComparisonOptions())).text
    assert "Seeds were planned" not in changed and "was changed when there were results to see" in changed


def test_limits_are_those_that_apply(page, tmp_path):
    assert "made up by a program" in page.text and "describe what happened" not in page.text
    few = write_experiment(tmp_path, none=baseline()[:1], up=gaining()[:1])
    (few / "experiment.yaml").write_text(
        (few / "experiment.yaml").read_text(encoding="utf-8").replace("[0, 1, 2, 3, 4, 5, 6, 7]", "[0]"),
        encoding="utf-8",
    )
    assert "describe what happened" in read(render_page([few], ComparisonOptions())).text


def test_it_says_how_to_make_it_again(page, directory):
    chosen = read(render_page([directory], ComparisonOptions(metric="test/bleu", alpha=0.1)))
    commands = next(e.text for e in chosen.all("pre")).splitlines()
    assert commands == [
        "maskbench run masks.yaml",
        "maskbench compare runs/masks --metric test/bleu --alpha 0.1",
        "maskbench report runs/masks --metric test/bleu --alpha 0.1",
    ]
    facts = {e.one("dt").text: e.one("dd").text for e in page.with_class("facts")[0].children}
    assert facts["commit"].startswith("1b2c3d4e") and facts["torch"] == "2.13.0" and facts["device"] == "cpu"
    assert "name: masks" in page.all("pre")[-1].text
    assert (
        page.with_class("signature")[0].text.startswith("\nmaskbench|v:")
        or "maskbench|v:" in page.with_class("signature")[0].text
    )


def test_the_same_runs_make_the_same_bytes(text, directory, tmp_path):
    other = write_full(tmp_path)
    assert render_page([other], ComparisonOptions()) == text
    code = (
        "import sys, pathlib; from maskbench.report.page import render_page; from maskbench.comparison.results import ComparisonOptions;"
        "page = render_page([pathlib.Path(sys.argv[1])], ComparisonOptions());"
        "assert 'torch' not in sys.modules; assert 'matplotlib.pyplot' not in sys.modules;"
        "sys.stdout.buffer.write(page.encode())"
    )
    made = subprocess.run([sys.executable, "-c", code, str(directory)], capture_output=True, check=True)
    assert made.stdout.decode() == text


def test_one_arm_and_no_finished_run_are_pages_too(tmp_path):
    alone = read(render_page([write_experiment(tmp_path / "a", none=baseline())], ComparisonOptions()))
    assert "nothing to compare it with" in alone.text
    waiting = read(
        render_page([write_experiment(tmp_path / "b", none=[None] * 8, up=[None] * 8)], ComparisonOptions())
    )
    assert "Nothing is decided yet" in waiting.text and "Before you read on" in headings(waiting)
    assert not [e for e in waiting.all("svg") if e.attributes.get("role") == "img"]


def test_several_experiments_have_a_table_of_contents(directory, tmp_path):
    other = write_experiment(tmp_path, none=baseline(), up=wavering())
    page = read(render_page([directory, other], ComparisonOptions()))
    contents = page.one("nav", **{"aria-label": "Contents"})
    assert [a.attributes["href"] for a in contents.all("a")] == ["#p1", "#p2"]
    test_ids_are_there_once_and_everything_that_is_referred_to_is_there(page)
    test_headings_go_down_one_level_at_a_time(page)


def test_titles_from_files_are_text(tmp_path):
    nasty = "<script>alert(1)</script> $x_1^ & \u202e\x1b[2J"
    directory = write_experiment(tmp_path, none=baseline(), up=gaining())
    file = directory / "experiment.yaml"
    written = file.read_text(encoding="utf-8")
    assert "# Do masks" in written
    file.write_text(written.replace("# Do masks", "# <b>Do</b> {{ 7 * 7 }} masks"), encoding="utf-8")
    write_lines(
        directory / "none" / "seed-0" / "samples.jsonl",
        [{"step": 1, "split": "test", "id": 0, "source": nasty, "reference": "a", "hypothesis": nasty}],
    )
    text = render_page([directory], ComparisonOptions())
    page = read(text)
    assert page.with_class("question")[0].text.startswith("<b>Do</b> {{ 7 * 7 }} masks")
    assert "<script>alert(1)</script> $x_1^ & [2J" in page.with_class("samples")[0].text
    assert "\x1b" not in text and "\u202e" not in text


def test_a_picture_that_is_none_or_too_large_is_left_out_and_counted(tmp_path):
    directory = write_experiment(tmp_path, none=baseline(), up=gaining())
    run = directory / "up" / "seed-0"
    write_picture(run, "cross-window-0-000004.png", 4, 4)
    (run / "pictures" / "cross-band-0-000004.png").write_bytes(b"<svg onload=alert(1)>" + bytes(99))
    big = run / "pictures" / "cross-full-0-000004.png"
    write_picture(run, big.name, 2, 2)
    big.write_bytes(big.read_bytes() + bytes(300_000))
    page = read(render_page([directory], ComparisonOptions()))
    assert len(page.all("img")) == 1
    assert "2 more were left out" in page.text


def test_samples_that_are_damaged_are_said_to_be(tmp_path):
    directory = write_experiment(tmp_path, none=baseline(), up=gaining())
    write_lines(directory / "none" / "seed-0" / "samples.jsonl", [{"step": 1, "split": "test"}])
    assert "the samples of none cannot be read" in read(render_page([directory], ComparisonOptions())).text
    assert len(BASE) == 8


@pytest.mark.parametrize("line", ["{}", '{"step": null, "valid/nll": 1}', '{"step": 1, "valid/nll": "x"}'])
def test_runs_whose_lines_are_damaged_are_left_out_of_the_curves_and_named(tmp_path, line):
    directory = write_full(tmp_path)
    file = next(directory.glob("*/seed-1/metrics.jsonl"))
    with file.open("a") as lines:
        lines.write(f"{line}\n")
    text = read(render_page([directory], ComparisonOptions())).text
    assert f"curves leave out {file.parts[-3]}, seed 1: {file}:4 is damaged" in text
    assert text.count("curves leave out") == 1
