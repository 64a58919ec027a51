"""Compare the speed of training with JoeyNMT's, and with what the machine can multiply.

The reference model (3+3 layers, width 256, 7.6 M parameters, joint BPE of 8,000) on Multi30k, about 4,096 padded
tokens a batch, in real target tokens a second: two runs side by side with one thread each over JoeyNMT with two
threads (on the clock), and one run over JoeyNMT with one thread (in processor time). JoeyNMT computes in float32.

Then the share of one thread's matrix products: the floating point operations that a reference step's matrix
products need, divided by the step's time, over what a product of two square matrices reaches.

bfloat16 is measured where the processor has it. `--against DIR` adds another checkout of maskbench: one run each.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.children import Worker
from benchmarks.harness import (
    Results,
    Spread,
    add_checkout,
    interleave,
    parser,
    python_of,
    ratios,
    repeats_of,
    run,
)
from benchmarks.peers import missing_peer, python_of_peers
from benchmarks.reference import BATCH_TOKENS, DROPOUT, add_corpus, cache_folder

CASES = ("two-runs", "one-run", "ceiling")
PRECISIONS = ("float32", "bfloat16")
NO_BFLOAT16 = "this processor has no bfloat16 products (AVX-512 BF16 or AMX); emulated ones say nothing"
SIZES = (512, 1024, 2048)


def measure(options: argparse.Namespace, results: Results) -> None:
    """Measure what the options ask for."""
    with ExitStack() as stack:
        contest = _Contest(options, results, stack)
        if options.profile:
            print(contest.ours("float32").ask("profile", count=options.steps, rows=28))
            return
        for precision in options.precision:
            if precision == "bfloat16" and not contest.has_bfloat16:
                results.skip(f"{', '.join(options.cases)} in bfloat16", NO_BFLOAT16)
                continue
            if "two-runs" in options.cases:
                contest.two_runs(precision)
            if "one-run" in options.cases:
                contest.one_run(precision)
            if "ceiling" in options.cases:
                contest.ceiling(precision)


class _Contest:
    """The workers of one benchmark; each is started when it is first needed, and lives until the end."""

    def __init__(self, options: argparse.Namespace, results: Results, stack: ExitStack) -> None:
        self._options, self._results, self._stack = options, results, stack
        self._repeats = repeats_of(options, 3)
        self._folder = stack.enter_context(tempfile.TemporaryDirectory())
        self._workers: dict[tuple[Any, ...], Worker] = {}
        self.has_bfloat16 = False
        first = self.ours("float32")
        first.ask("export", folder=self._folder)
        self._no_peer = missing_peer("joeynmt")
        if self._no_peer:
            results.skip("joeynmt", self._no_peer)

    def ours(self, precision: str, seed: int = 0, checkout: Path | None = None) -> Worker:
        """Return a worker that trains the reference run with one thread."""
        key = "maskbench", precision, seed, checkout
        if key not in self._workers:
            worker = self._stack.enter_context(Worker(python_of(checkout), "train_maskbench"))
            about = {"multi30k": self._options.multi30k, "cache": str(cache_folder()), "precision": precision}
            self.has_bfloat16 = worker.ask("start", **about, threads=1, seed=seed)["has_bfloat16"]
            self._workers[key] = worker
        return self._workers[key]

    def joeynmt(self, threads: int) -> Worker:
        """Return a worker that trains the same model in JoeyNMT."""
        key = "joeynmt", threads
        if key not in self._workers:
            worker = Worker(python_of_peers(), "train_joeynmt", threads=threads)
            self._workers[key] = self._stack.enter_context(worker)
            about = {"folder": self._folder, "batch_tokens": BATCH_TOKENS, "dropout": DROPOUT}
            worker.ask("start", **about, threads=threads)
        return self._workers[key]

    def two_runs(self, precision: str) -> None:
        """Compare two runs with one thread each, side by side, with JoeyNMT on two threads."""
        if self._no_peer:
            return
        pair = [self.ours(precision, seed) for seed in (0, 1)]
        self._compare(
            f"two-runs {precision}",
            {
                "maskbench": partial(self._together, pair),
                "joeynmt, 2 threads": partial(self._alone, self.joeynmt(2), "wall"),
            },
        )

    def one_run(self, precision: str) -> None:
        """Compare one run with one thread with JoeyNMT on one thread, and with the other checkout."""
        contestants = {"maskbench": partial(self._alone, self.ours(precision), "processor")}
        if not self._no_peer:
            contestants["joeynmt, 1 thread"] = partial(self._alone, self.joeynmt(1), "processor")
        if self._options.against:
            other = self.ours(precision, checkout=self._options.against)
            contestants[str(self._options.against)] = partial(self._alone, other, "processor")
        if len(contestants) > 1:
            self._compare(f"one-run {precision}", contestants)

    def ceiling(self, precision: str) -> None:
        """Compare the rate of a reference step's matrix products with that of matrix products alone."""
        worker, count = self.ours(precision), self._options.steps
        flops = worker.ask("count_flops", step=0)

        def step() -> float:
            return float(flops * count / worker.ask("same_step", step=0, count=count)["processor"] / 1e9)

        def products() -> float:
            found = [
                worker.ask("products", size=n, count=2 * (2048 // n) ** 2, dtype=precision) for n in SIZES
            ]
            return float(max(answer["flops"] / answer["processor"] for answer in found) / 1e9)

        self._results.progress(f"the share of the matrix-product ceiling, {precision}")
        found = interleave({"step": step, "products": products}, self._repeats)
        step_rate, ceiling = (Spread.of(found[name]).median for name in ("step", "products"))
        seen = f"{step_rate:.0f} of {ceiling:.0f} GFLOP/s; {flops / 1e9:.0f} GFLOP a step"
        name, against = f"ceiling {precision}", "matrix products, 1 thread"
        self._results.add(name, "operations/s", against, ratios(found["step"], found["products"]), seen=seen)

    def _compare(self, case: str, contestants: Mapping[str, Callable[[], float]]) -> None:
        self._results.progress(f"{case}: {', '.join(contestants)}")
        found = interleave(contestants, self._repeats)
        own, *others = contestants
        for other in others:
            self._results.compare(case, "tokens/s", found, own, other, "tokens/s")

    def _alone(self, worker: Worker, clock: str) -> float:
        answer = worker.ask("steps", count=self._options.steps)
        return float(answer["tokens"] / answer[clock])

    def _together(self, workers: list[Worker]) -> float:
        """Return the tokens a second of workers that take their steps at the same time."""
        for worker in workers:
            worker.send("steps", count=self._options.steps)
        answers = [worker.receive() for worker in workers]
        return float(sum(answer["tokens"] / answer["wall"] for answer in answers))


def main() -> None:
    """Read the options and measure."""
    found = parser(__doc__ or "", "about 3 minutes on two cores of which nobody else makes use")
    add_corpus(found)
    add_checkout(found, "trained")
    found.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    found.add_argument("--precision", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    found.add_argument(
        "--steps", type=int, default=None, help="training steps a repeat (default 4; quick: 1)"
    )
    found.add_argument(
        "--profile", action="store_true", help="print where the time of the steps goes, and no more"
    )
    options = found.parse_args()
    options.steps = options.steps or (1 if options.quick else 4)
    run("train", measure, options)


if __name__ == "__main__":
    main()
