"""Compares what two runs left behind, byte by byte, and says where they part."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from maskbench.errors import MaskbenchError
from maskbench.runs.checkpoint import Checkpoint, scan
from maskbench.runs.directory import RunDirectory
from maskbench.runs.files import read_json

_SHOWN = 60


def differences(run: RunDirectory, again: RunDirectory) -> list[str]:
    """Return a sentence for every file of a finished run that its repetition has with other bytes.

    Compared are the logged numbers, the translations and what was counted of their sentences, and the weights of every
    checkpoint that both kept, the selected one among them. What an earlier version did not write is not missed.
    """
    found = list(_of_lines(run.metrics.path, again.metrics.path, "metrics.jsonl"))
    for folder in ("translations", "sentences"):
        for file in sorted((run.path / folder).glob("*.jsonl")):
            found += _of_lines(file, again.path / folder / file.name, f"{folder}/{file.name}")
    return [*found, *_of_weights(run, again)]


def _of_lines(file: Path, other: Path, name: str) -> Iterator[str]:
    if not other.exists():
        yield f"{name} was not written again"
        return
    ours, theirs = file.read_bytes(), other.read_bytes()
    if ours == theirs:
        return
    rows, others = ours.split(b"\n"), theirs.split(b"\n")
    pairs = zip(rows, others, strict=False)
    at = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(rows), len(others)))
    yield f"{name} differs from line {at + 1} on: {_line(rows, at)} here, {_line(others, at)} when replayed"


def _line(rows: list[bytes], at: int) -> str:
    """Return the part of a line that tells it from others, short enough to read."""
    if at >= len(rows) or (at == len(rows) - 1 and not rows[at]):
        return "nothing"
    text = rows[at].decode("utf-8", "replace")
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _of_weights(run: RunDirectory, again: RunDirectory) -> Iterator[str]:
    ours, theirs = ({c.step: c for c in scan(one.checkpoints).valid} for one in (run, again))
    selected, other = (_selected(one) for one in (run, again))
    if selected != other:
        yield f"another checkpoint was selected: step {selected} here, step {other} when replayed"
    elif selected not in ours:
        yield f"the selected checkpoint, step {selected}, is not there whole, so its weights cannot be compared"
    # A run that was interrupted has saved where it stood, so the two may have kept different steps.
    for step in sorted(ours.keys() & theirs.keys()):
        yield from _of_tensors(ours[step], theirs[step])


def _selected(run: RunDirectory) -> object:
    try:
        return (read_json(run.checkpoints / "best.json") or {}).get("step")
    except MaskbenchError:  # damaged, as the check of the hashes says
        return None


def _of_tensors(ours: Checkpoint, theirs: Checkpoint) -> Iterator[str]:
    name = "model.safetensors"
    if (ours.path / name).read_bytes() == (theirs.path / name).read_bytes():
        return
    here, there = ours.model(), theirs.model()
    place = f"the weights of {ours.path.name}"
    if {k: v.shape for k, v in here.items()} != {k: v.shape for k, v in there.items()}:
        yield f"{place} differ in their names or shapes"
        return
    gaps = {
        key: float((here[key].double() - there[key].double()).abs().max())
        for key in here
        if here[key].numel()
    }
    differing = [key for key, gap in gaps.items() if gap]
    if differing:
        largest = max(gaps.values())
        yield f"{place} differ in {len(differing)} of {len(here)} tensors, first {differing[0]}, by at most {largest:.2g}"
    else:
        yield f"{place} are stored in other bytes, though every number is the same"
