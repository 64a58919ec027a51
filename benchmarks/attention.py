"""Measure time and memory of one self-attention layer by sentence length, forward and backward.

Width 256, 8 heads, float32, about 4,096 tokens in a batch without padding. Cases:

  dense        the product's attention, computed over all pairs
  no-mask      the product's attention without a mask, as it chooses to compute it
  window-32    the product's attention under a window of radius 32, as it chooses to compute it
  sdpa         torch's F.scaled_dot_product_attention in the same layer
  sdpa-window  the same, with the window as a boolean mask

Each without and, up to 4,096 tokens, with dropout (0.1) on the weights. Time is processor time, all cases in turn;
memory is the peak above the start in a process of its own, taken once at more than 1,024 tokens. A case that would need
more memory than there is, is skipped. `--figure FILE` also draws both by length, as an SVG for light and dark pages.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil

from benchmarks.attention_curve import Curves, draw_curves
from benchmarks.children import Worker
from benchmarks.harness import Results, Spread, interleave, parser, python_of, repeats_of, run

PAIRS = (
    ("window-32", "dense"),
    ("no-mask", "sdpa"),
    ("dense", "sdpa"),
    ("sdpa-window", "dense"),
    ("window-32", "sdpa-window"),
)
"""Which case is divided by which."""
CASES = ("dense", "no-mask", "window-32", "sdpa", "sdpa-window")
LENGTHS = (64, 256, 1024, 4096, 8192)
BATCH_TOKENS = 4096
DROPOUT = 0.1
SHORT = 1024
"""Up to this length a case takes well under a second."""
LONGEST = 4096
"""The longest sentences that are measured with dropout, unless lengths are chosen."""
SPARE = 0.7
"""Share of the available memory that a case may need."""


def measure(options: argparse.Namespace, results: Results) -> None:
    """Measure what the options ask for."""
    curves: Curves = {}
    contest = _Contest(options.threads, repeats_of(options, 3), results)
    for dropout in options.dropout:
        for length in [n for n in options.lengths if not dropout or options.chosen or n <= LONGEST]:
            contest.compare(options.cases, length, dropout, curves)
    if options.figure:
        options.figure.write_text(draw_curves(curves), encoding="utf-8")


class _Contest:
    """Measures the cases at one length after the other."""

    def __init__(self, threads: int, repeats: int, results: Results) -> None:
        self._threads, self._repeats, self._results = threads, repeats, results
        self._last: dict[tuple[str, float], tuple[int, float]] = {}

    def compare(self, cases: list[str], length: int, dropout: float, curves: Curves) -> None:
        """Measure the cases at one length and add their ratios."""
        batch = max(1, BATCH_TOKENS // length)
        about = {"length": length, "batch": batch, "dropout": dropout}
        fitting = [case for case in cases if self._fits(case, length, dropout)]
        self._results.progress(f"length {length:,}, dropout {dropout:g}: {', '.join(fitting)}")
        if not fitting:
            return
        count = 3 if length <= SHORT else 1
        # Memory hardly varies, and a case that takes seconds takes them here as well.
        rounds = self._repeats if length <= SHORT else 1
        # New processes each time: the one that is timed keeps the memory that it once had, as a run does.
        with self._worker(as_in_a_run=False) as worker:
            memory = interleave(
                {case: partial(_memory, worker, case, about) for case in fitting}, rounds, warm_up=0
            )
        with self._worker(as_in_a_run=True) as worker:
            times = interleave(
                {case: partial(_time, worker, case, about, count) for case in fitting}, self._repeats
            )
        suffix = f"+dropout-{dropout:g}" if dropout else ""
        for case in fitting:
            self._last[case, dropout] = length, max(memory[case])
            curves[case + suffix, length] = Spread.of(times[case]), Spread.of(memory[case])
        for case, other in PAIRS:
            if case not in fitting or other not in fitting:
                continue
            for figure, found, scale, unit in (("time", times, 1e3, "ms"), ("memory", memory, 1e-6, "MB")):
                self._results.compare(
                    case + suffix, figure, found, case, other, unit, scale=scale, length=length
                )

    def _fits(self, case: str, length: int, dropout: float) -> bool:
        """Whether the memory suffices if a case's needs grow with the square of the length."""
        before, needed = self._last.get((case, dropout), (length, 0.0))
        batches = max(1, BATCH_TOKENS // length) / max(1, BATCH_TOKENS // before)
        expected, available = needed * (length / before) ** 2 * batches, psutil.virtual_memory().available
        if expected <= SPARE * available:
            return True
        why = f"it may need {expected / 1e9:.0f} GB, and {available / 1e9:.0f} GB are free"
        self._results.skip(f"{case} at {length:,} tokens, dropout {dropout:g}", why)
        return False

    @contextmanager
    def _worker(self, *, as_in_a_run: bool) -> Iterator[Worker]:
        """Yield a new process that measures; `as_in_a_run`: its allocator keeps freed memory, as training does."""
        with Worker(python_of(None), "attend", threads=self._threads) as worker:
            worker.ask("prepare", threads=self._threads, as_in_a_run=as_in_a_run)
            yield worker


def _memory(worker: Worker, case: str, about: dict[str, float]) -> float:
    return float(worker.ask("memory", case=case, **about))


def _time(worker: Worker, case: str, about: dict[str, float], count: int) -> float:
    return float(worker.ask("iterate", case=case, count=count, **about)["processor"] / count)


def main() -> None:
    """Read the options and measure."""
    found = parser(__doc__ or "", "about 10 minutes")
    found.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    found.add_argument("--lengths", nargs="+", type=int, default=None, help=f"in tokens (default {LENGTHS})")
    found.add_argument("--dropout", nargs="+", type=float, default=[0.0, DROPOUT])
    found.add_argument("--threads", type=int, default=1)
    found.add_argument("--figure", type=Path, metavar="FILE", help="draw time and memory by length as an SVG")
    options = found.parse_args()
    options.chosen = options.lengths is not None
    options.lengths = options.lengths or ([16, 32] if options.quick else list(LENGTHS))
    run("attention", measure, options)


if __name__ == "__main__":
    main()
