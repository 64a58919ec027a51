"""Measure the memory of runs and of the audit, and how well `maskbench plan` predicts it.

Runs: `quickstart`, one run of experiments/quickstart.yaml; `reference`, the model of the speed figures on Multi30k
(3+3 layers, width 256, batches of 4,096 tokens), whose peak is given by step; `window-2048`, a model of that size that
trains on sentences of 2,048 tokens with a window of radius 32. `plan` is asked before each. Peaks are resident memory
of the training process, which a run logs by itself; the cost probe after training is left out.

`audit`: the peak above the start of the process that audits an arm before training, by sentence length, for 10 pairs.

Memory does not depend on the load of the machine, so all runs go side by side, as far as cores allow. `--against DIR`
runs another checkout as well; its figures are what this one's are divided by.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from benchmarks.children import Worker, environment
from benchmarks.harness import (
    ROOT,
    BenchmarkError,
    Results,
    Spread,
    add_checkout,
    checkouts_of,
    parser,
    python_of,
    run,
)
from benchmarks.reference import BATCH_TOKENS, DROPOUT, add_corpus

CASES = ("quickstart", "reference", "window-2048", "audit")
STEPS = 100
AUDIT_LENGTHS = (50, 100, 200)
AUDIT_PAIRS = 10
SETTLED = 50
"""The step after which the reference run's memory should stay what it is."""
MODEL = {
    "d_model": 256,
    "n_heads": 8,
    "encoder_layers": 3,
    "decoder_layers": 3,
    "d_ff": 1024,
    "dropout": DROPOUT,
}
LONG = 2048


@dataclass(frozen=True, slots=True)
class Peaks:
    """The memory of one run, in bytes."""

    predicted: int
    """By `maskbench plan`."""
    by_step: dict[int, int]
    """The peak up to a step."""


