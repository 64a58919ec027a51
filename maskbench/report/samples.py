"""Reads sample translations of all arms, and marks the words that differ from the reference."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from maskbench.errors import MaskbenchError
from maskbench.report.gather import ReportPanel

MAX_SAMPLES = 10
"""Maximum number of samples on the page."""

PieceKind: TypeAlias = Literal["same", "other", "missing"]


@dataclass(frozen=True, slots=True)
class ArmTranslation:
    """One arm's translation of a sample."""

    arm: str
    title: str
    pieces: tuple[tuple[PieceKind, str], ...]
    right: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """One sentence pair and every arm's translation of it."""

    split: str
    number: int
    source: str
    reference: str
    hypotheses: tuple[ArmTranslation, ...]


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of one seed."""

    seed: int
    shown: tuple[Sample, ...]
    missing: str
    """Reason why there are no samples; empty if there are some."""


def read_samples(panel: ReportPanel) -> Samples:
    """Return the last recorded samples of the runs with the first seed."""
    found = panel.collected.found
    seed = found.experiment.seeds[0]
    kept: dict[tuple[str, int], dict[str, Any]] = {}
    said: dict[tuple[str, int], list[ArmTranslation]] = {}
    unread, translated = [], False
    for arm, title in panel.titles.items():
        run = found.directory.run(arm, seed)
        translated = translated or (run.path / "translations").is_dir()
        try:
            lines = list(_last(run.samples.read()))
        except (MaskbenchError, KeyError, TypeError, ValueError) as error:
            unread.append(f"the samples of {title} cannot be read: {error}")
            continue
        for key, line in lines:
            kept.setdefault(key, line)
            pieces = tuple(mark_differences(line["hypothesis"], line["reference"]))
            said.setdefault(key, []).append(
                ArmTranslation(arm, title, pieces, line["hypothesis"] == line["reference"])
            )
    shown = tuple(
        Sample(split, number, line["source"], line["reference"], tuple(said[split, number]))
        for (split, number), line in list(kept.items())[:MAX_SAMPLES]
    )
    return Samples(seed, shown, "" if shown else _why_none(seed, translated, unread))


def _last(lines: list[dict[str, Any]]) -> Iterator[tuple[tuple[str, int], dict[str, Any]]]:
    """Yield ((split, id), sample) with each sentence's last sample."""
    newest = {(str(line["split"]), int(line["id"])): line for line in lines}
    for key, line in newest.items():
        yield key, {name: str(line[name]) for name in ("source", "reference", "hypothesis")}


def _why_none(seed: int, translated: bool, unread: list[str]) -> str:
    if unread:
        return "; ".join(unread)
    if translated:
        return (
            "The runs kept their translations but no samples with source and reference: they were made by an earlier "
            "version of the program."
        )
    return f"The runs of seed {seed} have translated nothing: no metric of this experiment asks for it, or none is done."


def mark_differences(hypothesis: str, reference: str) -> Iterator[tuple[PieceKind, str]]:
    """Yield sequences of words: as in the reference, not in the reference, or missing in the hypothesis."""
    said, wanted = hypothesis.split(), reference.split()
    matcher = difflib.SequenceMatcher(None, wanted, said, autojunk=False)
    for _, a, b, c, d in matcher.get_opcodes():
        if wanted[a:b] == said[c:d]:
            yield "same", " ".join(said[c:d])
            continue
        if d > c:
            yield "other", " ".join(said[c:d])
        elif b > a:
            yield "missing", " ".join(wanted[a:b])
