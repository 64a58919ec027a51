"""Hold published models to the promises of their masks, and write docs/field.md.

Each package is installed in an environment of its own on top of this one's torch. What is measured with the same versions
and the same proofs is not measured again; --redo does it all the same, after the build of an entry was changed.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from benchmarks.field import page
from benchmarks.field.catalogue import full_name, packages
from benchmarks.field.entry import Entry, Judgement, Package
from benchmarks.field.environment import CHECKOUT, NotInstalledError, python_with
from benchmarks.field.results import Results

AT_ONCE = 40
"""Most tasks for one process, so that several are busy."""


def selected(names: Sequence[str]) -> list[tuple[Package, Entry]]:
    """Return the entries that names select: `package/entry`, with `*` for any text, or `package`; all without names.

    Raises:
        SystemExit: a name selects none.
    """
    known = {
        full_name(package, entry): (package, entry) for package in packages() for entry in package.entries
    }
    chosen = set(known) if not names else set()
    for name in names:
        found = [full for full in known if fnmatch.fnmatch(full, name) or full.startswith(f"{name}/")]
        if not found:
            sys.exit(f"the catalogue has no {name!r}; `python -m benchmarks.field --list` prints all names")
        chosen |= set(found)
    return [known[name] for name in sorted(chosen)]


class Run:
    """Performs tasks in the environments of their packages, several at a time."""

    def __init__(self, results: Results, jobs: int) -> None:
        self._results = results
        self._jobs = jobs
        self._done = 0
        self._lock = threading.Lock()

    def cells(self, entries: Sequence[tuple[Package, Entry]]) -> None:
        """Measure the cells of entries."""
        of = {full_name(package, entry): package for package, entry in entries}

        def keep(found: dict[str, Any]) -> str:
            name = found["entry"]
            kept = {key: found[key] for key in ("error", "seconds") if key in found} | found.get("result", {})
            self._results.put(name, of[name], kept)
            counts = page.count_states(kept)
            return kept.get("error") or ", ".join(f"{n} {state}" for state, n in counts.items() if n)

        tasks = [(of[name].requirements, {"entry": name, "what": "cells"}) for name in of]
        self._perform(tasks, keep)

    def trials(self, entries: Sequence[tuple[Package, Entry]]) -> None:
        """Measure the controls and mends of failing cells, and the failing proofs in earlier versions."""
        tasks: list[tuple[tuple[str, ...], dict[str, Any]]] = []
        judgements: dict[tuple[str, str], Judgement] = {}
        for package, entry in entries:
            name = full_name(package, entry)
            for judgement in package.judged(entry.name):
                judgements[name, judgement.title] = judgement
                proofs = page.failing_proofs(self._results.of(name), judgement)
                for what in page.trials_of(package, entry, judgement):
                    if proofs and self._results.trial(name, judgement, what) is None:
                        older = (
                            package.of_version(package.before) if what == "before" else package.requirements
                        )
                        task = {"entry": name, "what": what, "judgement": judgement.title, "proofs": proofs}
                        tasks.append((older, task))

        def keep(found: dict[str, Any]) -> str:
            kept = {key: found[key] for key in ("error",) if key in found} | {
                "cells": found.get("result", {})
            }
            judgement = judgements[found["entry"], found["judgement"]]
            self._results.put_trial(found["entry"], judgement, found["what"], kept)
            states = [f"{proof} {cell['state']}" for proof, cell in kept["cells"].items()]
            return f"{found['what']} ({found['judgement']}): {found.get('error') or ', '.join(states)}"

        self._perform(tasks, keep)

    def oracle(self, entries: Sequence[tuple[Package, Entry]], count: int, seed: int) -> None:
        """Draw entries that were built and let the oracle ask them; one that it cannot call is replaced by the next drawn."""
        of = {full_name(package, entry): package for package, entry in entries}
        drawn = [name for name in of if "cells" in (self._results.of(name) or {})]
        random.Random(seed).shuffle(drawn)
        self._results.forget_oracle()

        def keep(found: dict[str, Any]) -> str:
            result = {"moved": found["result"]} if "result" in found else {"error": found["error"]}
            self._results.put_oracle(found["entry"], {"seed": seed, **result})
            return str(result)

        missing = count
        while missing and drawn:
            now, drawn = drawn[:missing], drawn[missing:]
            self._perform([(of[name].requirements, {"entry": name, "what": "oracle"}) for name in now], keep)
            missing -= sum("moved" in (self._results.of(name) or {})["oracle"] for name in now)

    def _perform(
        self, tasks: Sequence[tuple[tuple[str, ...], dict[str, Any]]], keep: Callable[[dict[str, Any]], str]
    ) -> None:
        self._done, total = 0, len(tasks)

        def work(chunk: tuple[tuple[str, ...], list[dict[str, Any]]]) -> None:
            for found in performed(*chunk):
                said = keep(found)
                with self._lock:
                    self._done += 1
                    print(f"[{self._done} of {total}] {found['entry']}: {said}", file=sys.stderr, flush=True)

        with ThreadPoolExecutor(self._jobs) as pool:
            list(pool.map(work, chunks(tasks)))


def chunks(
    tasks: Sequence[tuple[tuple[str, ...], dict[str, Any]]],
) -> Iterator[tuple[tuple[str, ...], list[dict[str, Any]]]]:
    """Yield groups of tasks that one process performs: of the same environment, and edited imports apart from others."""
    groups: dict[tuple[tuple[str, ...], bool], list[dict[str, Any]]] = {}
    for requirements, task in tasks:
        groups.setdefault((requirements, task["what"] == "mend"), []).append(task)
    for (requirements, _), group in groups.items():
        for start in range(0, len(group), AT_ONCE):
            yield requirements, group[start : start + AT_ONCE]


def performed(requirements: tuple[str, ...], tasks: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the results of tasks in an environment."""
    try:
        python = python_with(requirements)
    except NotInstalledError as error:
        yield from (task | {"error": f"not installed: {error}"} for task in tasks)
        return
    left = list(tasks)
    with subprocess.Popen(
        [str(python), "-m", "benchmarks.field.measure"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=CHECKOUT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        text=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        with suppress(BrokenPipeError), process.stdin:
            process.stdin.write("".join(json.dumps(task) + "\n" for task in tasks))
        for line in process.stdout:
            left.pop(0)
            yield json.loads(line)
    said = f"the process of its environment ended with {process.returncode}"
    yield from (task | {"error": said} for task in left)


def main() -> None:
    """Read the options, measure what is missing, and write the page."""
    options = argparse.ArgumentParser(
        "python -m benchmarks.field",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument(
        "names", nargs="*", help="package/entry, with * for any text, or package; all without names"
    )
    options.add_argument("--list", action="store_true", help="print the names of the catalogue")
    options.add_argument("--redo", action="store_true", help="measure again what is measured")
    options.add_argument(
        "--oracle", type=int, metavar="COUNT", help="ask so many entries, drawn at random, by hand"
    )
    options.add_argument("--seed", type=int, default=0, help="of that draw")
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time")
    options.add_argument("--only-page", action="store_true", help="measure nothing, write the pages")
    given = options.parse_args()
    entries = selected(given.names)
    if given.list:
        print("\n".join(full_name(package, entry) for package, entry in entries))
        return
    results = Results()
    if not given.only_page:
        run = Run(results, given.jobs)
        run.cells([(p, e) for p, e in entries if given.redo or not results.is_current(full_name(p, e), p)])
        run.trials(entries)
        if given.oracle is not None:
            run.oracle(entries, given.oracle, given.seed)
    if given.names:
        print(page.tables_of(entries, results))
    else:
        known = {full_name(package, entry) for package, entry in entries}
        results.drop([name for name, _ in results if name not in known])
        for file, text in page.pages(results).items():
            file.write_text(text, encoding="utf-8")
            print(f"written: {file.relative_to(CHECKOUT)}", file=sys.stderr)
    if problems := page.problems(entries, results):
        print("\n".join(problems), file=sys.stderr)
        sys.exit(3)


if __name__ == "__main__":
    main()
