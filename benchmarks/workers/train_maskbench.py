"""Worker: takes steps of the reference run, and writes its corpus for the peers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from protocol import serve, timed
from reference import load, reference_config
from torch.utils.flop_counter import FlopCounterMode

from maskbench.training.environment import deterministic_torch, has_bfloat16, pick_device
from maskbench.training.trainer import Trainer, make_trainer

STATE: dict[str, Any] = {}


def start(multi30k: str | None, cache: str, precision: str, threads: int, seed: int = 0) -> dict[str, Any]:
    """Build the trainer; return what it computes in, and whether the machine multiplies bfloat16."""
    torch.set_num_threads(threads)
    # As in a run: only deterministic algorithms.
    STATE["settings"] = deterministic_torch(threads)
    STATE["settings"].__enter__()
    config = reference_config(multi30k, precision, threads)
    STATE["corpus"] = load(config, cache)
    STATE["trainer"] = make_trainer(config, STATE["corpus"], seed)
    STATE["next"] = 0
    return {"dtype": str(STATE["trainer"].dtype), "has_bfloat16": has_bfloat16(pick_device())}


def steps(count: int) -> dict[str, Any]:
    """Take steps; return their target tokens and seconds."""
    trainer: Trainer = STATE["trainer"]
    answer: dict[str, Any] = {"tokens": 0}
    with timed(answer):
        for _ in range(count):
            answer["tokens"] += trainer.step(STATE["next"])
            STATE["next"] += 1
    return answer


def same_step(step: int, count: int) -> dict[str, Any]:
    """Take one step's batch several times; return the seconds."""
    trainer: Trainer = STATE["trainer"]
    answer: dict[str, Any] = {}
    with timed(answer):
        for _ in range(count):
            trainer.step(step)
    return answer


def count_flops(step: int) -> int:
    """Return the floating point operations of the matrix products of a step, forward and backward."""
    trainer: Trainer = STATE["trainer"]
    with FlopCounterMode(display=False) as counter:
        trainer.step(step)
    return int(counter.get_total_flops())


def products(size: int, count: int, dtype: str) -> dict[str, Any]:
    """Multiply square matrices; return operations and seconds."""
    one, other = (torch.randn(size, size, dtype=getattr(torch, dtype)) for _ in range(2))
    out = torch.empty_like(one)
    answer: dict[str, Any] = {"flops": 2 * size**3 * count}
    with timed(answer):
        for _ in range(count):
            torch.mm(one, other, out=out)
    return answer


def profile(count: int, rows: int) -> str:
    """Return where the time of some steps goes, by operation, as a table."""
    with torch.profiler.profile() as profiler:
        steps(count)
    averages = profiler.key_averages()
    return str(averages.table(sort_by="self_cpu_time_total", row_limit=rows, max_name_column_width=48))


def export(folder: str) -> None:
    """Write the training pairs as lines of ids, without end marks, and the vocabulary's size."""
    corpus, place = STATE["corpus"], Path(folder)
    split = corpus.splits["train"]
    for name, side in (("src", split.src), ("tgt", split.tgt)):
        lines = [" ".join(map(str, row[:-1])) for row in side.rows()]
        (place / f"train.{name}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (place / "vocabulary.json").write_text(json.dumps(len(corpus.vocabulary)), encoding="utf-8")


if __name__ == "__main__":
    serve(start, steps, same_step, count_flops, products, profile, export)
