"""TensorBoard's event files, written with its own record writer, in this thread and without torch or TensorFlow.

TensorBoard's usual writer keeps an error of its background thread for a later, innocent call. An event is a step, a
time and entries; the functions below make the entries that TensorBoard's pages for scalars, texts, images and
histograms read.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from maskbench.text import sanitize

SummaryValue = Any
"""A `Summary.Value` of TensorBoard's protocol buffers."""


class Event(NamedTuple):
    """What is known at a step."""

    time: float
    """Seconds since 1970; it puts the points of a curve on a time axis and decides nothing."""
    step: int
    entries: Sequence[SummaryValue]


def event_file_path(directory: Path, time: float) -> Path:
    """Return the event file that a directory begun at `time` has; TensorBoard knows it by the middle of its name."""
    return directory / f"events.out.tfevents.{int(time)}.maskbench"


def list_event_files(directory: Path) -> list[Path]:
    """Return the event files that lie in a directory itself."""
    return sorted(directory.glob("events.out.tfevents.*"))


def encode_events(events: Sequence[Event], *, is_first: bool) -> bytes:
    """Return events as a file has them, behind the two that begin every file if these are its first.

    The second of those tells a TensorBoard that has read an older file of this directory to forget what it read.
    """
    from tensorboard.compat.proto.event_pb2 import Event as Message
    from tensorboard.compat.proto.event_pb2 import SessionLog
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    if is_first:
        time = events[0].time if events else 0.0
        writer.write(Message(wall_time=time, file_version="brain.Event:2").SerializeToString())
        restart = SessionLog(status=SessionLog.START)
        writer.write(Message(wall_time=time, step=0, session_log=restart).SerializeToString())
    for event in events:
        message = Message(wall_time=event.time, step=event.step, summary=Summary(value=event.entries))
        writer.write(message.SerializeToString(deterministic=True))
    return buffer.getvalue()


def make_scalar(tag: str, value: float) -> SummaryValue:
    """Return a point of a curve."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Summary.Value(tag=sanitize(tag), simple_value=value)


def make_text(tag: str, lines: Sequence[str]) -> SummaryValue:
    """Return lines for the text page, verbatim: whatever stands in a corpus is data, not markup."""
    from tensorboard.plugins.text.metadata import create_summary_metadata

    # Four spaces in front make Markdown show a line as it is.
    shown = "\n".join("    " + " ".join(line.splitlines()) for line in lines)
    metadata = create_summary_metadata(display_name=sanitize(tag), description="")
    return make_tensor(tag, [shown.encode(errors="replace")], metadata)


def make_image(tag: str, png: bytes, description: str) -> SummaryValue:
    """Return a PNG for the images page."""
    from tensorboard.plugins.image.metadata import create_summary_metadata

    # Width and height stand at the same place in every PNG; the page wants them as texts before the image.
    size = [str(int.from_bytes(png[at : at + 4], "big")).encode() for at in (16, 20)]
    metadata = create_summary_metadata(display_name=sanitize(tag), description=description)
    return make_tensor(tag, [*size, png], metadata, shape=(3,))


def make_histogram(
    tag: str, edges: Sequence[float], counts: Sequence[float], description: str
) -> SummaryValue:
    """Return bars for the histograms and distributions pages: n + 1 edges and n counts."""
    import numpy as np
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.histogram.metadata import create_summary_metadata
    from tensorboard.util.tensor_util import make_tensor_proto

    bars = np.array([edges[:-1], edges[1:], counts], dtype=np.float64).T
    metadata = create_summary_metadata(display_name=sanitize(tag), description=description)
    return Summary.Value(tag=sanitize(tag), tensor=make_tensor_proto(bars), metadata=metadata)


def make_tensor(
    tag: str, values: Sequence[bytes], metadata: Any, shape: tuple[int, ...] = ()
) -> SummaryValue:
    """Return byte strings for the page that `metadata` names."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

    dimensions = TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in shape])
    held = TensorProto(dtype="DT_STRING", string_val=values, tensor_shape=dimensions)
    return Summary.Value(tag=sanitize(tag), tensor=held, metadata=metadata)