def measure(options: argparse.Namespace, results: Results) -> None:
    """Measure what the options ask for, several processes at a time."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(psutil.cpu_count() or 1) as pool:
        place = Path(folder)
        checkouts = checkouts_of(options).values()
        jobs = {}
        for case in options.cases:
            for checkout in checkouts:
                if case == "audit":
                    for length in options.audit_lengths:
                        jobs[case, length, checkout] = pool.submit(audit, checkout, length)
                else:
                    file = write_experiment(place, case, options)
                    jobs[case, None, checkout] = pool.submit(watch, checkout, file, place, results)
        for (case, length, checkout), job in jobs.items():
            if checkout is not None:
                continue
            other = jobs[case, length, options.against].result() if options.against else None
            own = job.result()
            if isinstance(own, int):
                _add_audit(results, own, other, length or 0)
            else:
                _add_run(results, case, own, other, str(options.against))


def _add_audit(results: Results, own: int, other: Any, length: int) -> None:
    against, base = ("1 GB", 1e9) if other is None else ("the other checkout", float(other))
    seen = f"{own / 1e6:,.0f} MB" if other is None else f"{own / 1e6:,.0f} / {other / 1e6:,.0f} MB"
    results.add("audit", "memory", against, Spread.of([own / base]), length=length, seen=seen)


def _add_run(results: Results, case: str, own: Peaks, other: Any, checkout: str) -> None:
    last = max(own.by_step)
    for step in sorted(own.by_step):
        # Every log of a long run would be a long table.
        if case == "reference" and (step in (SETTLED, last) or step % 100 == 0 or step == min(own.by_step)):
            peak = own.by_step[step]
            results.add(
                f"{case}, step {step}",
                "peak memory",
                "1 GB",
                Spread.of([peak / 1e9]),
                seen=f"{peak / 1e6:,.0f} MB",
            )
    settled = [peak for step, peak in own.by_step.items() if step <= SETTLED]
    if case == "reference" and last > SETTLED and settled:
        spread = Spread.of([own.by_step[last] / max(settled)])
        results.add(f"{case}, step {last}", "peak memory", f"step {SETTLED}", spread)
    peak = max(own.by_step.values())
    seen = f"{own.predicted / 1e6:,.0f} / {peak / 1e6:,.0f} MB"
    results.add(case, "predicted memory", "measured", Spread.of([own.predicted / peak]), seen=seen)
    if other is not None:
        theirs = max(other.by_step.values())
        seen = f"{peak / 1e6:,.0f} / {theirs / 1e6:,.0f} MB"
        results.add(case, "peak memory", checkout, Spread.of([peak / theirs]), seen=seen)


def audit(checkout: Path | None, length: int) -> int:
    """Return the bytes that the audit before training takes above the start."""
    with Worker(python_of(checkout), "audit_maskbench") as worker:
        found = worker.ask("audit", length=length, pairs=AUDIT_PAIRS, threads=1)
    return int(found["peak"] - found["start"])


def watch(checkout: Path | None, file: Path, folder: Path, results: Results) -> Peaks:
    """Plan and run an experiment of one run, and return its memory; the run is stopped when it is trained."""
    python, place = python_of(checkout), folder / f"{file.stem}-{id(checkout)}"
    results.progress(f"{file.stem}{f' of {checkout}' if checkout else ''}")
    command = [python, "-m", "maskbench.cli"]
    given = [str(file), "--runs-dir", str(place), "--seeds", "1", "--arm", "none"]
    done = subprocess.run(
        [*command, "plan", *given, "--json"], capture_output=True, text=True, env=environment(1), cwd=folder
    )
    if done.returncode:
        raise BenchmarkError(f"plan of {file.stem} failed: {done.stderr.strip()[-500:]}")
    predicted = json.loads(done.stdout)["memory_bytes"]["run"]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [*command, "run", *given, "--workers", "1"],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(1),
            cwd=folder,
        )
        while process.poll() is None and not list(place.rglob("result.json")):
            time.sleep(0.5)
        # What follows is the cost probe; its signal ends the command as Ctrl-C does.
        process.send_signal(signal.SIGINT)
        process.wait()
        output.seek(0)
        said = output.read().decode(errors="replace").strip()[-500:]
    logs = [path for path in place.rglob("timing.jsonl") if path.parent.name == "seed-0"]
    if not logs or not list(place.rglob("result.json")):
        raise BenchmarkError(f"the run of {file.stem} failed: {said}")
    records = [json.loads(line) for line in logs[0].read_text(encoding="utf-8").splitlines()]
    return Peaks(predicted, {record["step"]: int(1e6 * record["peak_memory_mb"]) for record in records})


def write_experiment(folder: Path, case: str, options: argparse.Namespace) -> Path:
    """Return the experiment file of a case, written into `folder` unless it is one of the product's."""
    if case == "quickstart":
        return ROOT / "experiments" / "quickstart.yaml"
    text: dict[str, Any] = {"name": case, "seeds": 2, "baseline": "none", "model": MODEL}
    train = {"steps": options.steps, "batch_tokens": options.batch_tokens, "precision": options.precision}
    text |= {"train": train | {"valid_every": options.steps, "save_every": options.steps}}
    text |= {"evaluate": {"splits": ["valid"], "metrics": ["nll"]}, "compare": {"metric": "valid/nll"}}
    if case == "reference":
        corpus = {"name": "multi30k", "src": "de", "tgt": "en", "tokenizer": "bpe", "vocab_size": 8000}
        place = {"path": str(Path(options.multi30k).absolute())} if options.multi30k else {}
        text |= {
            "corpus": corpus | {"lowercase": True, "test": ["test_2016_flickr"]} | place,
            "arms": {"none": []},
        }
    else:
        write_long_sentences(folder / "long", options.length)
        steps = min(20, options.steps)
        text["train"] |= {"steps": steps, "valid_every": steps, "save_every": steps}
        window = [{"site": site, "mask": "window", "radius": 32} for site in ("encoder_self", "decoder_self")]
        files = {"path": str(folder / "long"), "tokenizer": "word", "max_length": options.length}
        # The arm's name is the same for all cases, so that the command is.
        text |= {"corpus": {"name": "files", **files}, "arms": {"none": window}}
    path = folder / f"{case}.yaml"
    path.write_text(yaml.safe_dump(text, sort_keys=False), encoding="utf-8")
    return path


def write_long_sentences(folder: Path, length: int) -> None:
    """Write pairs of `length` tokens, end mark included, drawn from 200 words; the target repeats the source."""
    folder.mkdir(exist_ok=True)
    draws = random.Random(0)
    for split, pairs in (("train", 12), ("valid", 2), ("test", 2)):
        lines = [" ".join(f"w{draws.randrange(200)}" for _ in range(length - 1)) + "\n" for _ in range(pairs)]
        for side in ("src", "tgt"):
            (folder / f"{split}.{side}").write_text("".join(lines), encoding="utf-8")


def main() -> None:
    """Read the options and measure."""
    found = parser(__doc__ or "", "about 6 minutes on two cores; the reference run's steps are most of it")
    add_corpus(found)
    add_checkout(found, "runs")
    found.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    found.add_argument("--steps", type=int, default=None, help=f"of the reference run (default {STEPS})")
    found.add_argument("--length", type=int, default=None, help=f"of the long sentences (default {LONG})")
    found.add_argument("--audit-lengths", nargs="+", type=int, default=None, help=f"default {AUDIT_LENGTHS}")
    found.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    options = found.parse_args()
    options.steps = options.steps or (5 if options.quick else STEPS)
    options.length = options.length or (64 if options.quick else LONG)
    options.audit_lengths = options.audit_lengths or ([20] if options.quick else list(AUDIT_LENGTHS))
    options.batch_tokens = 256 if options.quick else BATCH_TOKENS
    run("memory", measure, options)


if __name__ == "__main__":
    main()
