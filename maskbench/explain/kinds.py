"""Kinds of sentences: those with a target word of some tag, those whose source has some length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from maskbench.config.schema.metrics import LENGTHS, bin_name
from maskbench.data.corpus import Corpus, Split
from maskbench.errors import ConfigError
from maskbench.explain.outcomes import Group, Outcomes, group
from maskbench.registry import did_you_mean

Where: TypeAlias = npt.NDArray[np.bool_]
"""Bool[N]: which sentences of a split."""

_END = "end"


def by_length(split: Split) -> Iterator[tuple[str, Where]]:
    """Yield for every bin of source lengths the sentences that are in it."""
    words = split.src.lengths - 1
    for low, high in LENGTHS:
        yield bin_name((low, high)), (words >= low) & (words <= high)


def by_tag(corpus: Corpus, split: Split) -> Iterator[tuple[str, Where]]:
    """Yield for every tag the sentences that have a target token of it; all have an end mark, so that says nothing."""
    if split.tags is None:
        return
    sentence = np.repeat(np.arange(len(split)), split.tags.lengths)
    for number, tag in enumerate(corpus.tags):
        where = np.zeros(len(split), dtype=np.bool_)
        where[sentence[split.tags.values == number]] = True
        if tag != _END:
            yield tag, where


def groups(outcomes: Outcomes, kept: Where, parts: Iterator[tuple[str, Where]]) -> Iterator[Group]:
    """Sum up every part that has a sentence among those `kept`."""
    for name, where in parts:
        if (where & kept).any():
            yield group(name, outcomes.at(where & kept))


def chosen(corpus: Corpus, split: Split, tag: str | None, length: str | None) -> tuple[Where, str]:
    """Return the sentences of a tag and a length, where those are given, and that in words.

    Raises:
        ConfigError: there is no such tag or length, or no such sentence.
    """
    kept, said = np.ones(len(split), dtype=np.bool_), []
    choices = (
        ("tag", tag, dict(by_tag(corpus, split))),
        ("length", length, dict(by_length(split))),
    )
    for kind, value, parts in choices:
        if value is None:
            continue
        if value not in parts:
            known: Sequence[str] = list(parts)
            listed = f"known: {', '.join(known)}" if known else f"the corpus {corpus.name} has none"
            raise ConfigError(f"--{kind}: no {kind} {value!r}{did_you_mean(value, known)} ({listed})")
        kept &= parts[value]
        said.append(f"{kind}:{value}")
    if not kept.any():
        raise ConfigError(f"no sentence of {split.name} is {' and '.join(said)}; leave one of the two out")
    return kept, " and ".join(said)
