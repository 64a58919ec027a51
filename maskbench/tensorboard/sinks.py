"""Sinks for logged numbers: metrics.jsonl, which is the result, and event files, which are derived.

A run that resumes deletes its event files and rebuilds them from its other files, so that no step occurs
twice. An event file that cannot be written never stops a run.
"""

from __future__ import annotations

import itertools
import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from maskbench.runs.directory import RunDirectory, RunStateName
from maskbench.runs.json_files import wrap_corruption
from maskbench.runs.jsonl import JsonLines
from maskbench.tensorboard import events, hparams
from maskbench.tensorboard.events import Event, SummaryValue

PICTURE_DESCRIPTIONS = {
    "attention": (
        "What the trained model attends to in one sentence: target words go down, source words across. The last layer, "
        "heads averaged; every line sums to 1, and dark is much."
    ),
    "mask": (
        "What the mask does to a made-up sentence: queries go down, keys across. Dark: may attend. Light: hidden. "
        "White: not legal anyway. Where they differ, there is a line for each layer and a column for each head."
    ),
}
"""First part of a picture's tag -> description shown in TensorBoard."""
HISTOGRAM_DESCRIPTION = "The learned parameters of a mask, all entries together."
_BARE = ("source     ", "reference  ", "translation")


class Sink(Protocol):
    """Receives the logged numbers of a step."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write `tag -> value` pairs that belong to the state after `step` updates."""


class JsonLinesSink:
    """Appends lines `{"step": ..., tags in alphabetical order}` to metrics.jsonl."""

    def __init__(self, lines: JsonLines) -> None:
        self.lines = lines

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append one line.

        Raises:
            ValueError: a value is NaN or infinite; such a run has diverged and must not log the value.
        """
        self.lines.append({"step": step, **dict(sorted(values.items()))})


class TensorBoardSink:
    """Writes one event file; after a disk error, kept in `failure`, it writes nothing more."""

    def __init__(self, directory: Path, start_time: float | None = None) -> None:
        self.failure: OSError | None = None
        self._path = events.event_file_path(directory, time.time() if start_time is None else start_time)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write each value as a scalar under its tag."""
        self.append(_now(step, _scalars(values)))

    def write_samples(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Write lines of samples.jsonl, all of one step and split, for the text page."""
        self.append(_now(int(records[0]["step"]), [_samples(records)]))

    def write_image(self, step: int, label: str, png: bytes) -> None:
        """Write a picture of the run for the images page."""
        self.append(_now(step, [_image(label, png)]))

    def write_histogram(self, record: Mapping[str, Any]) -> None:
        """Write a line of histograms.jsonl for the histograms page."""
        self.append(_now(int(record["step"]), [_histogram(record)]))

    def write_end(self, step: int, state: RunStateName) -> None:
        """Write the run's final state for the HParams page; nothing for a state that is not final."""
        entry = hparams.make_session_end(state, time.time())
        if entry is not None:
            self.append(_now(step, [entry]))

    def append(self, *given: Event) -> None:
        """Append events; open and close the file each time, so that a killed run leaves no open file."""
        if self.failure is not None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                file.write(events.encode_events(given, is_first=file.tell() == 0))
        except OSError as error:
            self.failure = error


def rebuild_events(run: RunDirectory, steps: int | None = None) -> TensorBoardSink:
    """Rebuild a run's event file from its other files, and return a sink that appends to it.

    The content, including times, depends only on those files: a second call writes the same bytes.

    Args:
        steps: number of updates done; pictures of later steps are deleted, because they are drawn again.
            None: keep all pictures.

    Raises:
        RunDirectoryError: one of those files is damaged; the event files are unchanged.
    """
    if steps is not None:
        for path in run.pictures():
            if _label_and_step(path)[1] > steps:
                path.unlink(missing_ok=True)
    times = _StepTimes(run)
    # Read everything before deleting: a run with a damaged file keeps its event files.
    found = sorted(_events(run, times), key=lambda event: event.step)
    for old in events.list_event_files(run.path):
        old.unlink(missing_ok=True)
    sink = TensorBoardSink(run.path, times.start)
    sink.append(*found)
    return sink


class _StepTimes:
    """Times of a run's steps in seconds since 1970, from timing.jsonl."""

    def __init__(self, run: RunDirectory) -> None:
        times = {line["step"]: float(line["time"]) for line in run.timing.read() if "time" in line}
        self._steps = sorted(times)
        self._times = [times[step] for step in self._steps]
        made = run.path / "run.json"
        self.start = made.stat().st_mtime if made.exists() else (self._times or [time.time()])[0]

    def at(self, step: int) -> float:
        """Return the time of the last timed step up to `step`; before the first, the run's start time."""
        known = bisect_right(self._steps, step)
        return self._times[known - 1] if known else self.start


def _events(run: RunDirectory, times: _StepTimes) -> Iterator[Event]:
    """Yield all events of a run: settings, metrics, samples, histograms, pictures, final state."""
    record, last = run.record(), 0
    if record is not None:
        with wrap_corruption(run.path / "run.json"):
            start = hparams.make_session_start(run, record, times.start)
        yield Event(times.start, 0, [start])
    for line in run.metrics.read():
        last = line["step"]
        yield Event(times.at(last), last, _scalars({tag: x for tag, x in line.items() if tag != "step"}))
    for (step, _), group in itertools.groupby(run.samples.read(), lambda line: (line["step"], line["split"])):
        yield Event(times.at(step), step, [_samples(list(group))])
    for line in run.histograms.read():
        yield Event(times.at(line["step"]), line["step"], [_histogram(line)])
    for path in run.pictures():
        label, step = _label_and_step(path)
        yield Event(times.at(step), step, [_image(label, path.read_bytes())])
    end = hparams.make_session_end(run.status().state, times.at(last)) if record is not None else None
    if end is not None:
        yield Event(times.at(last), last, [end])


def picture_tag(label: str) -> str:
    """Return TensorBoard's tag for pictures of a placement's mask or of the model's attention."""
    return label.replace("-", "/", 1) if label.startswith("attention-") else f"mask/picture/{label}"


def _now(step: int, entries: Sequence[SummaryValue]) -> Event:
    return Event(time.time(), step, entries)


def _scalars(values: Mapping[str, float]) -> list[SummaryValue]:
    return [events.make_scalar(tag, value) for tag, value in sorted(values.items())]


def _samples(records: Sequence[Mapping[str, Any]]) -> SummaryValue:
    lines = []
    for record in records:
        texts = (str(record[key]) for key in ("source", "reference", "hypothesis"))
        lines += [f"{name}  {shown}" for name, shown in zip(_BARE, texts, strict=True)] + [""]
    return events.make_text(f"samples/{records[0]['split']}", lines)


def _histogram(record: Mapping[str, Any]) -> SummaryValue:
    return events.make_histogram(str(record["tag"]), record["edges"], record["counts"], HISTOGRAM_DESCRIPTION)


def _image(label: str, png: bytes) -> SummaryValue:
    tag = picture_tag(label)
    return events.make_image(tag, png, PICTURE_DESCRIPTIONS[tag.partition("/")[0]])


def _label_and_step(path: Path) -> tuple[str, int]:
    label, _, step = path.stem.rpartition("-")
    return label, int(step)
