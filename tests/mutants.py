"""Mutants: small, deliberate mistakes in the mask system, each of which some test has to notice.

    python tests/mutants.py            # all of them, two at a time; prints which were caught
    python tests/mutants.py structure  # one family, or several

A mutant replaces one piece of text that stands exactly once in its file (`tests/mutations`). It is made in a copy of
the package, and the tests named beside it run against the copy. The tests that noticed one then run against the
library as it is: one that fails there as well has noticed nothing.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
from mutations import MUTANTS
from mutations.mutant import Mutant

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
SIDE_BY_SIDE = 2
LONGEST_S = 600
"""A mutant that keeps its tests busy for longer, in seconds, counts as missed."""

FORKS = multiprocessing.get_context("forkserver")


def configure_server() -> None:
    """Decide what the server loads from which every process that runs tests is forked: what takes longest.

    Called before the first mutant and not when this module is imported: the suite imports it too.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    # A test has to notice, not the shape checks around every function; and the tests start sooner without them.
    os.environ["JAXTYPING_DISABLE"] = "1"
    FORKS.set_forkserver_preload(["torch", "torch.utils.tensorboard", "scipy.stats", "pydantic", "yaml"])


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant."""

    mutant: Mutant
    test: str
    """The first test that failed; empty where none did."""
    said: str = ""
    """The end of what pytest said, where none did."""


def stands_once(mutant: Mutant) -> bool:
    """Whether the text to replace is in the file exactly once: otherwise the mutant is out of date."""
    text = (ROOT / "maskbench" / mutant.file).read_text(encoding="utf-8")
    return text.count(mutant.old) == 1 and mutant.old != mutant.new


def run(mutant: Mutant, library: Path) -> Outcome:
    """Make the mutant in a copy of `library` and run its tests until one fails."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        shutil.copytree(library, copy, dirs_exist_ok=True)
        path = copy / "maskbench" / mutant.file
        text = path.read_text(encoding="utf-8")
        assert text.count(mutant.old) == 1, f"{mutant.file}: {mutant.old!r} does not stand there once"
        path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        code, said = _pytest(copy, _words(mutant.tests))
    # 1: tests failed. Anything else, such as an import error, is no proof that a test has teeth.
    failed = _failed(said) if code == 1 else []
    return Outcome(mutant, failed[0]) if failed else Outcome(mutant, "", said[-600:])


def run_all(mutants: Sequence[Mutant]) -> list[Outcome]:
    """Run them, a few at a time; print each as it ends, and how many were caught."""
    outcomes = []
    configure_server()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        library = Path(folder)
        _lay_out(library)
        for outcome in pool.map(partial(run, library=library), mutants):
            _print(outcome)
            outcomes.append(outcome)
        broken = _fail_anyway(sorted({o.test for o in outcomes if o.test}), library)
    if broken:
        print("these fail without any mutant, and prove nothing:", *sorted(broken), sep="\n  ")
    outcomes = [
        replace(o, test="", said=f"{o.test} fails anyway") if o.test in broken else o for o in outcomes
    ]
    print(f"{sum(bool(o.test) for o in outcomes)} of {len(outcomes)} mutants caught")
    return outcomes


def _print(outcome: Outcome) -> None:
    m = outcome.mutant
    old, new = (" ".join(text.split()) for text in (m.old, m.new))
    word = "caught" if outcome.test else "MISSED"
    print(f"{word}  {m.family:<12} {m.kind:<12} {m.file}: {old} -> {new or 'nothing'}", flush=True)
    print(f"        {outcome.test or outcome.said}", flush=True)


def _fail_anyway(tests: list[str], library: Path) -> set[str]:
    """Return those of the tests that fail on the library as it is."""
    code, said = _pytest(library, tests, "--maxfail=1000") if tests else (0, "")
    if code not in (0, 1):
        raise RuntimeError(f"the tests that caught the mutants cannot be run again: {said[-1000:]}")
    return set(_failed(said))


def _lay_out(folder: Path) -> None:
    """Lay the package out as it is installed, the tests beside it, both compiled."""
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "maskbench", folder / "maskbench", ignore=skip)
    shutil.copytree(ROOT / "cli", folder / "maskbench" / "cli", ignore=skip)
    shutil.copytree(ROOT / "benchmarks", folder / "benchmarks", ignore=skip)
    # Some tests hold the pages that benchmarks write against what they write.
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=skip)
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=skip)
    for name in ("setup.cfg", "README.md"):
        shutil.copy(ROOT / name, folder)
    _pytest(folder, ["tests/masks", "tests/model"], "--collect-only")


def _pytest(folder: Path, words: list[str], *further: str) -> tuple[int, str]:
    """Run pytest in a copy, until a test fails unless told otherwise; return its exit status and what it said."""
    plain = ["-q", "--no-header", "--tb=no", "-rf", "-p", "no:cacheprovider", "-m", "not slow"]
    said = folder / "said.txt"
    process = FORKS.Process(target=_child, args=(folder, said, [*plain, *(further or ("-x",)), *words]))
    process.start()
    process.join(LONGEST_S)
    if process.is_alive():
        process.kill()
        process.join()
        return -1, f"more than {LONGEST_S} s"
    return int(process.exitcode or 0), said.read_text(encoding="utf-8")


def _child(folder: Path, said: Path, arguments: list[str]) -> None:
    """Be the process that runs pytest: one in which nothing of maskbench is loaded yet."""
    output = os.open(said, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(folder)
    os.environ |= {"PYTHONPATH": str(folder), "COLUMNS": "1000"}
    sys.dont_write_bytecode = False
    sys.path[:] = [str(folder), *(p for p in sys.path if not Path(p or ".").resolve().is_relative_to(TESTS))]
    sys.exit(int(pytest.main(arguments)))


def _failed(said: str) -> list[str]:
    """Return the tests that pytest says failed."""
    lines = [line.removeprefix("FAILED ") for line in said.splitlines() if line.startswith("FAILED ")]
    return [line.split(" - ")[0] for line in lines]


def _words(tests: str) -> list[str]:
    """Return what pytest is given; -k chooses in the conformance tests alone, and other files run whole."""
    files, _, chosen = tests.partition(" -k ")
    words = [f"tests/{file}" for file in files.split()]
    return [*words, "-k", f"not test_conformance or ({chosen})"] if chosen else words


if __name__ == "__main__":
    families = sys.argv[1:]
    unknown = set(families) - {m.family for m in MUTANTS}
    if unknown:
        sys.exit(
            f"no family {', '.join(sorted(unknown))}; there are {', '.join(sorted({m.family for m in MUTANTS}))}"
        )
    chosen = [m for m in MUTANTS if not families or m.family in families]
    sys.exit(any(not outcome.test for outcome in run_all(chosen)))
