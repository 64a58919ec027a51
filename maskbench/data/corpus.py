"""The corpus as the rest of the program sees it: encoded pairs with their raw lines, in named splits.

Token ids of a split lie in one array with offsets, so a corpus of any size is a handful of arrays. References stay
raw text: a score computed on decoded ids would hide every unknown word.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from maskbench.data.vocabulary import EOS, Vocabulary


@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of different lengths in one array."""

    values: npt.NDArray[np.int32]
    """All rows, one after another."""
    offsets: npt.NDArray[np.int64]
    """Row i is `values[offsets[i] : offsets[i + 1]]`; one more entry than there are rows."""

    @classmethod
    def from_rows(cls, rows: Sequence[Sequence[int]]) -> Ragged:
        """Return `rows` in the given order."""
        lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
        values = np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=int(offsets[-1]))
        return cls(values, offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> npt.NDArray[np.int32]:
        """Return row `index` as a view; `index` in [0, len).

        Raises:
            IndexError: there is no such row.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"row {index} is outside [0, {len(self)})")
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    def rows(self) -> Iterator[list[int]]:
        """Yield every row."""
        values, offsets = self.values.tolist(), self.offsets.tolist()
        return (values[start:end] for start, end in pairwise(offsets))

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """The length of every row."""
        return np.diff(self.offsets)


ANNOTATIONS: Final = ("junk", "links", "deps", "tags")
"""What a corpus may know of its splits beside the text."""
RAGGED_FIELDS: Final = ("src", "tgt", *ANNOTATIONS, "touched")
"""The fields of a split that hold a row for every pair."""


@dataclass(frozen=True, eq=False)
class Split:
    """Pairs of sentences; an example's id is its place in the split."""

    name: str
    src: Ragged
    """Encoded sources, each ending with EOS."""
    tgt: Ragged
    """Encoded references without BOS, each ending with EOS."""
    sources: list[str]
    """The source lines, as the model's input would be shown to a person."""
    references: list[str]
    """The target lines as they were before encoding: what BLEU, chrF and exact match compare with."""
    junk: Ragged | None = None
    """1 on source tokens that carry nothing of the meaning, 0 on the others; None where the corpus does not say."""
    links: Ragged | None = None
    """Gold alignment: the numbers `t * len(source) + s` of every pair of a target token t and a source token s it
    translates, ascending, lengths with their EOS; None where the corpus does not say."""
    deps: Ragged | None = None
    """Evidence: numbers like those of `links`, of every source token s that target token t depends on, which is more than
    what it translates (a verb's form depends on the subject's number); None where the corpus does not say."""
    tags: Ragged | None = None
    """What every target token is an instance of, as its place in `Corpus.tags`; None where the corpus does not say."""
    origin: str | None = None
    """The split that this is an altered copy of, pair by pair and with the same references; None: it is no copy."""
    touched: Ragged | None = None
    """1 on target tokens that depend on a source token the alteration changed, took away or moved, 0 on the others; there
    if and only if there are an `origin` and `deps`."""

    def __len__(self) -> int:
        return len(self.src)


@dataclass(frozen=True, eq=False)
class Corpus:
    """Everything a run reads: a vocabulary and splits, among them `train` and `valid`."""

    name: str
    vocabulary: Vocabulary
    splits: dict[str, Split]
    sha256: str
    """Of everything here that can change a number."""
    max_length: int
    """The longest encoded sequence of any split, source or target, its EOS included."""
    notes: tuple[str, ...] = ()
    """Sentences for the user, such as on lines left out and on overlaps; the command line prints them."""
    tags: tuple[str, ...] = ()
    """What a target token can be an instance of; the first is "end", the end mark. Empty where splits have no tags."""


class CorpusBuilder(ABC):
    """A corpus an experiment file can name; registered with `@CORPORA.register(name)`, never instantiated."""

    Options: ClassVar[type[BaseModel]]
    """The keys beside `name`, checked strictly."""
    version: ClassVar[int] = 1
    """Raised by every change that can change what is built, so that caches are not reused across it."""

    @classmethod
    @abstractmethod
    def split_names(cls, options: Any) -> list[str]:
        """Return every split a run can be evaluated on, without reading any data."""

    @classmethod
    @abstractmethod
    def build(cls, options: Any) -> Corpus:
        """Read or generate the corpus.

        Raises:
            CorpusError: the data is missing or malformed.
        """

    @classmethod
    def annotations(cls, options: Any) -> frozenset[str]:
        """Return which of "junk", "links", "deps" and "tags" its splits have."""
        return frozenset()

    @classmethod
    def tags(cls, options: Any) -> tuple[str, ...]:
        """Return the names of the tags, "end" first; empty without tags."""
        return ()

    @classmethod
    def origins(cls, options: Any) -> Mapping[str, str]:
        """Return of which split each altered copy is a copy."""
        return {}

    @classmethod
    def versions(cls, options: Any) -> list[Any]:
        """Return the versions of everything that takes part in building: its own, and those of corpora inside it."""
        return [cls.version]

    @classmethod
    def inputs(cls, options: Any) -> Mapping[str, str]:
        """Return the sha256 of every input file by its role; a corpus that is generated has none.

        Raises:
            CorpusError: a file is missing.
        """
        return {}


def encode_split(name: str, pairs: Sequence[tuple[str, str]], vocabulary: Vocabulary) -> Split:
    """Return the split of `(source, reference)` pairs."""
    sources, references = [source for source, _ in pairs], [reference for _, reference in pairs]
    return Split(
        name=name,
        src=Ragged.from_rows([[*ids, EOS] for ids in vocabulary.encode_all(sources)]),
        tgt=Ragged.from_rows([[*ids, EOS] for ids in vocabulary.encode_all(references)]),
        sources=sources,
        references=references,
    )


def assemble_corpus(
    name: str,
    vocabulary: Vocabulary,
    splits: Iterable[Split],
    notes: Iterable[str] = (),
    tags: Iterable[str] = (),
) -> Corpus:
    """Return the corpus of `splits`, with its hash and its longest sequence.

    Raises:
        ValueError: some splits are annotated and others are not.
    """
    named, tags = {split.name: split for split in splits}, tuple(tags)
    if len({tuple(getattr(split, part) is None for part in ANNOTATIONS) for split in named.values()}) > 1:
        raise ValueError(f"{name}: a corpus annotates all of its splits or none")
    return Corpus(
        name=name,
        vocabulary=vocabulary,
        splits=named,
        sha256=_sha256(vocabulary, named, tags),
        max_length=max(_longest(side) for split in named.values() for side in (split.src, split.tgt)),
        notes=tuple(notes),
        tags=tags,
    )


def _longest(rows: Ragged) -> int:
    return int(rows.lengths.max(initial=0))


def _sha256(vocabulary: Vocabulary, splits: Mapping[str, Split], tags: tuple[str, ...]) -> str:
    digest = hashlib.sha256()

    def add(part: bytes) -> None:
        # With its length in front, no two different sequences of parts feed the same bytes.
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)

    add(vocabulary.to_json().encode("utf-8"))
    add("\n".join(tags).encode("utf-8"))
    for name in sorted(splits):
        split = splits[name]
        add(name.encode("utf-8"))
        add((split.origin or "").encode("utf-8"))
        for part in RAGGED_FIELDS:
            rows = getattr(split, part)
            if rows is not None:
                add(part.encode("ascii"))
                add(rows.values.astype("<i4").tobytes())
                add(rows.offsets.astype("<i8").tobytes())
        for texts in (split.sources, split.references):
            # Lines hold no line feed, so joining keeps them apart.
            add("\n".join(texts).encode("utf-8"))
    return digest.hexdigest()
