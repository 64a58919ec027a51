"""Groups of sentences: by the length of the source, and by the tags of the target tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from maskbench.config.schema.metrics import LENGTHS, bin_name
from maskbench.data.corpus import Corpus, Split
from maskbench.errors import ConfigError
from maskbench.explain.sentence_gains import SentenceGains, SentenceGroup, summarise_group
from maskbench.registry import did_you_mean

SentenceSelection: TypeAlias = npt.NDArray[np.bool_]
"""Bool[N]: True on the selected sentences of a split."""

_END_TAG = "end"
"""The tag of the end mark, which every sentence has."""


def length_groups(split: Split) -> Iterator[tuple[str, SentenceSelection]]:
    """Yield the name and the sentences of every bin of source lengths."""
    words = split.src.lengths - 1
    for low, high in LENGTHS:
        yield bin_name((low, high)), (words >= low) & (words <= high)


def tag_groups(corpus: Corpus, split: Split) -> Iterator[tuple[str, SentenceSelection]]:
    """Yield every tag and the sentences with a target token of it, without the end mark's tag."""
    if split.tags is None:
        return
    sentence = np.repeat(np.arange(len(split)), split.tags.lengths)
    for number, tag in enumerate(corpus.tags):
        where = np.zeros(len(split), dtype=np.bool_)
        where[sentence[split.tags.values == number]] = True
        if tag != _END_TAG:
            yield tag, where


def summarise_groups(
    gains: SentenceGains, kept: SentenceSelection, parts: Iterator[tuple[str, SentenceSelection]]
) -> Iterator[SentenceGroup]:
    """Yield a summary of every part that has a sentence among those `kept`."""
    for name, where in parts:
        if (where & kept).any():
            yield summarise_group(name, gains.select(where & kept))


def select_sentences(
    corpus: Corpus, split: Split, tag: str | None, length: str | None
) -> tuple[SentenceSelection, str]:
    """Return the sentences of a tag and a length, where given, and a description such as `tag:gender and length:6-10`.

    Raises:
        ConfigError: there is no such tag or length, or no such sentence.
    """
    kept, described = np.ones(len(split), dtype=np.bool_), []
    choices = (
        ("tag", tag, dict(tag_groups(corpus, split))),
        ("length", length, dict(length_groups(split))),
    )
    for kind, value, parts in choices:
        if value is None:
            continue
        if value not in parts:
            known: Sequence[str] = list(parts)
            listed = f"known: {', '.join(known)}" if known else f"the corpus {corpus.name} has none"
            raise ConfigError(f"--{kind}: no {kind} {value!r}{did_you_mean(value, known)} ({listed})")
        kept &= parts[value]
        described.append(f"{kind}:{value}")
    if not kept.any():
        raise ConfigError(
            f"no sentence of {split.name} is {' and '.join(described)}; leave one of the two out"
        )
    return kept, " and ".join(described)
