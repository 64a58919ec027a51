"""Runs for the report's tests: what `fake_runs` writes, and what a run leaves beside its result."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fake_runs import FakeRun, experiment, scored, write, write_costs

BASE = (0.80, 0.82, 0.81, 0.79, 0.83, 0.80, 0.81, 0.82)
GAIN = (0.031, 0.029, 0.032, 0.030, 0.028, 0.033, 0.030, 0.027)
"""All above 0: with 8 seeds p is 2 / 256, and twice that for two arms. Their mean is 0.030."""


def baseline() -> list[FakeRun]:
    return _apart(_run(score, score - 0.3) for score in BASE)


def gaining() -> list[FakeRun]:
    """Return the arm that wins with every seed, by a mean of 3.0 points."""
    return _apart(_run(s + g, s - 0.3 + 2 * g) for s, g in zip(BASE, GAIN, strict=True))


def wavering() -> list[FakeRun]:
    """Return an arm that wins and loses by turns."""
    return _apart(_run(s + (0.01 if i % 2 else -0.012), s - 0.31) for i, s in enumerate(BASE))


def _apart(runs: Iterable[FakeRun]) -> list[FakeRun]:
    """Return the runs with translations of their own: seeds of the same score do not say the same."""
    return [run.with_(outputs=f"{run.outputs}, seed {seed}") for seed, run in enumerate(runs)]


def _run(score: float, noisy: float) -> FakeRun:
    run = scored(score)
    return run.with_(
        metrics={
            **run.metrics,
            "noise-drop-20/exact_match": noisy,
            "test/exact_match[length:6-10]": score + 0.01,
            "test/exact_match[length:11-20]": score - 0.02,
        }
    )


def write_experiment(root: Path, **arms: list[FakeRun | None] | list[FakeRun]) -> Path:
    """Write an experiment of these arms, the first of them the baseline, and return its folder."""
    return write(root, experiment(list(arms), 8, name="masks", min_effect=0.01), arms)


def write_full(root: Path) -> Path:
    """Write three arms with curves, costs, samples and pictures."""
    directory = write_experiment(root, none=baseline(), up=gaining(), aside=wavering())
    write_costs(directory, {"none": 1.0, "up": 1.25, "aside": 1.5})
    for place, arm in enumerate(("none", "up", "aside")):
        for seed in range(8):
            run = directory / arm / f"seed-{seed}"
            write_lines(
                run / "metrics.jsonl",
                ({"step": s, "valid/nll": 3 / s + place + seed / 10} for s in (1, 2, 4)),
            )
        write_lines(
            directory / arm / "seed-0" / "samples.jsonl",
            [sample(0, "the cat sleeps", "the cat sleeps" if place else "the dog sleeps there")],
        )
        write_picture(directory / arm / "seed-0", "encoder_self-window-0-000004.png", 5 + place, 3)
    write_picture(directory / "up" / "seed-0", "attention-cross-0-000004.png", 9, 2)
    return directory


def sample(number: int, reference: str, hypothesis: str, *, step: int = 4) -> Mapping[str, Any]:
    said = {"source": f"Satz {number}", "reference": reference, "hypothesis": hypothesis}
    return {"step": step, "split": "test", "id": number, **said}


def write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")


def write_picture(run: Path, name: str, width: int, height: int) -> None:
    (run / "pictures").mkdir(exist_ok=True)
    (run / "pictures" / name).write_bytes(png(width, height))


def png(width: int, height: int) -> bytes:
    """Return a grey picture."""
    rows = bytes([0, *[128] * width]) * height
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    chunks = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
