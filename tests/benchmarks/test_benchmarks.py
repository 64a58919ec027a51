"""Each benchmark prints lines of the agreed form; what is measured is replaced, so nothing here is timed."""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import sys
from xml.etree import ElementTree

import pytest

from benchmarks import attention, decode, memory, peers, startup, sweep, train
from benchmarks.attention_curve import draw_curves, read_themes
from benchmarks.children import Usage
from benchmarks.harness import KEYS, BenchmarkError, Results, Spread

NAMES = ("train", "decode", "attention", "memory", "sweep", "startup")


class FakeWorker:
    """Answers as the workers do, with numbers that follow from the question."""

    def __init__(self, python: str, script: str, *, threads: int = 1) -> None:
        self.script = script

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def ask(self, function, **about):
        return ANSWERS[function](self, about)

    def send(self, function, **about):
        self._asked = function, about

    def receive(self):
        function, about = self._asked
        return self.ask(function, **about)


COST = {"dense": 8.0, "no-mask": 6.0, "window-32": 1.0, "sdpa": 4.0, "sdpa-window": 5.0}
SPEED = {"decode_maskbench": 1.0, "decode_joeynmt": 8.0, "decode_ctranslate2": 0.5, "train_maskbench": 2.0}
ANSWERS = {
    "prepare": lambda worker, about: None,
    "start": lambda worker, about: 20 if worker.script.startswith("decode") else {"has_bfloat16": False},
    "export": lambda worker, about: None,
    "scores": lambda worker, about: [[-1.0], [-2.0, -3.0]],
    "translate": lambda worker, about: {"tokens": 99, "processor": SPEED[worker.script] * about["beam"]},
    "steps": lambda worker, about: {
        "tokens": 100 * about["count"],
        "wall": 50.0 * about["count"],
        "processor": (10.0 if worker.script == "train_joeynmt" else 2.0) * about["count"],
    },
    "same_step": lambda worker, about: {"processor": 2.0 * about["count"]},
    "count_flops": lambda worker, about: 10_000,
    "products": lambda worker, about: {"flops": 20_000.0 * about["size"] / 2048, "processor": 1.0},
    "iterate": lambda worker, about: {"processor": COST[about["case"]] * about["count"]},
    "memory": lambda worker, about: int(1e6 * COST[about["case"]] * about["length"]),
    "audit": lambda worker, about: {"peak": 1_000_000 * about["length"] + 5, "start": 5},
}


def lines_of(module, monkeypatch, capsys, *words):
    """Run a benchmark's main with --json and return its lines and what it wrote to standard error."""
    for part in (attention, decode, memory, train):
        monkeypatch.setattr(part, "Worker", FakeWorker)
    for part in (sweep, startup):
        monkeypatch.setattr(part, "measure_command", fake_command)
    monkeypatch.setattr(sys, "argv", ["benchmark", "--json", "--quick", *words])
    module.main()
    said = capsys.readouterr()
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert lines
    for line in lines:
        assert tuple(line) == KEYS
        assert line["low"] <= line["ratio"] <= line["high"]
    return lines, said.err


def fake_command(command, **_):
    # The larger sweep takes as long as two of the smaller ones.
    words = " ".join(command)
    seconds = 20.0 if "--seeds 4" in words or "--seeds 2" in words else 10.0
    return Usage(seconds, 3.0 if "--help" in words else 6.0, 10**9)


def with_peers(monkeypatch, *names):
    for part in (train, decode):
        monkeypatch.setattr(part, "missing_peer", lambda peer: None if peer in names else "not installed")
        monkeypatch.setattr(part, "python_of_peers", lambda: "python-of-peers")


def test_attention_divides_each_case_by_its_rival(monkeypatch, capsys, tmp_path):
    figure = tmp_path / "curve.svg"
    lines, _ = lines_of(attention, monkeypatch, capsys, "--lengths", "64", "256", "--figure", str(figure))
    found = {(line["case"], line["length"], line["figure"], line["against"]): line["ratio"] for line in lines}
    for length, suffix in itertools.product((64, 256), ("", "+dropout-0.1")):
        for quantity in ("time", "memory"):
            assert found[f"window-32{suffix}", length, quantity, "dense"] == 1 / 8
            assert found[f"no-mask{suffix}", length, quantity, "sdpa"] == 6 / 4
    assert "<svg" in figure.read_text(encoding="utf-8")


