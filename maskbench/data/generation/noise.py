"""Noisy copies of a test split: source words are masked, dropped, swapped or replaced.

The noise belongs to the corpus, not to a run: its key has no seed, so every arm, seed and machine is tested
on the same noisy sentences. References do not change. Words are altered before encoding; a masked word
becomes the id MASK, so the text `<mask>` stays text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Final, TypeAlias

from maskbench.data.corpus import Ragged, Split
from maskbench.data.generation.annotations import copy_with_sources
from maskbench.data.generation.sentence_rng import SentenceRng, sentence_rngs
from maskbench.data.vocabulary import EOS, MASK, SPECIAL_NAMES, Vocabulary
from maskbench.randomness import Key

NOISE_KINDS: Final = ("mask", "drop", "swap", "replace")
NOISE_PERCENTS: Final = (10, 20, 30)
NOISE_SPLITS: Final = tuple(f"noise-{kind}-{percent}" for kind in NOISE_KINDS for percent in NOISE_PERCENTS)
"""Names of the noisy splits of every corpus: `noise-<kind>-<percent of the words>`."""

Words: TypeAlias = list[tuple[int, str | None]]
"""A sentence as words, each with its original position; None is a masked word."""


def make_noisy_splits(clean: Split, vocabulary: Vocabulary, source_words: Sequence[str]) -> list[Split]:
    """Return every noisy copy of `clean`.

    In a sentence of n words, n * percent / 100 are altered, rounded up or down at random so that the
    expectation is exact. For the same kind, the words altered at 10 % are among those altered at 20 and 30 %
    (not for swaps). A word keeps its annotations; a masked or replaced one has the links of the original
    word.

    Args:
        clean: the split to alter.
        vocabulary: encodes the altered sentences.
        source_words: the words a replacement is drawn from, in a fixed order.
    """
    return [
        make_noisy_copy(clean, kind, percent, vocabulary, source_words)
        for kind in NOISE_KINDS
        for percent in NOISE_PERCENTS
    ]


def make_noisy_copy(
    clean: Split,
    kind: str,
    percent: int,
    vocabulary: Vocabulary,
    source_words: Sequence[str],
    key: Key | None = None,
) -> Split:
    """Return a noisy copy of `clean`, `percent` % of its words altered; `key` replaces the usual key."""
    alter = _ALTER[kind]
    lines = [line.split() for line in clean.sources]
    longest = max(map(len, lines), default=0)
    altered: list[Words | None] = []
    # The usual key has only the kind: the same words are altered first at every percentage.
    key = Key.of(0, "noise", kind) if key is None else key
    for words, rng in zip(lines, sentence_rngs(key, 0, len(lines), 3 * longest + 1), strict=True):
        altered.append(alter(words, percent / 100, rng, source_words))
    rows = [
        clean.src[i].tolist() if words is None else [*_encode(words, vocabulary), EOS]
        for i, words in enumerate(altered)
    ]
    sources = [
        line
        if words is None
        else " ".join(SPECIAL_NAMES[MASK] if word is None else word for _, word in words)
        for line, words in zip(clean.sources, altered, strict=True)
    ]
    places = [
        range(len(line)) if words is None else [place for place, _ in words]
        for line, words in zip(lines, altered, strict=True)
    ]
    return copy_with_sources(clean, f"noise-{kind}-{percent}", sources, Ragged.from_rows(rows), places)


def _encode(words: Words, vocabulary: Vocabulary) -> list[int]:
    parts: list[list[int]] = []
    for is_masked, run in groupby((word for _, word in words), lambda word: word is None):
        # Words between two masks are encoded together, as in a line.
        if is_masked:
            parts += [[MASK] for _ in run]
        else:
            parts.append(vocabulary.encode(" ".join(filter(None, run))))
    ids: list[int] = []
    for part in parts:
        ids += [*(vocabulary.separator_ids if ids else ()), *part]
    return ids


def _count(expected: float, most: int, rng: SentenceRng) -> int:
    """Round `expected` up or down at random with exact expectation; always reads one random number."""
    down = int(expected)
    return min(most, down + rng.chance(expected - down))


def _mask(words: list[str], rate: float, rng: SentenceRng, source_words: Sequence[str]) -> Words | None:
    count = _count(rate * len(words), len(words), rng)
    hidden = set(rng.shuffled(range(len(words)))[:count])
    return [(i, None if i in hidden else word) for i, word in enumerate(words)] if hidden else None


def _drop(words: list[str], rate: float, rng: SentenceRng, source_words: Sequence[str]) -> Words | None:
    count = _count(rate * len(words), max(0, len(words) - 1), rng)
    dropped = set(rng.shuffled(range(len(words)))[:count])
    return [(i, word) for i, word in enumerate(words) if i not in dropped] if dropped else None


def _swap(words: list[str], rate: float, rng: SentenceRng, source_words: Sequence[str]) -> Words | None:
    """Exchange disjoint pairs of neighbours; each exchange counts as two altered words."""
    count = _count(rate * len(words) / 2, len(words) // 2, rng)
    # Choosing among len - count positions and shifting the i-th by i gives pairs that never overlap.
    places = sorted(rng.shuffled(range(len(words) - count))[:count])
    out: Words = list(enumerate(words))
    for spread, place in enumerate(places):
        i = place + spread
        out[i], out[i + 1] = out[i + 1], out[i]
    return out if places else None


def _replace(words: list[str], rate: float, rng: SentenceRng, source_words: Sequence[str]) -> Words | None:
    count = _count(rate * len(words), len(words), rng)
    out = list(words)
    for i in rng.shuffled(range(len(words)))[:count]:
        out[i] = _another(words[i], rng, source_words)
    return list(enumerate(out)) if out != words else None


def _another(word: str, rng: SentenceRng, source_words: Sequence[str]) -> str:
    """Return a random word of `source_words` other than `word`, if there is one."""
    if len(source_words) < 2:
        return source_words[0] if source_words else word
    first = rng.randbelow(len(source_words))
    step = 1 + rng.randbelow(len(source_words) - 1)
    # If the draw is the word itself, a uniform non-zero step keeps every other word equally likely.
    return (
        source_words[first]
        if source_words[first] != word
        else source_words[(first + step) % len(source_words)]
    )


_ALTER: Final[dict[str, Callable[[list[str], float, SentenceRng, Sequence[str]], Words | None]]] = {
    "mask": _mask,
    "drop": _drop,
    "swap": _swap,
    "replace": _replace,
}
