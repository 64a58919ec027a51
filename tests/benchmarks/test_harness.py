"""Ratios are taken repeat by repeat, contestants take turns, and a line has the keys that scripts read."""

from __future__ import annotations

import json
import statistics
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.harness import (
    ROOT,
    BenchmarkError,
    Results,
    Spread,
    add_checkout,
    format_ratio,
    interleave,
    parser,
    python_of,
    ratios,
    read_page,
    repeats_of,
    run,
    write_section,
)

POSITIVE = st.floats(1e-3, 1e3)


@settings(max_examples=30)
@given(st.lists(st.tuples(POSITIVE, POSITIVE), min_size=1, max_size=7))
def test_ratios_are_divided_within_a_repeat(pairs):
    found = ratios([a for a, _ in pairs], [b for _, b in pairs])
    in_order = sorted(a / b for a, b in pairs)
    assert (found.low, found.high) == (in_order[0], in_order[-1])
    assert found.median == statistics.median(in_order)


def test_a_common_disturbance_leaves_the_ratio_as_it_is():
    # The second repeat ran while the machine was ten times slower.
    assert ratios([3.0, 30.0, 3.0], [2.0, 20.0, 2.0]) == Spread(1.5, 1.5, 1.5)


def test_contestants_take_turns_in_an_order_that_rotates():
    order: list[str] = []

    def contestant(name: str, value: float):
        def once() -> float:
            order.append(name)
            return value

        return once

    found = interleave({name: contestant(name, n) for n, name in enumerate("abc")}, repeats=3, warm_up=1)
    assert order == [*"abc", *"bca", *"cab", *"abc"]
    assert found == {"a": [0, 0, 0], "b": [1, 1, 1], "c": [2, 2, 2]}


def test_the_warm_up_does_not_count():
    values = iter([9.0, 1.0, 2.0])
    assert interleave({"a": lambda: next(values)}, repeats=2) == {"a": [1.0, 2.0]}


def test_a_json_line_has_the_agreed_keys_in_their_order(capsys):
    results = Results("attention", as_json=True)
    results.add("window-32", "time", "dense", Spread(0.11, 0.1, 0.12), length=4096, seen="1 / 9 ms")
    results.add("greedy", "sentences/s", "joeynmt", Spread(2.0, 1.5, 2.5))
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert list(first.items()) == [
        ("benchmark", "attention"),
        ("case", "window-32"),
        ("length", 4096),
        ("figure", "time"),
        ("against", "dense"),
        ("ratio", 0.11),
        ("low", 0.1),
        ("high", 0.12),
    ]
    assert second["length"] is None


def test_the_table_shows_ratios_and_what_was_skipped(capsys):
    results = Results("decode", as_json=False)
    results.add("greedy", "sentences/s", "joeynmt", Spread(16.0, 15.25, 17.0), seen="80 / 5 sentences/s")
    results.skip("ctranslate2", "no peers at /nowhere")
    assert capsys.readouterr().out == ""
    results.finish()
    said = capsys.readouterr().out
    assert all(part in said for part in ("16.00", "15.25", "17.00", "80 / 5 sentences/s"))
    assert "skipped: ctranslate2: no peers at /nowhere" in said


def test_as_json_what_was_skipped_goes_to_standard_error(capsys):
    results = Results("decode", as_json=True)
    results.skip("joeynmt", "no peers")
    results.finish()
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "skipped: joeynmt: no peers\n")


@pytest.mark.parametrize(
    ("value", "text"), [(0.0712, "0.0712"), (0.5, "0.5"), (1.0, "1.00"), (16.52, "16.52")]
)
def test_ratios_are_short(value, text):
    assert format_ratio(value) == text


def test_quick_means_one_repeat_unless_told():
    read = parser("what", "a minute").parse_args
    assert [repeats_of(read(words), 4) for words in ([], ["--quick"], ["--quick", "--repeats", "3"])] == [
        4,
        1,
        3,
    ]


def test_repeats_must_be_positive(capsys):
    with pytest.raises(SystemExit):
        parser("what", "a minute").parse_args(["--repeats", "0"])
    assert "must be at least 1" in capsys.readouterr().err


def test_a_checkout_without_an_environment_is_named(tmp_path, capsys):
    found = parser("what", "a minute")
    add_checkout(found, "runs")
    options = found.parse_args(["--against", str(tmp_path), "--json"])
    with pytest.raises(BenchmarkError, match=r"has no \.venv/bin/python; name a checkout"):
        python_of(options.against)
    with pytest.raises(SystemExit, match="2"):
        run("sweep", lambda options, _: python_of(options.against) and None, options)
    said = capsys.readouterr()
    assert said.out == ""
    assert f"error: {tmp_path} has no" in said.err
    assert "cores" in said.err.splitlines()[0]


PAGE = (
    "# Speed\n\n<!-- train -->\n<!-- end of train -->\n\n<!-- decode -->\nold\n<!-- end of decode -->\nend\n"
)


def test_a_page_gets_the_table_in_its_own_section(tmp_path, monkeypatch):
    page = tmp_path / "speed.md"
    page.write_text(PAGE, encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["decode", "--json", "--page", "docs/speed.md", "--cases", "beam 5"])
    results = Results("decode", as_json=False)
    results.add("greedy", "sentences/s", "joeynmt", Spread(16.0, 15.25, 0.5), length=7, seen="80 / 5")
    results.skip("ctranslate2", "no peers")
    write_section(page, results, ["A machine"])
    text = page.read_text(encoding="utf-8")
    assert text == PAGE.replace(
        "old\n",
        "`python -m benchmarks.decode --page docs/speed.md --cases 'beam 5'`\n\n* A machine\n"
        "* not measured: ctranslate2: no peers\n\n"
        "| case | length | figure | against | median | low | high | seen here |\n|---|---|---|---|---|---|---|---|\n"
        "| greedy | 7 | sentences/s | joeynmt | 16.00 | 15.25 | 0.5 | 80 / 5 |\n",
    )


def test_a_page_without_the_section_is_refused_before_anything_is_measured(tmp_path, capsys):
    page = tmp_path / "speed.md"
    page.write_text(PAGE, encoding="utf-8")
    measured: list[str] = []
    for words in (["--page", str(page)], ["--page", str(tmp_path / "none.md")]):
        options = parser("what", "a minute").parse_args([*words, "--json"])
        with pytest.raises(SystemExit, match="2"):
            run("memory", lambda options, _: measured.append("memory"), options)
    assert not measured
    said = capsys.readouterr().err
    assert "does not have the lines <!-- memory --> and <!-- end of memory -->" in said
    assert "none.md cannot be read: No such file or directory" in said


def test_the_page_of_the_product_has_a_section_for_every_benchmark():
    for name in ("train", "decode", "attention", "memory", "sweep", "startup"):
        assert read_page(ROOT / "docs" / "speed.md", name)


def test_what_was_measured_before_ctrl_c_is_shown(capsys):
    def measure(options, results):
        results.add("greedy", "sentences/s", "joeynmt", Spread(16.0, 15.0, 17.0))
        raise KeyboardInterrupt

    with pytest.raises(SystemExit, match="130"):
        run("decode", measure, parser("what", "a minute").parse_args([]))
    assert "16.00" in capsys.readouterr().out
