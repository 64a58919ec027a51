"""Measure a whole sweep on the clock: what running side by side costs, and the quickstart from command to table.

  side-by-side  N runs on c cores, over N / c runs one after the other on one core: the start of everything, training,
                evaluation and the cost probe are in both. N is twice the number of cores.
  quickstart    `maskbench run experiments/quickstart.yaml` in a new folder, over the same command of another checkout
                (`--against DIR`), in turn; without one, over one minute. The verdicts of both are compared.

Nothing else may run on the machine meanwhile: only the clock shows what a sweep takes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from benchmarks.children import environment, measure_command
from benchmarks.harness import (
    ROOT,
    BenchmarkError,
    Results,
    Spread,
    add_checkout,
    checkouts_of,
    interleave,
    parser,
    python_of,
    repeats_of,
    run,
)

CASES = ("side-by-side", "quickstart")
FILE = ROOT / "experiments" / "quickstart.yaml"


def measure(options: argparse.Namespace, results: Results) -> None:
    """Measure what the options ask for."""
    if "side-by-side" in options.cases:
        side_by_side(options, results)
    if "quickstart" in options.cases:
        quickstart(options, results)


def side_by_side(options: argparse.Namespace, results: Results) -> None:
    """Compare N runs on all cores with N / c runs on one."""
    cores = options.workers or psutil.cpu_count() or 1
    alone = 1 if options.quick else 2
    steps = ["--set", f"train.steps={20 if options.quick else 200}", "--arm", "none"]

    def sweep(seeds: int, workers: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            given = [*steps, "--seeds", str(seeds), "--workers", str(workers)]
            return measure_command(command(None, folder, given)).wall

    name = f"{alone * cores} runs on {cores} cores"
    results.progress(name)
    contestants = {"sweep": partial(sweep, alone * cores, cores), "single": partial(sweep, alone, 1)}
    found = interleave(contestants, repeats_of(options, 3), warm_up=0)
    against = f"{alone} runs on 1 core"
    results.compare(
        f"side-by-side, {name}", "clock", found, "sweep", "single", "s", digits=1, against=against
    )


def quickstart(options: argparse.Namespace, results: Results) -> None:
    """Compare the quickstart of this checkout with another one's."""
    given = ["--quick"] if options.quick or options.short else []
    case = "quickstart, quick form" if given else "quickstart"
    checkouts = checkouts_of(options)
    verdicts: dict[str, Any] = {}

    def whole(name: str) -> float:
        with tempfile.TemporaryDirectory() as folder:
            wall = measure_command(command(checkouts[name], folder, given)).wall
            verdicts[name] = read_verdicts(checkouts[name], folder)
        return wall

    results.progress(f"{case}: {', '.join(checkouts)}")
    contestants: dict[str, Callable[[], float]] = {name: partial(whole, name) for name in checkouts}
    found = interleave(contestants, repeats_of(options, 3), warm_up=0)
    own, *others = checkouts
    for other in others:
        if verdicts[own] != verdicts[other]:
            raise BenchmarkError(f"the verdicts differ: {verdicts[own]} here, {verdicts[other]} in {other}")
        results.compare(case, "clock", found, own, other, "s, same verdicts", digits=1)
    if not others:
        spread = Spread.of([wall / 60 for wall in found[own]])
        results.add(case, "clock", "1 minute", spread, seen=f"{60 * spread.median:.1f} s")


def command(checkout: Path | None, folder: str, given: list[str]) -> list[str]:
    """Return the command that runs the quickstart of this checkout with the code of another."""
    return [python_of(checkout), "-m", "maskbench.cli", "run", str(FILE), "--runs-dir", folder, *given]


def read_verdicts(checkout: Path | None, folder: str) -> dict[str, str]:
    """Return the verdict of every arm that the comparison of a folder shows."""
    experiment = next(path.parent for path in Path(folder).glob("*/experiment.yaml"))
    words = [python_of(checkout), "-m", "maskbench.cli", "compare", str(experiment), "--format", "json"]
    done = subprocess.run(words, capture_output=True, text=True, env=environment(None))
    if done.returncode:
        raise BenchmarkError(f"compare failed: {done.stderr.strip()[-500:]}")
    return dict(_verdicts(json.loads(done.stdout)))


def _verdicts(document: Any) -> list[tuple[str, str]]:
    """Return (arm, verdict) of every object of the JSON document that has both."""
    found = []
    if isinstance(document, dict):
        if isinstance(document.get("verdict"), str):
            found.append((str(document.get("arm", document.get("name"))), document["verdict"]))
        document = list(document.values())
    if isinstance(document, list):
        for part in document:
            found += _verdicts(part)
    return found


def main() -> None:
    """Read the options and measure."""
    found = parser(
        __doc__ or "",
        "about 3 minutes for side-by-side; the quickstart as many times a minute or two as there are repeats, and twice "
        "that with --against",
    )
    add_checkout(found, "runs the quickstart")
    found.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    found.add_argument(
        "--short", action="store_true", help="the quickstart's quick form, 6 runs instead of 24"
    )
    found.add_argument("--workers", type=int, default=None, help="runs at once (default: cores)")
    run("sweep", measure, found.parse_args())


if __name__ == "__main__":
    main()
