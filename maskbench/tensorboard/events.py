"""Encodes TensorBoard event files with TensorBoard's record writer, without torch or TensorFlow.

TensorBoard's usual writer runs in a background thread and raises its errors in a later, unrelated call;
this one writes in the calling thread. An event is a step, a time and entries; the functions here make
entries for TensorBoard's pages for scalars, texts, images and histograms.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from maskbench.text import sanitize

SummaryValue = Any
"""An entry of an event: a `Summary.Value` of TensorBoard's protocol buffers."""


class Event(NamedTuple):
    """The entries of one step."""

    time: float
    """Seconds since 1970; used only for the time axis of a curve."""
    step: int
    entries: Sequence[SummaryValue]


def event_file_path(directory: Path, time: float) -> Path:
    """Return the path of a directory's event file; TensorBoard recognises it by `tfevents` in its name.

    Args:
        time: start of the file in seconds since 1970.
    """
    return directory / f"events.out.tfevents.{int(time)}.maskbench"


def list_event_files(directory: Path) -> list[Path]:
    """Return the event files directly in a directory, without its subdirectories."""
    return sorted(directory.glob("events.out.tfevents.*"))


def encode_events(events: Sequence[Event], *, is_first: bool) -> bytes:
    """Return events as bytes of an event file; with `is_first`, after the file's two header events.

    The second header event tells TensorBoard to discard what it read from an older file of this directory.
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
    """Return a scalar entry: one point of a curve."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Summary.Value(tag=sanitize(tag), simple_value=value)


def make_text(tag: str, lines: Sequence[str]) -> SummaryValue:
    """Return a text entry that shows lines verbatim: corpus text is not interpreted as Markdown."""
    from tensorboard.plugins.text.metadata import create_summary_metadata

    # Markdown shows a line that starts with four spaces verbatim.
    shown = "\n".join("    " + " ".join(line.splitlines()) for line in lines)
    metadata = create_summary_metadata(display_name=sanitize(tag), description="")
    return make_tensor(tag, [shown.encode(errors="replace")], metadata)


def make_image(tag: str, png: bytes, description: str) -> SummaryValue:
    """Return an image entry with a PNG."""
    from tensorboard.plugins.image.metadata import create_summary_metadata

    # Every PNG has width and height at bytes 16 and 20; the page expects them as texts before the image.
    size = [str(int.from_bytes(png[at : at + 4], "big")).encode() for at in (16, 20)]
    metadata = create_summary_metadata(display_name=sanitize(tag), description=description)
    return make_tensor(tag, [*size, png], metadata, shape=(3,))


def make_histogram(
    tag: str, edges: Sequence[float], counts: Sequence[float], description: str
) -> SummaryValue:
    """Return a histogram entry for the histograms and distributions pages, from n + 1 edges and n counts."""
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
    """Return an entry with byte strings for the page that `metadata` names."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

    dimensions = TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in shape])
    held = TensorProto(dtype="DT_STRING", string_val=values, tensor_shape=dimensions)
    return Summary.Value(tag=sanitize(tag), tensor=held, metadata=metadata)
