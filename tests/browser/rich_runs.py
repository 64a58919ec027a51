"""An experiment that never ran, with everything that a finished one leaves: what a page is looked at with."""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fake_runs import FakeRun, experiment, scored, write

SEEDS = 8
STEPS = range(100, 1001, 100)
GAINS = {"none": 0.0, "static": 0.005, "dynamic": 0.08}
"""How much easier each arm finds a sentence: `dynamic` wins with every seed, `static` with some."""
TAGS = ("gender", "number", "order")
SENTENCES = 150


def write_rich(root: Path) -> Path:
    """Write three arms, eight seeds each, with curves, costs, pictures, samples and numbers of single sentences."""
    wanted = experiment(list(GAINS), SEEDS, name="rich", min_effect=0.01)
    scores = {arm: [_score(arm, seed) for seed in range(SEEDS)] for arm in GAINS}
    runs = {arm: [_run(arm, seed, score) for seed, score in enumerate(of)] for arm, of in scores.items()}
    directory = write(root, wanted, runs)
    for arm, of in scores.items():
        for seed, score in enumerate(of):
            _leave(directory / arm / f"seed-{seed}", arm, seed, score, runs[arm][seed].metrics)
    _write_cost(directory)
    return directory


def _wave(*numbers: int) -> float:
    """Return a number in [-1, 1] that looks drawn and is always the same."""
    return math.sin(sum((17 * i + 5) * (n + 1) for i, n in enumerate(numbers, 3)))


def _is_right(arm: str, seed: int, number: int) -> bool:
    hard = 0.5 + 0.5 * _wave(number)
    luck = 0.05 * _wave(seed) + 0.1 * _wave(seed, number) + 0.06 * _wave(seed, list(GAINS).index(arm), number)
    return hard + luck < 0.62 + GAINS[arm]


def _score(arm: str, seed: int) -> float:
    return sum(_is_right(arm, seed, number) for number in range(SENTENCES)) / SENTENCES


def _run(arm: str, seed: int, score: float) -> FakeRun:
    place = list(GAINS).index(arm)
    slices = {
        f"test/token_accuracy[tag:{tag}]": round(score + 0.1 + 0.02 * _wave(seed, place, i), 4)
        for i, tag in enumerate(TAGS)
    }
    return scored(score).with_(
        metrics={
            "test/exact_match": score,
            "noise-drop-20/exact_match": round(score - 0.2 + 0.01 * _wave(seed, place, 9), 4),
            "test/nll": round(1.2 - score, 4),
            "test/bleu": round(60 * score, 3),
            "test/token_accuracy": round(score + 0.2, 4),
            **slices,
        },
        sentences={"test": [_counted(arm, seed, number) for number in range(SENTENCES)]},
    )


def _counted(arm: str, seed: int, number: int) -> Mapping[str, Any]:
    return {"id": number, "exact_match": [int(_is_right(arm, seed, number)), 1]}


def _leave(run: Path, arm: str, seed: int, score: float, final: Mapping[str, float]) -> None:
    place = list(GAINS).index(arm)
    logged = [_logged(step, place, seed, score) for step in STEPS]
    _lines(run / "metrics.jsonl", [*logged, {"step": STEPS[-1], **final}])
    pairs = [
        (
            "der kleine Hund schläft",
            "the little dog sleeps",
            "the little dog sleeps" if place else "the dog eats",
        ),
        ("die Katze sieht den [MASK]", "the cat sees the [MASK]", "the cat sees a [MASK]"),
        ("sie liest ein Buch", "she reads a book", "she reads a book"),
    ]
    _lines(
        run / "samples.jsonl",
        (
            {"step": STEPS[-1], "split": "test", "id": i, "source": s, "reference": r, "hypothesis": h}
            for i, (s, r, h) in enumerate(pairs)
        ),
    )
    (run / "translations").mkdir(exist_ok=True)
    _lines(
        run / "translations" / "test.jsonl", ({"id": i, "hypothesis": h} for i, (*_, h) in enumerate(pairs))
    )
    if place:
        (run / "pictures").mkdir(exist_ok=True)
        for step in (STEPS[0], STEPS[-1]):
            (run / "pictures" / f"encoder_self-window-0-{step:06d}.png").write_bytes(_png(place, step))


def _logged(step: int, place: int, seed: int, score: float) -> Mapping[str, Any]:
    left = math.exp(-step / (300 + 60 * place)) * (1 + 0.05 * _wave(seed, place, step))
    return {
        "step": step,
        "train/loss": 5 * left + 0.6,
        "train/lr": 0.01 / step,
        "train/nll": 5 * left + 0.4,
        "valid/nll": 5 * left + 0.5 + 0.03 * _wave(seed, place),
        "valid/exact_match": score * (1 - left),
        **({"mask/ratio/encoder_input-tokens-0": 0.15 + 0.01 * _wave(seed, step)} if place else {}),
    }


def _lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")


def _write_cost(directory: Path) -> None:
    relative = {arm: 1 + 0.08 * i for i, arm in enumerate(GAINS)}
    logs = {
        arm: [math.log(0.02 * t) + 0.02 * _wave(i, len(arm)) for i in range(20)]
        for arm, t in relative.items()
    }
    cost = {
        "relative_step_time": relative,
        "tokens_per_second": {arm: 5000 / t for arm, t in relative.items()},
        "step_seconds": {arm: 0.02 * t for arm, t in relative.items()},
        "log_step_seconds": logs,
    }
    (directory / "cost.json").write_text(json.dumps(cost), encoding="utf-8")


def _png(place: int, step: int) -> bytes:
    """Return a grey picture of 64 x 48, a dark band in it."""
    rows = (
        bytes([0, *(40 if abs(x - y) < 6 * place + step / 200 else 220 for x in range(64))])
        for y in range(48)
    )
    header = struct.pack(">IIBBBBB", 64, 48, 8, 0, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
