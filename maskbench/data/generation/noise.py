"""Noisy copies of a test split: source words are masked, dropped, swapped or replaced.

The noise belongs to the corpus, not to a run: its key has no seed, so every arm, seed and machine is tested
on the same noisy sentences. References do not change. What a word is, `maskbench.data.words` says. Words are
altered before encoding; a masked word becomes the id MASK, so the text `<mask>` stays text. The blanks between
words stay what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from operator import eq
from typing import Final, TypeAlias

from maskbench.data.corpus import Ragged, Split
from maskbench.data.generation.annotations import copy_with_sources
from maskbench.data.generation.sentence_rng import SentenceRng, sentence_rngs
from maskbench.data.vocabulary import EOS, MASK, SPECIAL_NAMES, Vocabulary
from maskbench.data.words import BETWEEN_BLANKS, DividedLine, WordRule
from maskbench.randomness import Key
from maskbench.text import count_of

NOISE_KINDS: Final = ("mask", "drop", "swap", "replace")
NOISE_PERCENTS: Final = (10, 20, 30)
NOISE_SPLITS: Final = tuple(f"noise-{kind}-{percent}" for kind in NOISE_KINDS for percent in NOISE_PERCENTS)
"""Names of the noisy splits of every corpus: `noise-<kind>-<percent of the words>`."""

Words: TypeAlias = list[tuple[int, str | None]]
"""A sentence as words, each with its original position; None is a masked word."""

_NEARLY_ALL: Final = 0.9
"""A note names a copy that equals its original in this share of the lines, or more."""
_FEW_LINES: Final = 20
"""In fewer lines than this, a copy may equal its original by chance."""


def make_noisy_splits(
    clean: Split, vocabulary: Vocabulary, source_words: Sequence[str], rule: WordRule = BETWEEN_BLANKS
) -> list[Split]:
    """Return every noisy copy of `clean`.

    In a sentence of n words, n * percent / 100 are altered, rounded up or down at random so that the
    expectation is exact. For the same kind, the words altered at 10 % are among those altered at 20 and 30 %
    (not for swaps). A word keeps its annotations; a masked or replaced one has the links of the original
    word.

    Args:
        clean: the split to alter.
        vocabulary: encodes the altered sentences.
        source_words: the words a replacement is drawn from, in a fixed order.
        rule: how sources are divided into words.
    """
    return [
        make_noisy_copy(clean, kind, percent, vocabulary, source_words, rule=rule)
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
    rule: WordRule = BETWEEN_BLANKS,
) -> Split:
    """Return a noisy copy of `clean`, `percent` % of its words altered; `key` replaces the usual key.

    A line of which no word is altered stays as it is. A dropped word leaves the first of the blanks around it.
    """
    alter = _ALTER[kind]
    divided = [rule.divide(line) for line in clean.sources]
    lines = [line.words for line in divided]
    longest = max(map(len, lines), default=0)
    altered: list[Words | None] = []
    # The usual key has only the kind: the same words are altered first at every percentage.
    key = Key.of(0, "noise", kind) if key is None else key
    for words, rng in zip(lines, sentence_rngs(key, 0, len(lines), 3 * longest + 1), strict=True):
        altered.append(alter(words, percent / 100, rng, source_words))
    rows: list[list[int]] = []
    sources: list[str] = []
    places: list[Sequence[int]] = []
    for i, (line, now) in enumerate(zip(divided, altered, strict=True)):
        if now is None:
            rows.append(clean.src[i].tolist())
            sources.append(clean.sources[i])
            places.append(range(len(line.words)))
        else:
            pieces = _pieces(line, now, rule)
            rows.append([*vocabulary.encode_around_masks(pieces), EOS])
            sources.append("".join(SPECIAL_NAMES[MASK] if piece is None else piece for piece in pieces))
            places.append([place for place, _ in now])
    return copy_with_sources(clean, f"noise-{kind}-{percent}", sources, Ragged.from_rows(rows), places)


def list_unaltered(clean: Split, copies: Sequence[Split], rule: WordRule = BETWEEN_BLANKS) -> list[str]:
    """Return notes on lines that cannot be altered, and on copies that nearly equal their original."""
    notes = []
    short = sum(len(rule.split(line)) < 2 for line in clean.sources)
    if short:
        notes.append(
            f"{short} of {count_of(len(clean), 'line')} of {clean.name} have fewer than two words: noise-drop and"
            " noise-swap leave them as they are"
        )
    same = {copy.name: sum(map(eq, clean.sources, copy.sources)) for copy in copies}
    nearly = [f"{name} ({n})" for name, n in same.items() if n >= _NEARLY_ALL * len(clean)]
    if nearly and len(clean) >= _FEW_LINES:
        notes.append(
            f"nearly all {len(clean)} lines of {clean.name} are unaltered in {', '.join(nearly)}: scores there say next to"
            " nothing about noise"
        )
    return notes


def _pieces(line: DividedLine, words: Words, rule: WordRule) -> list[str | None]:
    """Return an altered line as text around masked words, which are None, with the blanks of the original line."""
    kept = sorted(place for place, _ in words)
    # Blanks belong to places, not to words: a swap leaves them where they are.
    blanks = [line.blanks[0]]
    for here, there in pairwise(kept):
        blanks.append(next(filter(None, line.blanks[here + 1 : there + 1]), ""))
    blanks.append(line.blanks[-1])
    pieces: list[str | None] = []
    text = blanks[0]
    for i, (_, word) in enumerate(words):
        if word is None:
            pieces += [text, None]
            text = blanks[i + 1]
            continue
        text += word + blanks[i + 1]
        following = words[i + 1][1] if i + 1 < len(words) else None
        if not blanks[i + 1] and following is not None and rule.fuses(word, following):
            text += " "
    return [*pieces, text]


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
