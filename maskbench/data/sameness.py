"""When two sentences are the same, and how many sentences two splits have in common.

Two sentences are the same if a person reads the same words, or if the model reads the same tokens:

* their keys are equal (`sentence_key`): composed Unicode (NFC), one space between words, none at the ends, no
  invisible characters (`maskbench.text.is_invisible`), although a tokeniser may read them differently;
* or, where the vocabulary is known, their token ids are equal. Beyond the above these are sentences whose words
  differ and are unknown to the vocabulary. They are counted as the same, since the model cannot tell them apart, and
  counted on their own, since a person can (`Overlap.unknown_sources`).

Dealing, notes, statistics, `denoise` and overlaps all use this definition. Dealing also ignores case, so that
splits do not depend on `lowercase` (`dealing_key`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from maskbench.statistics.split_overlap import Overlap, SplitOrigin, SplitOverlaps
from maskbench.text import is_invisible

if TYPE_CHECKING:
    from maskbench.data.corpus import Split

Classes: TypeAlias = npt.NDArray[np.int64]
"""A number for every sentence."""


class _VisibleCharacters(dict[int, int | None]):
    """A table for `str.translate` that leaves out invisible characters but not white space; it fills itself."""

    def __missing__(self, code: int) -> int | None:
        character = chr(code)
        self[code] = None if is_invisible(character) and not character.isspace() else code
        return self[code]


_WITHOUT_INVISIBLE: Final = _VisibleCharacters()


def sentence_key(text: str) -> str:
    """Return the text in the form in which the same words are the same string.

    White space is what `str.split` takes for it: blanks of all widths, tabs and no-break spaces among them.
    """
    if not (text.isascii() and text.isprintable()):
        # Composed afterwards, since two characters may compose once no joiner stands between them.
        text = unicodedata.normalize("NFC", text.translate(_WITHOUT_INVISIBLE))
    return " ".join(text.split())


def dealing_key(text: str) -> str:
    """Return the key that decides the split of a source; equal for sources that differ only in case, too."""
    return sentence_key(sentence_key(text).lower())


class SentenceClasses(NamedTuple):
    """Two numbers for every sentence; sentences are the same if either is equal."""

    words: Classes
    """Equal exactly for equal keys."""
    tokens: Classes
    """Equal exactly for equal token ids."""


def classify_sentences(
    texts: Sequence[str], rows: Sequence[Sequence[int] | npt.NDArray[np.int32]]
) -> SentenceClasses:
    """Return the classes of sentences.

    Args:
        texts: the sentences.
        rows: the token ids of every sentence.
    """
    keys: dict[str, int] = {}
    tokens: dict[bytes, int] = {}
    by_words = [keys.setdefault(sentence_key(text), len(keys)) for text in texts]
    by_tokens = [tokens.setdefault(np.asarray(row, dtype=np.int32).tobytes(), len(tokens)) for row in rows]
    return SentenceClasses(np.array(by_words, dtype=np.int64), np.array(by_tokens, dtype=np.int64))


def mark_repeated(classes: Sequence[Classes]) -> npt.NDArray[np.bool_]:
    """Return for every sentence whether an earlier one is the same: equal in any of the classes, which have equal lengths."""
    marked = np.zeros(len(classes[0]), dtype=np.bool_)
    for numbers in classes:
        is_later = np.ones(len(numbers), dtype=np.bool_)
        is_later[np.unique(numbers, return_index=True)[1]] = False
        marked |= is_later
    return marked


def count_overlaps(splits: Sequence[Split]) -> SplitOverlaps:
    """Return what any two of the splits have in common, and how often each repeats itself."""
    overlaps = SplitOverlaps({one.name: SplitOrigin(len(one), one.origin, one.parts) for one in splits})
    source = classify_sentences(
        [line for one in splits for line in one.sources],
        list(chain.from_iterable(_rows(one.src.values, one.src.offsets) for one in splits)),
    )
    target = classify_sentences(
        [line for one in splits for line in one.references],
        list(chain.from_iterable(_rows(one.tgt.values, one.tgt.offsets) for one in splits)),
    )
    starts = np.cumsum([0, *map(len, splits)])
    # A pair is another one if each of its sides is, by words or by tokens.
    tables = [
        _common(starts, classes)
        for classes in (
            source,
            target,
            [_joined(one, other) for one in source for other in target],
            [source.words],
            [_joined(source.words, target.words)],
        )
    ]
    names = [one.name for one in splits]
    counts = []
    for a, split in enumerate(names):
        for b, other in enumerate(names):
            sources, targets, pairs, in_words, pairs_in_words = (int(table[a, b]) for table in tables)
            one = Overlap(split, other, sources, targets, pairs, sources - in_words, pairs - pairs_in_words)
            is_copy = overlaps.clean(split) != split or overlaps.clean(other) != other
            if one and not (is_copy and overlaps.is_by_construction(split, other)):
                counts.append(one)
    return SplitOverlaps(overlaps.splits, tuple(counts))


def _rows(values: npt.NDArray[np.int32], offsets: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int32]]:
    return (values[start:end] for start, end in pairwise(offsets.tolist()))


def _joined(source: Classes, target: Classes) -> Classes:
    """Return the classes of pairs whose sides have these classes."""
    return source * (int(target.max(initial=0)) + 1) + target


def _common(starts: npt.NDArray[np.int64], classes: Sequence[Classes]) -> npt.NDArray[np.int64]:
    """Return for splits a, b how many sentences of a are in b; on the diagonal, how many repeat an earlier one of a.

    Args:
        starts: the number of the first sentence of every split, and of all sentences.
        classes: one or more classes of every sentence; sentences equal in any of them are the same.
    """
    places = [slice(start, end) for start, end in pairwise(starts.tolist())]
    is_in = np.zeros((int(starts[-1]), len(places)), dtype=np.bool_)
    for numbers in classes:
        _, dense = np.unique(numbers, return_inverse=True)
        present = np.zeros((int(dense.max(initial=-1)) + 1, len(places)), dtype=np.bool_)
        for split, place in enumerate(places):
            present[dense[place], split] = True
        is_in |= present[dense]
    table = np.array([is_in[place].sum(axis=0) for place in places], dtype=np.int64)
    np.fill_diagonal(
        table, [mark_repeated([numbers[place] for numbers in classes]).sum() for place in places]
    )
    return table
