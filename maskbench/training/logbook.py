"""Write the log of a run during training: numbers by step and, in a separate file, times."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from maskbench.files import write_atomically
from maskbench.runs.directory import RunDirectory, RunStateName
from maskbench.runs.json_files import canonical_json
from maskbench.runs.jsonl import JsonLines
from maskbench.tensorboard.sinks import JsonLinesSink, Sink, rebuild_events
from maskbench.training.environment import peak_memory_mb
from maskbench.training.trainer import Diverged

SAMPLES = 10
"""Number of translations per split shown in TensorBoard."""


def log_every(total_steps: int) -> int:
    """Return the number of steps between two logged steps: 50, or a twentieth of the run if that is less."""
    return max(1, min(50, total_steps // 20))


@dataclass(slots=True)
class Stopwatch:
    """Counts seconds and tokens of training steps since the last `read`, without validation and saving."""

    seconds: float = 0.0
    tokens: int = 0

    def add(self, seconds: float, tokens: int) -> None:
        """Add the seconds and tokens of a step."""
        self.seconds += seconds
        self.tokens += tokens

    def read(self) -> tuple[float, int]:
        """Return seconds and tokens, and reset both."""
        found = self.seconds, self.tokens
        self.seconds, self.tokens = 0.0, 0
        return found


class Logbook:
    """Writes a run's numbers to metrics.jsonl and TensorBoard, its times to timing.jsonl."""

    def __init__(self, run: RunDirectory, metrics_bytes: int, steps: int | None = None) -> None:
        """Continue after the first `metrics_bytes` bytes of metrics.jsonl and cut off the rest.

        Args:
            steps: updates done so far; pictures, samples and histograms of later steps are removed. None:
                keep all.

        Raises:
            RunDirectoryError: metrics.jsonl has lost lines.
        """
        self._run = run
        self._lines = run.metrics
        self._lines.truncate(metrics_bytes)
        self._samples, self._histograms = run.samples, run.histograms
        sampled = _kept(self._samples, steps)
        self._shown = {(line["step"], line["split"], line["id"]) for line in sampled}
        self._counted = {(line["step"], line["tag"]) for line in _kept(self._histograms, steps)}
        self._events = rebuild_events(run, steps)
        self._sinks: tuple[Sink, ...] = (JsonLinesSink(self._lines), self._events)
        self._timing = run.timing
        self.stopwatch = Stopwatch()

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Log metric values of the state after `step` updates.

        Raises:
            Diverged: a value is not finite; then none is logged.
        """
        for tag, value in values.items():
            if not math.isfinite(value):
                raise Diverged(tag, value, step)
        for sink in self._sinks:
            sink.write(step, values)

    def write_time(self, step: int) -> float:
        """Log the training time since the last call; return target tokens per second."""
        seconds, tokens = self.stopwatch.read()
        speed = tokens / seconds if seconds > 0 else 0.0
        record = {"step": step, "seconds": seconds, "tokens": tokens, "tokens_per_second": speed}
        self._timing.append({**record, "peak_memory_mb": peak_memory_mb(), "time": time.time()})
        return speed

    def show_samples(self, step: int, split: str, rows: Sequence[tuple[int, str, str, str]]) -> None:
        """Write the first `SAMPLES` rows to samples.jsonl and show them in TensorBoard.

        A row is (id, source, reference, hypothesis). Rows that are already in the file are not written again.
        """
        columns = ("id", "source", "reference", "hypothesis")
        records = [
            {"step": step, "split": split, **dict(zip(columns, row, strict=True))} for row in rows[:SAMPLES]
        ]
        fresh = [record for record in records if (step, split, record["id"]) not in self._shown]
        for record in fresh:
            self._samples.append(record)
            self._shown.add((step, split, record["id"]))
        if fresh:
            self._events.write_samples(records)

    def show_histogram(self, step: int, tag: str, edges: Sequence[float], counts: Sequence[int]) -> None:
        """Append a histogram to histograms.jsonl and show it in TensorBoard, unless it is already there.

        Args:
            edges: the edges of the bars, ascending; one more than `counts`.
        """
        if (step, tag) not in self._counted:
            record = {"step": step, "tag": tag, "edges": list(edges), "counts": list(counts)}
            self._histograms.append(record)
            self._counted.add((step, tag))
            self._events.write_histogram(record)

    def show_picture(self, step: int, label: str, png: bytes) -> None:
        """Save a picture and show it in TensorBoard, unless it already exists.

        Args:
            label: the label of a placement, or `attention-cross`.

        Raises:
            ResourceError: the picture cannot be written.
        """
        path = self._run.picture(label, step)
        if not path.exists():
            write_atomically(path, png)
            self._events.write_image(step, label, png)

    def end(self, step: int, state: RunStateName) -> None:
        """Write the final state of the run to TensorBoard."""
        self._events.write_end(step, state)

    def sync(self) -> int:
        """Flush every logged line to disk, and return the size of metrics.jsonl in bytes."""
        self._lines.sync()
        return self._lines.size

    def lines(self) -> list[dict[str, Any]]:
        """Return every line of metrics.jsonl."""
        return self._lines.read()

    def nll_sha256(self) -> str:
        """Return the hash of every logged `train/nll`, equal if and only if two runs logged equal values."""
        values = [line["train/nll"] for line in self.lines() if "train/nll" in line]
        return hashlib.sha256(canonical_json(values).encode()).hexdigest()

    def cost(self) -> dict[str, float]:
        """Return speed, peak memory and seconds of training; a step repeated after a kill counts once."""
        by_step = {record["step"]: record for record in self._timing.read()}
        seconds = sum(record["seconds"] for record in by_step.values())
        tokens = sum(record["tokens"] for record in by_step.values())
        memory = max((record["peak_memory_mb"] for record in by_step.values()), default=peak_memory_mb())
        speed = tokens / seconds if seconds > 0 else 0.0
        return {"tokens_per_second": speed, "peak_memory_mb": memory, "seconds": seconds}


def _kept(lines: JsonLines, steps: int | None) -> list[dict[str, Any]]:
    """Remove the lines of steps after `steps` and return the others; lines are in the order of steps."""
    records = lines.read()
    kept = [record for record in records if steps is None or record["step"] <= steps]
    if len(kept) < len(records):
        lines.keep_first(len(kept))
    return kept
