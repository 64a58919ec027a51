"""Time `maskbench compare` over finished runs, as a process of its own: 10 arms with 10 seeds unless told.

    python benchmarks/compare_time.py
    python benchmarks/compare_time.py --sentences 500 --format json

The runs never ran: their directories are written to a temporary folder. Half of the arms differ from the baseline and
half are not decided, so that everything a table can need is computed.
"""

from __future__ import annotations

import argparse
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from fake_runs import FakeRun, experiment, write, write_costs

SPLITS = ("test", *(f"noise-{n}" for n in range(19)))
METRICS = ("token_accuracy", "nll", "bleu", "exact_match", "chrf")


def made(arm: int, seed: int, sentences: int) -> FakeRun:
    """Return a run with a hundred metrics and as many sentences as wanted."""
    gain = 0.01 * arm * (arm % 2) + 0.008 * math.sin(13 * seed * arm + arm)
    right = [int(math.sin(7 * seed + 3 * n) + 10 * gain > -0.3) for n in range(sentences)]
    level = sum(right) / sentences if sentences else 0.6 + 0.05 * math.sin(7 * seed) + gain
    numbers = {f"{split}/{metric}": level + 0.001 * k for k, split in enumerate(SPLITS) for metric in METRICS}
    parts = [{"id": n, "nll": [1.5, 7], "exact_match": [hit, 1]} for n, hit in enumerate(right)]
    told = f"{arm} {seed}"
    return FakeRun(numbers, outputs=told, losses=told, sentences={"test": parts} if sentences else {})


def main() -> None:
    """Write the runs, compare them some times, and print the median times in seconds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--arms", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--sentences", type=int, default=0, help="sentences of which runs kept the numbers")
    parser.add_argument("--format", default="table")
    parser.add_argument("--times", type=int, default=5)
    chosen = parser.parse_args()
    arms = ["none", *(f"arm-{n}" for n in range(1, chosen.arms))]
    runs = {
        arm: [made(n, seed, chosen.sentences) for seed in range(chosen.seeds)] for n, arm in enumerate(arms)
    }
    with tempfile.TemporaryDirectory() as folder:
        directory = write(Path(folder), experiment(arms, chosen.seeds, min_effect=0.01), runs)
        write_costs(directory, {arm: 1 + 0.01 * n for n, arm in enumerate(arms)})
        command = [sys.executable, "-m", "maskbench.cli", "compare", str(directory), "-f", chosen.format]
        wall, cpu = zip(*(timed(command) for _ in range(chosen.times)), strict=True)
    print(f"{chosen.arms * chosen.seeds} runs: wall {median(wall):.2f} s, user + system {median(cpu):.2f} s")


def timed(command: list[str]) -> tuple[float, float]:
    """Return the seconds a command takes, on the clock and of the processor."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
