"""Measures entries in the environment in which it runs: one process for each, so that none can harm another.

`python -m benchmarks.field.measure` reads tasks from standard input, a JSON object on every line, and writes as many results.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import torch

from benchmarks.field import edited_import, oracle
from benchmarks.field.catalogue import full_name, packages
from benchmarks.field.entry import Build, Entry, Judgement, Package
from maskbench.model_audit.audit import ModelFinding, audit_subject
from maskbench.model_audit.case import make_inputs
from maskbench.model_audit.subject import ModelSubject

LIMIT = 900
"""Longest time of one task, in seconds."""
LENGTHS = (
    ((9, 5, 7), (11, 8, 10)),
    ((6, 4, 3), (7, 6, 4)),
    ((12, 7, 10), (8, 5, 7)),
    ((5, 3, 4), (13, 9, 12)),
    ((16, 13, 11), (17, 14, 15)),
)
"""Lengths of the rows of source and target with which a failing proof is repeated."""
SEEDS = range(5)
"""Seeds of the weights with which it is repeated."""


def repetitions() -> list[tuple[Any, int]]:
    """Return the repetitions of a failing proof: the first seed at all pairs of lengths, the other seeds at the first pair."""
    return [(lengths, SEEDS[0]) for lengths in LENGTHS] + [(LENGTHS[0], seed) for seed in SEEDS[1:]]


def find(name: str) -> tuple[Package, Entry]:
    """Return an entry by its full name.

    Raises:
        KeyError: there is none.
    """
    known = {
        full_name(package, entry): (package, entry) for package in packages() for entry in package.entries
    }
    return known[name]


def audit(build: Build, proofs: Sequence[str] | None = None, seed: int = 0, lengths: Any = None) -> list[Any]:
    """Build a model and return the findings of its audit."""
    return list(audit_subject(_built(build, seed, lengths), proofs))


def _built(build: Build, seed: int, lengths: Any) -> ModelSubject:
    torch.manual_seed(seed)
    subject = build()
    if lengths is not None and subject.test_inputs is None:
        subject.test_inputs = make_inputs(subject, *lengths)
    return subject


def cell(finding: ModelFinding) -> dict[str, Any]:
    """Return what the page needs of one finding; what holds without a remark is short."""
    answer = finding.answer
    state = "holds" if answer.passed else "fails" if answer.passed is False else "does not apply"
    found: dict[str, Any] = {"state": "could not run" if answer.unable and answer.passed is None else state}
    if state == "holds":
        return found | ({"verdict": answer.verdict, "detail": finding.sentence} if answer.verdict else {})
    if answer.value is not None:
        found |= {"value": _short(answer.value), "dtype": finding.dtype}
    if answer.limit is not None:
        found["limit"] = _short(answer.limit)
    return found | {"detail": _without_paths(finding.sentence)}


def _short(value: float) -> float:
    return float(f"{value:.2g}")


def _without_paths(text: str) -> str:
    """Return a sentence in which files begin with the name of their package."""
    return " ".join(
        "(" * word.startswith("(") + word.rpartition("/site-packages/")[2]
        if "/site-packages/" in word
        else word
        for word in text.split(" ")
    )


def repeat(build: Build, proof: str) -> dict[str, Any]:
    """Return how often a proof fails again, and how large what moved is."""
    values: list[float] = []
    counts = dict.fromkeys(("fails", "holds", "not made"), 0)
    for lengths, seed in repetitions():
        try:
            (finding,) = audit(build, [proof], seed, lengths)
        except Exception:  # a model may refuse some lengths
            counts["not made"] += 1
            continue
        key = {True: "holds", False: "fails", None: "not made"}[finding.passed]
        counts[key] += 1
        if key == "fails" and finding.answer.value is not None:
            values.append(finding.answer.value)
    spread = {"least": _short(min(values)), "most": _short(max(values))} if values else {}
    return {name: count for name, count in counts.items() if count} | spread


def measure_cells(package: Package, entry: Entry) -> dict[str, Any]:
    """Return all cells of an entry, and the repetitions of those that fail."""
    findings = audit(entry.build)
    cells = {finding.proof: cell(finding) for finding in findings}
    failing = [name for name, found in cells.items() if found["state"] == "fails"]
    kind = _built(entry.build, 0, None).kind
    return {"kind": kind, "cells": cells, "repeats": {name: repeat(entry.build, name) for name in failing}}


def measure_proofs(build: Build, proofs: Sequence[str]) -> dict[str, Any]:
    """Return the cells of some proofs."""
    return {finding.proof: cell(finding) for finding in audit(build, proofs)}


def judgement_of(package: Package, title: str) -> Judgement:
    """Return a judgement by its title."""
    return next(judgement for judgement in package.judgements if judgement.title == title)


def perform(task: dict[str, Any]) -> Any:
    """Return the result of one task: `cells`, `oracle`, `control`, `mend` or `before` of an entry."""
    package, entry = find(task["entry"])
    what = task["what"]
    if what == "oracle":
        subject = _built(entry.build, 0, None)
        first, n = subject.words
        return oracle.check(
            subject.module, subject.kind, range(first, first + n), subject.max_length, subject.multiple
        )
    if what == "cells":
        return measure_cells(package, entry)
    if what == "before":
        return measure_proofs(entry.build, task["proofs"])
    judgement = judgement_of(package, task["judgement"])
    if what == "control":
        return measure_proofs(judgement.control[entry.name], task["proofs"])
    edited_import.install(judgement.mend)
    return measure_proofs(entry.build, task["proofs"])


def _child(task: dict[str, Any], answer: Connection) -> None:
    os.dup2(2, 1)  # what a package prints is no result
    warnings.simplefilter("ignore")
    try:
        found = {"result": perform(task)}
    except (Exception, SystemExit) as error:
        found = {"error": _without_paths(f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}")}
    answer.send(found)


def results(tasks: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield what each task came to, in their order."""
    fork = multiprocessing.get_context("fork")
    for task in tasks:
        start = time.monotonic()
        receiver, sender = fork.Pipe(duplex=False)
        child = fork.Process(target=_child, args=(task, sender))
        child.start()
        sender.close()
        found: dict[str, Any] = {"error": f"it was not done after {LIMIT} seconds"}
        if receiver.poll(LIMIT):
            found = {"error": "its process died"}
            with suppress(EOFError):
                found = receiver.recv()
        child.kill()
        child.join()
        yield task | found | {"seconds": round(time.monotonic() - start, 1)}


def main() -> None:
    """Perform the tasks of standard input."""
    torch.set_num_threads(1)
    tasks = [json.loads(line) for line in sys.stdin]
    if all(task["what"] != "mend" for task in tasks):
        for name in {find(task["entry"])[0].preload for task in tasks} - {""}:
            importlib.import_module(name)
    for found in results(tasks):
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