def test_attention_leaves_out_what_does_not_fit(monkeypatch, capsys):
    # 2 GB at 4,096 tokens, so 8 GB are expected at twice the length, also with one sentence.
    monkeypatch.setitem(ANSWERS, "memory", lambda worker, about: 2 * 10**9)
    monkeypatch.setattr(
        attention.psutil, "virtual_memory", lambda: argparse.Namespace(available=10**10, total=10**10)
    )
    lines, errors = lines_of(
        attention,
        monkeypatch,
        capsys,
        "--dropout",
        "0",
        "--cases",
        "dense",
        "sdpa",
        "--lengths",
        "4096",
        "8192",
    )
    assert {line["length"] for line in lines} == {4096}
    assert "skipped: dense at 8,192 tokens, dropout 0: it may need 8 GB, and 10 GB are free" in errors


def test_decoding_is_compared_with_the_peers_that_are_there(monkeypatch, capsys):
    with_peers(monkeypatch, "ctranslate2")
    lines, errors = lines_of(decode, monkeypatch, capsys)
    found = {(line["case"], line["against"]): line["ratio"] for line in lines}
    kinds = ("ctranslate2-float32", "ctranslate2-int8")
    assert found == {(case, kind): 0.5 for case in ("greedy", "beam-5") for kind in kinds}
    assert "skipped: joeynmt: not installed" in errors


def test_decoding_refuses_other_lengths(monkeypatch, capsys):
    with_peers(monkeypatch, "joeynmt")
    said = {"decode_maskbench": 99, "decode_joeynmt": 98}
    monkeypatch.setitem(
        ANSWERS, "translate", lambda worker, about: {"tokens": said[worker.script], "processor": 1.0}
    )
    with pytest.raises(SystemExit, match="2"):
        lines_of(decode, monkeypatch, capsys)
    assert "joeynmt said 98 tokens and maskbench 99; the lengths are not forced" in capsys.readouterr().err


def test_training_is_compared_on_the_clock_and_in_processor_time(monkeypatch, capsys):
    with_peers(monkeypatch, "joeynmt")
    lines, errors = lines_of(train, monkeypatch, capsys)
    found = {(line["case"], line["against"]): line["ratio"] for line in lines}
    assert found == {
        ("two-runs float32", "joeynmt, 2 threads"): 2.0,
        ("one-run float32", "joeynmt, 1 thread"): 5.0,
        ("ceiling float32", "matrix products, 1 thread"): 0.25,
    }
    assert "bfloat16: this processor has no bfloat16 products" in errors


def test_training_without_peers_measures_the_rest_and_says_so(monkeypatch, capsys):
    with_peers(monkeypatch)
    lines, errors = lines_of(train, monkeypatch, capsys)
    assert [line["case"] for line in lines] == ["ceiling float32"]
    assert "skipped: joeynmt: not installed" in errors


def test_memory_is_given_by_step_and_held_against_the_plan(monkeypatch, capsys):
    by_step = {15: 900 * 10**6, 45: 1000 * 10**6, 300: 1100 * 10**6}
    monkeypatch.setattr(memory, "watch", lambda *_: memory.Peaks(1320 * 10**6, by_step))
    lines, _ = lines_of(memory, monkeypatch, capsys, "--cases", "reference", "audit", "--audit-lengths", "30")
    found = {(line["case"], line["length"], line["figure"], line["against"]): line["ratio"] for line in lines}
    assert found == {
        ("reference, step 15", None, "peak memory", "1 GB"): 0.9,
        ("reference, step 300", None, "peak memory", "1 GB"): 1.1,
        ("reference, step 300", None, "peak memory", "step 50"): pytest.approx(1.1),
        ("reference", None, "predicted memory", "measured"): pytest.approx(1.2),
        ("audit", 30, "memory", "1 GB"): 0.03,
    }


