"""Where logged numbers go: metrics.jsonl, which is the result, and TensorBoard's event files, which are derived.

A run that resumes deletes its old event files and rebuilds them from what lies beside them, so no step is there twice.
Losing an event file never stops a run.
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
"""What is to be seen, by the first part of a picture's tag."""
HISTOGRAM_DESCRIPTION = "The learned parameters of a mask, all entries together."
_BARE = ("source     ", "reference  ", "translation")


class Sink(Protocol):
    """Takes the numbers of a step."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Take `tag -> value` pairs that belong to the state after `step` updates."""


class JsonLinesSink:
    """Appends `{"step": ..., tags in alphabetical order}` to metrics.jsonl."""

    def __init__(self, lines: JsonLines) -> None:
        self.lines = lines

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append one line.

        Raises:
            ValueError: a value is NaN or infinite; such a run has diverged and must not log it as a number.
        """
        self.lines.append({"step": step, **dict(sorted(values.items()))})


class TensorBoardSink:
    """Writes one event file; an error of the disk switches it off and is kept in `failure`."""

    def __init__(self, directory: Path, start_time: float | None = None) -> None:
        self.failure: OSError | None = None
        self._path = events.event_file_path(directory, time.time() if start_time is None else start_time)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write each value as a scalar under its tag."""
        self.append(_now(step, _scalars(values)))

    def write_samples(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Show lines of samples.jsonl, all of one step and split, in the text page."""
        self.append(_now(int(records[0]["step"]), [_samples(records)]))

    def write_image(self, step: int, label: str, png: bytes) -> None:
        """Show a picture of the run's folder in the images page."""
        self.append(_now(step, [_image(label, png)]))

    def write_histogram(self, record: Mapping[str, Any]) -> None:
        """Show a line of histograms.jsonl in the histograms page."""
        self.append(_now(int(record["step"]), [_histogram(record)]))

    def write_end(self, step: int, state: RunStateName) -> None:
        """Tell the HParams page how the run ended."""
        entry = hparams.make_session_end(state, time.time())
        if entry is not None:
            self.append(_now(step, [entry]))

    def append(self, *given: Event) -> None:
        """Append events: open, write, close, so that a run that is killed leaves nothing half open."""
        if self.failure is not None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                file.write(events.encode_events(given, is_first=file.tell() == 0))
        except OSError as error:
            self.failure = error


def rebuild_events(run: RunDirectory, steps: int | None = None) -> TensorBoardSink:
    """Delete a run's event files, write them anew from what lies beside them, and return the sink to go on with.

    What is written hangs on the run's other files alone, times included: a second call writes the same bytes.

    Args:
        steps: updates done so far; pictures of later ones are deleted, they will be drawn again. None: keep all.

    Raises:
        RunDirectoryError: one of those files is damaged; its event files are as they were.
    """
    if steps is not None:
        for path in run.pictures():
            if _label_and_step(path)[1] > steps:
                path.unlink(missing_ok=True)
    times = _StepTimes(run)
    # All of it is read before anything is deleted: a run with a damaged file keeps the event files it has.
    found = sorted(_events(run, times), key=lambda event: event.step)
    for old in events.list_event_files(run.path):
        old.unlink(missing_ok=True)
    sink = TensorBoardSink(run.path, times.start)
    sink.append(*found)
    return sink


class _StepTimes:
    """When a step of a run was done, as far as timing.jsonl tells."""

    def __init__(self, run: RunDirectory) -> None:
        times = {line["step"]: float(line["time"]) for line in run.timing.read() if "time" in line}
        self._steps = sorted(times)
        self._times = [times[step] for step in self._steps]
        made = run.path / "run.json"
        self.start = made.stat().st_mtime if made.exists() else (self._times or [time.time()])[0]

    def at(self, step: int) -> float:
        """Return the time of the last timed step up to `step`, the run's beginning before the first."""
        known = bisect_right(self._steps, step)
        return self._times[known - 1] if known else self.start


def _events(run: RunDirectory, times: _StepTimes) -> Iterator[Event]:
    """Yield everything a run shows, kind by kind."""
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
    """Return TensorBoard's tag for the pictures with a label: a placement's, or what the model attends to."""
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
