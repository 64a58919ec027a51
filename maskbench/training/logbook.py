"""Everything a run writes down while it trains: numbers by step, and, kept apart, how long things took."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from maskbench.runs.directory import RunDirectory
from maskbench.runs.files import canonical_json, write_atomically
from maskbench.runs.sinks import JsonLinesSink, Sink, picture_tag, rebuild_events
from maskbench.training.environment import peak_memory_mb
from maskbench.training.trainer import Diverged

SAMPLES = 10
"""Translations of each split shown in TensorBoard."""


def log_every(total_steps: int) -> int:
    """Return how many steps lie between two logged ones: 50, in short runs a twentieth of the run."""
    return max(1, min(50, total_steps // 20))


@dataclass(slots=True)
class Stopwatch:
    """Seconds and tokens of training steps since it was last read; validation and saving are not in them."""

    seconds: float = 0.0
    tokens: int = 0

    def add(self, seconds: float, tokens: int) -> None:
        """Add a step."""
        self.seconds += seconds
        self.tokens += tokens

    def read(self) -> tuple[float, int]:
        """Return seconds and tokens, and start anew."""
        found = self.seconds, self.tokens
        self.seconds, self.tokens = 0.0, 0
        return found


class Logbook:
    """Writes a run's numbers to metrics.jsonl and TensorBoard, its times to timing.jsonl."""

    def __init__(self, run: RunDirectory, metrics_bytes: int, steps: int | None = None) -> None:
        """Continue after the first `metrics_bytes` bytes of metrics.jsonl; what was logged later is logged again.

        Args:
            steps: updates done so far; pictures of later ones go. None: all stay.

        Raises:
            RunDirectoryError: metrics.jsonl has lost lines.
        """
        self._run = run
        self._lines = run.metrics
        self._lines.truncate(metrics_bytes)
        self._events = rebuild_events(run, steps)
        self._sinks: tuple[Sink, ...] = (JsonLinesSink(self._lines), self._events)
        self._timing = run.timing
        self.stopwatch = Stopwatch()

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Log numbers that belong to the state after `step` updates.

        Raises:
            Diverged: one of them is not finite; none is logged.
        """
        for tag, value in values.items():
            if not math.isfinite(value):
                raise Diverged(tag, value, step)
        for sink in self._sinks:
            sink.write(step, values)

    def write_time(self, step: int) -> float:
        """Log the training time since the last call, and return target tokens per second."""
        seconds, tokens = self.stopwatch.read()
        speed = tokens / seconds if seconds > 0 else 0.0
        record = {"step": step, "seconds": seconds, "tokens": tokens, "tokens_per_second": speed}
        self._timing.append({**record, "peak_memory_mb": peak_memory_mb(), "time": time.time()})
        return speed

    def show_samples(self, step: int, split: str, rows: Sequence[tuple[str, str, str]]) -> None:
        """Show some (source, reference, hypothesis) rows in TensorBoard's text tab."""
        names = ("source     ", "reference  ", "translation")
        shown = ([f"{name}  {text}" for name, text in zip(names, row, strict=True)] for row in rows[:SAMPLES])
        lines = [line for row in shown for line in (*row, "")]
        self._events.write_text(step, f"samples/{split}", lines)

    def show_picture(self, step: int, label: str, png: bytes) -> None:
        """Keep a picture of a placement's mask, and show it in TensorBoard; one that is there already stays.

        Raises:
            ResourceError: it cannot be written.
        """
        path = self._run.picture(label, step)
        if not path.exists():
            write_atomically(path, png)
            self._events.write_image(step, picture_tag(label), png)

    def sync(self) -> int:
        """Wait until the disk has every logged line, and return how many bytes metrics.jsonl then has."""
        self._lines.sync()
        return self._lines.size

    def lines(self) -> list[dict[str, Any]]:
        """Return every logged line."""
        return self._lines.read()

    def nll_sha256(self) -> str:
        """Return the hash of every logged `train/nll`: equal exactly if two runs trained alike."""
        values = [line["train/nll"] for line in self.lines() if "train/nll" in line]
        return hashlib.sha256(canonical_json(values).encode()).hexdigest()

    def cost(self) -> dict[str, float]:
        """Return what training took; a step that was done twice, before and after a kill, counts once."""
        by_step = {record["step"]: record for record in self._timing.read()}
        seconds = sum(record["seconds"] for record in by_step.values())
        tokens = sum(record["tokens"] for record in by_step.values())
        memory = max((record["peak_memory_mb"] for record in by_step.values()), default=peak_memory_mb())
        speed = tokens / seconds if seconds > 0 else 0.0
        return {"tokens_per_second": speed, "peak_memory_mb": memory, "seconds": seconds}