def test_a_sweep_is_compared_with_single_runs(monkeypatch, capsys):
    lines, _ = lines_of(sweep, monkeypatch, capsys, "--cases", "side-by-side", "--workers", "2")
    assert [(line["case"], line["ratio"]) for line in lines] == [("side-by-side, 2 runs on 2 cores", 2.0)]


def test_another_checkout_must_come_to_the_same_verdicts(monkeypatch, capsys, tmp_path):
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    monkeypatch.setattr(sweep, "read_verdicts", lambda checkout, folder: {"a": "better"})
    words = ("--cases", "quickstart", "--against", str(tmp_path))
    lines, _ = lines_of(sweep, monkeypatch, capsys, *words)
    assert [(line["against"], line["ratio"]) for line in lines] == [(str(tmp_path), 1.0)]
    monkeypatch.setattr(sweep, "read_verdicts", lambda checkout, folder: {"a": str(checkout)})
    with pytest.raises(SystemExit, match="2"):
        lines_of(sweep, monkeypatch, capsys, *words)
    assert "the verdicts differ" in capsys.readouterr().err


def test_start_up_is_given_in_seconds_without_another_checkout(monkeypatch, capsys):
    lines, _ = lines_of(startup, monkeypatch, capsys, "--cases", "help", "before")
    found = [(line["case"], line["figure"], line["against"], line["ratio"]) for line in lines]
    assert found == [
        ("help", "processor time", "1 second", 3.0),
        ("before", "processor time", "1 second", 6.0),
    ]


def test_the_runs_that_compare_reads_are_a_hundred(tmp_path):
    directory = startup.write_runs(tmp_path, sentences=0)
    assert len(list(directory.glob("*/seed-*/result.json"))) == 100


@pytest.mark.parametrize("name", [*NAMES, "peers", "strategy_costs"])
def test_help_says_what_is_measured_and_how_long_it_takes(name, monkeypatch, capsys):
    module = importlib.import_module(f"benchmarks.{name}")
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit, match="0"):
        module.main()
    said = capsys.readouterr().out
    assert module.__doc__.splitlines()[0] in said
    assert "Takes " in said


def test_every_benchmark_has_the_common_options(monkeypatch, capsys):
    for name in NAMES:
        monkeypatch.setattr(sys, "argv", [name, "--help"])
        with pytest.raises(SystemExit):
            importlib.import_module(f"benchmarks.{name}").main()
        said = capsys.readouterr().out
        assert all(option in said for option in ("--json", "--quick", "--repeats"))


def test_the_curve_names_its_cases_and_has_both_themes():
    curves = {
        (case, length): (Spread(length / 1e3, 0, 0), Spread(length * 1e6, 0, 0))
        for case in ("dense", "window-32")
        for length in (64, 512, 8192)
    }
    root = ElementTree.fromstring(draw_curves(curves))
    space = "{http://www.w3.org/2000/svg}"
    words = {"".join(text.itertext()).strip() for text in root.iter(f"{space}text")}
    assert {"dense", "window-32", "64", "512", "8,192", "milliseconds", "megabytes"} <= words
    description = root.find(f"{space}desc").text
    assert "window-32 at 8192 tokens: 8192 ms, 8192 MB." in description
    style = root.find(f"{space}style").text
    used = {
        part.partition(")")[0] for part in ElementTree.tostring(root, encoding="unicode").split("var(")[1:]
    }
    for theme in read_themes():
        assert theme in style
        assert all(f"{variable}:" in theme for variable in used)


def test_the_peers_have_a_place_that_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv(peers.VARIABLE, str(tmp_path))
    assert peers.default_folder() == tmp_path
    monkeypatch.delenv(peers.VARIABLE)
    assert peers.default_folder().name == "benchmark-peers"


def test_results_keep_what_was_added():
    results = Results("train", as_json=False)
    results.add("one-run", "tokens/s", "joeynmt", Spread(3.0, 2.0, 4.0))
    assert [line.document()["ratio"] for line in results.lines] == [3.0]
    assert issubclass(BenchmarkError, Exception)
