"""The corpus as it is trained on and evaluated: encoded pairs with their raw lines, in named splits.

The token ids of a split are one array with offsets, so a corpus of any size is a few arrays. References stay
raw
text: a score computed on decoded ids would not count unknown words as errors.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from maskbench.data.sameness import count_overlaps
from maskbench.data.vocabulary import EOS, Vocabulary
from maskbench.statistics.split_overlap import SplitOverlaps


@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of integers of different lengths, stored in one array."""

    values: npt.NDArray[np.int32]
    """All rows, one after another."""
    offsets: npt.NDArray[np.int64]
    """Row i is `values[offsets[i] : offsets[i + 1]]`; one entry more than rows."""

    @classmethod
    def from_rows(cls, rows: Sequence[Sequence[int]]) -> Ragged:
        """Return the given rows as a `Ragged`, in the given order."""
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
"""The annotations that a corpus may have for its splits."""
RAGGED_FIELDS: Final = ("src", "tgt", *ANNOTATIONS, "touched")
"""The fields of a split of type `Ragged`, with one row per pair."""


@dataclass(frozen=True, eq=False)
class Split:
    """Pairs of sentences; the id of an example is its index in the split."""

    name: str
    src: Ragged
    """Encoded sources, each ending with EOS."""
    tgt: Ragged
    """Encoded references without BOS, each ending with EOS."""
    sources: list[str]
    """The source lines as text."""
    references: list[str]
    """The target lines before encoding: the references of BLEU, chrF and exact match."""
    junk: Ragged | None = None
    """1 on source tokens without meaning, 0 on the others; None without this annotation."""
    links: Ragged | None = None
    """Gold alignment: the numbers `t * len(source) + s` of every target token t and source token s that it
    translates, ascending; `len(source)` includes EOS. None without this annotation."""
    deps: Ragged | None = None
    """Dependencies: numbers as in `links` of every source token s that target token t depends on, among them
    those it translates (a verb's form also depends on the subject's number). None without this annotation."""
    tags: Ragged | None = None
    """The tag of every target token, as its index in `Corpus.tags`; None without this annotation."""
    origin: str | None = None
    """Name of the split that this is an altered copy of, pair by pair with the same references; None: it is
    no copy."""
    touched: Ragged | None = None
    """1 on target tokens that depend on a source token the alteration changed, removed or moved, 0 on the
    others; present if and only if there are an `origin` and `deps`."""
    parts: tuple[str, ...] = ()
    """Names of the splits whose pairs it holds, one after another; empty: its pairs are its own."""

    def __len__(self) -> int:
        return len(self.src)


@dataclass(frozen=True, eq=False)
class Corpus:
    """Everything a run reads: a vocabulary and splits, among them `train` and `valid`."""

    name: str
    vocabulary: Vocabulary
    splits: dict[str, Split]
    sha256: str
    """Hash of everything in the corpus that can change a result."""
    max_length: int
    """Length of the longest encoded sequence of any split, source or target, EOS included."""
    notes: tuple[str, ...] = ()
    """Sentences for the user, for instance on lines left out and on overlaps; the command line prints
    them."""
    tags: tuple[str, ...] = ()
    """Names of the tags of target tokens; the first is "end", the end mark. Empty if splits have no tags."""
    overlaps: SplitOverlaps = field(default_factory=SplitOverlaps)
    """How many sentences any two splits have in common; `assemble_corpus` counts them."""

    @property
    def notes_on_reading(self) -> tuple[str, ...]:
        """The notes without those on overlaps, which a corpus that is made of this one counts for its own splits."""
        overlaps = set(self.overlaps.sentences())
        return tuple(note for note in self.notes if note not in overlaps)


class CorpusBuilder(ABC):
    """Base class of corpora; registered with `@CORPORA.register(name)`, never instantiated."""

    Options: ClassVar[type[BaseModel]]
    """The pydantic model of the corpus's options: every key but `name`."""
    version: ClassVar[int] = 1
    """Version of the builder; increased by every change of what is built, so that older cache entries are not
    used."""
    code_sha256: ClassVar[str | None] = None
    """SHA-256 of a plug-in's code, set when the plug-in is loaded; other code does not use older cache entries."""

    @classmethod
    @abstractmethod
    def split_names(cls, options: Any) -> list[str]:
        """Return the names of every split a run can be evaluated on, without reading any data."""

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
        """Return the name of the original split by the name of each altered copy."""
        return {}

    @classmethod
    def versions(cls, options: Any) -> list[Any]:
        """Return the versions of all builders involved: its own, and those of corpora inside it."""
        return [cls.version] if cls.code_sha256 is None else [cls.version, cls.code_sha256]

    @classmethod
    def inputs(cls, options: Any) -> Mapping[str, str]:
        """Return the sha256 of every input file by its role; a generated corpus has none.

        Raises:
            CorpusError: a file is missing.
        """
        return {}

    @classmethod
    def is_generated(cls) -> bool:
        """Return whether no input file can go into the corpus, as the class does not define `inputs`."""
        return not any("inputs" in vars(base) for base in cls.__mro__ if base is not CorpusBuilder)


def encode_split(name: str, pairs: Sequence[tuple[str, str]], vocabulary: Vocabulary) -> Split:
    """Encode `(source, reference)` pairs as a split."""
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
    """Return a corpus of `splits`, with its hash, the length of its longest sequence, and what splits have in common.

    Sentences on overlaps of splits are added to the notes.

    Raises:
        ValueError: some splits are annotated and others are not.
    """
    named, tags = {split.name: split for split in splits}, tuple(tags)
    if len({tuple(getattr(split, part) is None for part in ANNOTATIONS) for split in named.values()}) > 1:
        raise ValueError(f"{name}: a corpus annotates all of its splits or none")
    overlaps = count_overlaps(list(named.values()))
    return Corpus(
        name=name,
        vocabulary=vocabulary,
        splits=named,
        sha256=_sha256(vocabulary, named, tags),
        max_length=max(_longest(side) for split in named.values() for side in (split.src, split.tgt)),
        notes=(*notes, *overlaps.sentences()),
        tags=tags,
        overlaps=overlaps,
    )


def _longest(rows: Ragged) -> int:
    return int(rows.lengths.max(initial=0))


def _sha256(vocabulary: Vocabulary, splits: Mapping[str, Split], tags: tuple[str, ...]) -> str:
    digest = hashlib.sha256()

    def add(part: bytes) -> None:
        # The length comes first, so different sequences of parts never hash the same bytes.
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
            # Lines contain no line feed, so joining them is unambiguous.
            add("\n".join(texts).encode("utf-8"))
    return digest.hexdigest()
