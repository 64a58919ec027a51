"""Measure how long commands take to start, in processor time of the whole command.

  help      `maskbench --help`
  compare   `maskbench compare` over 100 finished runs (10 arms x 10 seeds, 100 metrics a run; written for this)
  before    `maskbench run experiments/quickstart.yaml --dry-run` in a new folder: corpus, models and audit, all that
            comes before the first run
  one-run   `maskbench run` of one run of one step: the same, and the start and end of a training process

Over the same command of another checkout (`--against DIR`), in turn; without one, over one second.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.children import measure_command
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

CASES = ("help", "compare", "before", "one-run")
ARMS, SEEDS = 10, 10
SPLITS = ("test", *(f"noise-{n}" for n in range(19)))
METRICS = ("token_accuracy", "nll", "bleu", "exact_match", "chrf")
QUICKSTART = ROOT / "experiments" / "quickstart.yaml"


def measure(options: argparse.Namespace, results: Results) -> None:
    """Measure what the options ask for."""
    checkouts = checkouts_of(options)
    with tempfile.TemporaryDirectory() as folder:
        finished = write_runs(Path(folder), options.sentences) if "compare" in options.cases else None
        for case in options.cases:
            contestants: dict[str, Callable[[], float]] = {
                name: partial(seconds, case, checkout, finished) for name, checkout in checkouts.items()
            }
            results.progress(f"{case}: {', '.join(checkouts)}")
            for name in list(contestants)[1:]:
                try:
                    contestants[name]()
                except BenchmarkError:
                    results.skip(
                        f"{case} of {name}", "it does not read the runs that this state of the code writes"
                    )
                    del contestants[name]
            found = interleave(contestants, repeats_of(options))
            own, *others = contestants
            for other in others:
                results.compare(case, "processor time", found, own, other, "s", digits=2)
            spread = Spread.of(found[own])
            results.add(case, "processor time", "1 second", spread, seen=f"{spread.median:.2f} s")


def seconds(case: str, checkout: Path | None, finished: Path | None) -> float:
    """Return the processor time of a case's command, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        words = {
            "help": ["--help"],
            "compare": ["compare", str(finished)],
            "before": ["run", str(QUICKSTART), "--runs-dir", folder, "--dry-run"],
            "one-run": [
                *(
                    "run",
                    str(QUICKSTART),
                    "--runs-dir",
                    folder,
                    "--seeds",
                    "1",
                    "--arm",
                    "none",
                    "--workers",
                    "1",
                ),
                *("--set", "train.steps=1", "--set", "corpus.test=20", "--set", "corpus.valid=20"),
            ],
        }[case]
        command = [python_of(checkout), "-m", "maskbench.cli", *words]
        return measure_command(command, cwd=Path(folder)).processor


def write_runs(folder: Path, sentences: int) -> Path:
    """Write an experiment of 100 finished runs and return its directory.

    The runs never ran. Half of the arms differ from the baseline and half are not decided, so that everything a table
    can need is computed.

    Args:
        sentences: of which every run kept the numbers.
    """
    sys.path.insert(0, str(ROOT / "tests"))
    from fake_runs import experiment, write, write_costs

    arms = ["none", *(f"arm-{n}" for n in range(1, ARMS))]
    runs = {arm: [_fake_run(n, seed, sentences) for seed in range(SEEDS)] for n, arm in enumerate(arms)}
    directory: Path = write(folder, experiment(arms, SEEDS, min_effect=0.01), runs)
    write_costs(directory, {arm: 1 + 0.01 * n for n, arm in enumerate(arms)})
    return directory


def _fake_run(arm: int, seed: int, sentences: int) -> object:
    from fake_runs import FakeRun

    gain = 0.01 * arm * (arm % 2) + 0.008 * math.sin(13 * seed * arm + arm)
    right = [int(math.sin(7 * seed + 3 * n) + 10 * gain > -0.3) for n in range(sentences)]
    level = sum(right) / sentences if sentences else 0.6 + 0.05 * math.sin(7 * seed) + gain
    numbers = {f"{split}/{metric}": level + 0.001 * k for k, split in enumerate(SPLITS) for metric in METRICS}
    parts = [{"id": n, "nll": [1.5, 7], "exact_match": [hit, 1]} for n, hit in enumerate(right)]
    told = f"{arm} {seed}"
    return FakeRun(numbers, outputs=told, losses=told, sentences={"test": parts} if sentences else {})


def main() -> None:
    """Read the options and measure."""
    found = parser(__doc__ or "", "about 2 minutes, and twice that with --against")
    add_checkout(found, "started")
    found.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    found.add_argument(
        "--sentences", type=int, default=0, help="of which the runs to compare kept the numbers"
    )
    run("startup", measure, found.parse_args())


if __name__ == "__main__":
    main()
