"""Where logged numbers go: metrics.jsonl, which is the result, and TensorBoard's event files, which are derived.

Event files are written with TensorBoard's own record writer, in this thread and without torch: its usual writer keeps
an error of its background thread for a later, innocent call. A run that resumes deletes the old event files and
rebuilds them from metrics.jsonl and the run's pictures, so no step is there twice. Losing an event file never stops a run.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from maskbench.runs.directory import RunDirectory
from maskbench.runs.lines import JsonLines

_PICTURE = (
    "What the mask does to a made-up sentence: queries go down, keys across. Dark: may attend. Light: hidden. "
    "White: not legal anyway. Where they differ, there is a line for each layer and a column for each head."
)


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

    def __init__(self, directory: Path) -> None:
        self.failure: OSError | None = None
        self._path = directory / f"events.out.tfevents.{int(time.time())}.maskbench"

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write each value as a scalar under its tag."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        entries = [Summary.Value(tag=tag, simple_value=value) for tag, value in sorted(values.items())]
        self._event(step, entries)

    def write_text(self, step: int, tag: str, lines: Sequence[str]) -> None:
        """Show lines in the text tab, verbatim: whatever stands in a corpus is data, not markup."""
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.plugins.text.metadata import create_summary_metadata

        # Four spaces in front make Markdown show a line as it is.
        shown = "\n".join("    " + " ".join(line.splitlines()) for line in lines)
        tensor = TensorProto(dtype="DT_STRING", string_val=[shown.encode(errors="replace")])
        metadata = create_summary_metadata(display_name=tag, description="")
        self._event(step, [Summary.Value(tag=tag, tensor=tensor, metadata=metadata)])

    def write_image(self, step: int, tag: str, png: bytes) -> None:
        """Show a PNG in the images tab."""
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
        from tensorboard.plugins.image.metadata import create_summary_metadata

        # Width and height stand at the same place in every PNG; the plug-in wants them as texts before the image.
        size = [str(int.from_bytes(png[at : at + 4], "big")).encode() for at in (16, 20)]
        shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=3)])
        tensor = TensorProto(dtype="DT_STRING", string_val=[*size, png], tensor_shape=shape)
        metadata = create_summary_metadata(display_name=tag, description=_PICTURE)
        self._event(step, [Summary.Value(tag=tag, tensor=tensor, metadata=metadata)])

    def _event(self, step: int, values: Iterable[Any]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        if self.failure is None:
            event = Event(wall_time=time.time(), step=step, summary=Summary(value=list(values)))
            try:
                self._append(event)
            except OSError as error:
                self.failure = error

    def _append(self, event: Any) -> None:
        """Open, write, close: there are few events, and a run that is killed leaves nothing half open."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            writer = RecordWriter(file)
            if file.tell() == 0:
                first = Event(wall_time=event.wall_time, file_version="brain.Event:2")
                writer.write(first.SerializeToString())
            writer.write(event.SerializeToString())


def rebuild_events(run: RunDirectory, steps: int | None = None) -> TensorBoardSink:
    """Delete a run's event files, write them anew from what lies beside them, and return the sink to go on with.

    Args:
        steps: updates done so far; pictures of later ones are deleted, they will be drawn again. None: keep all.
    """
    for old in run.path.glob("events.out.tfevents.*"):
        old.unlink(missing_ok=True)
    sink = TensorBoardSink(run.path)
    for record in run.metrics.read():
        sink.write(int(record["step"]), {tag: value for tag, value in record.items() if tag != "step"})
    for path in run.pictures():
        label, _, step = path.stem.rpartition("-")
        if steps is None or int(step) <= steps:
            sink.write_image(int(step), picture_tag(label), path.read_bytes())
        else:
            path.unlink(missing_ok=True)
    return sink


def picture_tag(label: str) -> str:
    """Return TensorBoard's tag for the pictures of a placement."""
    return f"mask/picture/{label}"
