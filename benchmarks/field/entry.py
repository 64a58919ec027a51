"""What the catalogue says of a package: its models, how they are built small, and what is known of their failures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from maskbench.model_audit.subject import ModelSubject

Group = Literal["encoder-decoder", "decoder", "encoder", "option", "package", "torch"]
"""Tables of the page, in their order."""
GROUPS: Mapping[Group, str] = {
    "encoder-decoder": "Encoder-decoder models of transformers",
    "decoder": "Decoder-only models of transformers",
    "encoder": "Encoder-only models of transformers",
    "option": "Options of x-transformers, one at a time",
    "package": "Little-used packages",
    "torch": "Modules of torch",
}
Build = Callable[[], ModelSubject]
"""Builds a small model with random weights, drawn from torch's generator, which is seeded before; imports its package inside."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One model, or one option of a model."""

    name: str
    """Unique in its package; a class, or what is switched on."""
    group: Group
    build: Build
    limits: str = ""
    """What its documentation says it does not do, with the place where it says so; the build respects it."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Lines of an installed module that are replaced while it is imported; the file is left as it is."""

    module: str
    first: int
    """Number of the first replaced line, from 1."""
    last: int
    text: str
    """The new lines."""
    was: str
    """First 12 hex digits of the SHA-256 of the replaced lines, so that an edit of another version is refused."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Why cells fail, and whether that is a defect."""

    verdict: Literal["defect", "design effect"]
    title: str
    """Unique; a sentence without a full stop."""
    entries: tuple[str, ...]
    """Names of the entries that fail for this reason."""
    proofs: tuple[str, ...]
    """Proofs that fail for it, in some or all of the entries."""
    cause: str
    """What the code does, in plain sentences."""
    where: str
    """`file.py:line` of the installed package, where that happens."""
    ruled_out: str
    """Which other explanations were looked at, and how they were excluded."""
    source: str = ""
    """Of a design effect: where the model's documentation or paper says that it is so."""
    control: Mapping[str, Build] = field(default_factory=dict)
    """By entry, the model with the suspected cause switched off: the proofs must hold."""
    control_is: str = ""
    """What is switched off in `control`; without one, why there is no switch."""
    mend: tuple[Edit, ...] = ()
    """The smallest change with which the proofs hold."""
    mend_is: str = ""
    """What the change does; without one, why none is tried."""
    report: str = ""
    """Of a defect: name of the report for the maintainers, a file of `docs/field/` without its ending."""


@dataclass(frozen=True, slots=True)
class Package:
    """One version of one package and its entries."""

    name: str
    """As the package index spells it."""
    version: str
    documentation: str
    """Where its promises are written down."""
    entries: tuple[Entry, ...] = ()
    judgements: tuple[Judgement, ...] = ()
    further: tuple[str, ...] = ()
    """Requirements that it needs beside it, pinned."""
    missing: str = ""
    """Why it has no entry: it cannot be installed, needs another device, cannot be asked, or what failed was not decided."""
    not_tried: tuple[tuple[str, str], ...] = ()
    """Models that are no entries, and why."""
    before: str = ""
    """An earlier version in which each defect is looked for."""
    preload: str = ""
    """A module that is imported once for many entries, as it takes seconds; it imports no module that an edit touches."""

    @property
    def requirements(self) -> tuple[str, ...]:
        """What its environment holds beside torch and maskbench."""
        return (f"{self.name}=={self.version}", *self.further)

    def of_version(self, version: str) -> tuple[str, ...]:
        """Return the requirements of another version."""
        return (f"{self.name}=={version}", *self.further)

    def judged(self, entry: str) -> Iterable[Judgement]:
        """Return the judgements on an entry."""
        return [judgement for judgement in self.judgements if entry in judgement.entries]


def hugging_face(name: str, /, **config: Any) -> Build:
    """Return the build of a class of transformers, made small, with settings of its configuration."""

    def build() -> ModelSubject:
        import json

        import torch

        from maskbench.model_audit.adapters.hugging_face.build import build_small
        from maskbench.model_audit.target import subject_for

        settings = {key: json.dumps(value) for key, value in config.items()}
        model, lines = build_small(name, settings, seed=torch.initial_seed())
        subject = subject_for(model)
        subject.build_lines = lines
        return subject

    return build
