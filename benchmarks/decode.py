"""Compare the speed of translation with JoeyNMT's and CTranslate2's, all with the same weights.

The reference model (3+3 layers, width 256, joint BPE of 8,000) with random weights translates sentences of Multi30k's
test_2016_flickr, of all its lengths, greedily and with a beam of 5, with one thread each. All get the same batches, those
of an evaluation, and every translation has as many tokens as the longest source of its batch, so all search equally
far. First the peers' scores of the reference translations are held against maskbench's: a difference above 1e-4 nats ends the
benchmark.

Figures are sentences a second of processor time. CTranslate2's int8 is there for information: it computes other scores.
`--against DIR` adds another checkout of maskbench.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial

from benchmarks.children import Worker
from benchmarks.harness import (
    BenchmarkError,
    Results,
    add_checkout,
    interleave,
    parser,
    python_of,
    repeats_of,
    run,
)
from benchmarks.peers import missing_peer, python_of_peers
from benchmarks.reference import add_corpus, cache_folder

CASES = {"greedy": 1, "beam-5": 5}
BATCH_TOKENS = 4096
COMPUTE_TYPES = ("float32", "int8")
TOLERANCE = 1e-4
"""Largest difference of a token's log-likelihood between two implementations, in nats."""


def measure(options: argparse.Namespace, results: Results) -> None:
    """Measure what the options ask for."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        about = {"multi30k": options.multi30k, "cache": str(cache_folder()), "sentences": options.sentences}
        about |= {"batch_tokens": options.batch_tokens, "threads": options.threads}
        about["beams"] = [CASES[case] for case in options.cases]
        ours = stack.enter_context(Worker(python_of(None), "decode_maskbench", threads=options.threads))
        n_sentences = ours.ask("start", **about)
        ours.ask("export", folder=folder)
        workers = {"maskbench": ours} | start_peers(options, results, stack, folder)
        for name, worker in workers.items():
            if name not in ("maskbench", "ctranslate2-int8"):
                check_scores(name, ours.ask("scores"), worker.ask("scores"))
        if options.against:
            other = stack.enter_context(
                Worker(python_of(options.against), "decode_maskbench", threads=options.threads)
            )
            other.ask("start", **about)
            workers[str(options.against)] = other
        for case in options.cases:
            compare(case, CASES[case], n_sentences, workers, repeats_of(options, 3), results)


def start_peers(
    options: argparse.Namespace, results: Results, stack: ExitStack, folder: str
) -> dict[str, Worker]:
    """Return a worker for each peer that is installed; the others are noted as skipped."""
    found: dict[str, Worker] = {}
    if why := missing_peer("joeynmt"):
        results.skip("joeynmt", why)
    else:
        worker = Worker(python_of_peers(), "decode_joeynmt", threads=options.threads)
        found["joeynmt"] = stack.enter_context(worker)
        worker.ask("start", folder=folder, threads=options.threads)
    if why := missing_peer("ctranslate2"):
        results.skip("ctranslate2", why)
        return found
    for kind in COMPUTE_TYPES:
        worker = Worker(python_of_peers(), "decode_ctranslate2", threads=options.threads)
        found[f"ctranslate2-{kind}"] = stack.enter_context(worker)
        worker.ask("start", folder=folder, compute_type=kind, threads=options.threads)
    return found


def check_scores(peer: str, ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> None:
    """Hold a peer's log-likelihoods of the same tokens against ours, so that both compute the same model.

    Raises:
        BenchmarkError: other numbers of tokens, or a token's score differs by more than `TOLERANCE`.
    """
    if [len(row) for row in ours] != [len(row) for row in theirs]:
        raise BenchmarkError(f"{peer} scored other numbers of tokens, so it does not compute the same model")
    pairs = (pair for rows in zip(ours, theirs, strict=True) for pair in zip(*rows, strict=True))
    worst = max(abs(own - other) for own, other in pairs)
    if not worst <= TOLERANCE:
        raise BenchmarkError(
            f"{peer} scores a token {worst:.2g} nats away from maskbench (allowed: {TOLERANCE:g}); it does not compute "
            "the same model, and comparing its speed would mean nothing"
        )


def compare(
    case: str, beam: int, n_sentences: int, workers: dict[str, Worker], repeats: int, results: Results
) -> None:
    """Measure one kind of search with all workers in turn."""
    tokens: dict[str, int] = {}

    def speed(name: str) -> float:
        answer = workers[name].ask("translate", beam=beam)
        tokens[name] = answer["tokens"]
        return float(n_sentences / answer["processor"])

    results.progress(f"{case}: {', '.join(workers)}")
    contestants: dict[str, Callable[[], float]] = {name: partial(speed, name) for name in workers}
    found = interleave(contestants, repeats)
    for name in workers:
        if tokens[name] != tokens["maskbench"]:
            raise BenchmarkError(
                f"{name} said {tokens[name]:,} tokens and maskbench {tokens['maskbench']:,}; the lengths are not forced"
            )
        if name != "maskbench":
            results.compare(case, "sentences/s", found, "maskbench", name, "sentences/s", digits=1)


def main() -> None:
    """Read the options and measure."""
    found = parser(__doc__ or "", "about 8 minutes")
    add_corpus(found)
    add_checkout(found, "translates")
    found.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    found.add_argument("--threads", type=int, default=1, help="of every contestant")
    found.add_argument(
        "--sentences", type=int, default=None, help="translated a repeat (default 256; quick: 20)"
    )
    found.add_argument(
        "--batch-tokens",
        type=int,
        default=BATCH_TOKENS,
        help="of a batch over all hypotheses of a step (default %(default)s, as in an evaluation)",
    )
    options = found.parse_args()
    options.sentences = options.sentences or (20 if options.quick else 256)
    run("decode", measure, options)


if __name__ == "__main__":
    main()
