"""A worker answers with what its functions return, and its errors reach the benchmark as one message."""

from __future__ import annotations

import sys

import pytest

from benchmarks import children
from benchmarks.children import Worker, measure_command
from benchmarks.harness import BenchmarkError

SCRIPT = """
import sys
from protocol import serve, timed

def add(one, other):
    print("a library prints")
    return one + other

def fail():
    raise ValueError("no such case")

def leave():
    sys.stderr.write("first\\nlast words\\n")
    sys.exit(7)

def wait():
    answer = {}
    with timed(answer):
        sum(range(1000))
    return answer

serve(add, fail, leave, wait)
"""


@pytest.fixture
def worker(tmp_path, monkeypatch):
    protocol = (children.WORKERS / "protocol.py").read_text(encoding="utf-8")
    (tmp_path / "protocol.py").write_text(protocol, encoding="utf-8")
    (tmp_path / "small.py").write_text(SCRIPT, encoding="utf-8")
    monkeypatch.setattr(children, "WORKERS", tmp_path)
    with Worker(sys.executable, "small") as found:
        yield found


def test_a_worker_answers_whatever_its_libraries_print(worker):
    assert worker.ask("add", one=2, other=3) == 5
    assert worker.ask("add", one="a", other="b") == "ab"


def test_requests_can_be_under_way_in_two_workers(worker):
    worker.send("add", one=1, other=1)
    with Worker(sys.executable, "small") as other:
        other.send("add", one=10, other=1)
        assert (worker.receive(), other.receive()) == (2, 11)


def test_an_error_is_told_and_the_worker_goes_on(worker):
    with pytest.raises(BenchmarkError, match=r"^small: ValueError: no such case$"):
        worker.ask("fail")
    assert worker.ask("add", one=1, other=2) == 3


def test_a_worker_that_ends_is_told_with_its_last_words(worker):
    with pytest.raises(BenchmarkError, match=r"small ended with exit code 7: first \| last words"):
        worker.ask("leave")


def test_both_times_are_measured(worker):
    answer = worker.ask("wait")
    assert set(answer) == {"wall", "processor"}
    assert all(seconds >= 0 for seconds in answer.values())


def test_a_command_is_measured_with_its_memory():
    hundred_mb = "x = bytearray(100_000_000)"
    assert measure_command([sys.executable, "-c", hundred_mb]).peak > 100_000_000


def test_a_command_that_fails_is_told_with_its_last_words():
    words = [sys.executable, "-c", "import sys; sys.exit('nothing there')"]
    with pytest.raises(BenchmarkError, match="ended with exit code 1: nothing there"):
        measure_command(words)
