"""The corpora `copy`, `reverse` and `sort`: repeat a sequence of symbols, reverse it, or sort it.

They are probes, not languages. Whether a model can learn `copy` and `reverse` depends on positions and on the reach
of cross-attention alone; where a symbol of `sort` goes depends on all the others. The sizes follow the common `reverse`
task of sequence-to-sequence toolkits.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Self, TypeAlias

from pydantic import Field, model_validator

from maskbench.data.corpus import Corpus, CorpusBuilder, Split, assemble_corpus, encode_split
from maskbench.data.generation.annotations import Links, annotate_split
from maskbench.data.generation.noise import NOISE_SPLITS, make_noisy_splits
from maskbench.data.generation.sampling import SPLITS, GeneratedOptions, fill_splits, generate_candidates
from maskbench.data.generation.sentence_rng import SentenceRng
from maskbench.data.vocabulary import WordVocabulary
from maskbench.randomness import Key
from maskbench.registry import CORPORA

Moved: TypeAlias = tuple[str, str, list[int]]
"""A source, its reference, and the source place of every symbol of the reference."""


class CopyingOptions(GeneratedOptions):
    """Options of `copy`, `reverse` and `sort`."""

    symbols: int = Field(default=50, ge=1, le=10_000, description="different symbols")
    min_length: int = Field(default=3, ge=1, le=1_000, description="symbols in the shortest sequence")
    max_length: int = Field(default=25, ge=1, le=1_000, description="symbols in the longest sequence")

    @model_validator(mode="after")
    def _lengths_are_ordered(self) -> Self:
        if self.min_length > self.max_length:
            raise ValueError(f"min_length {self.min_length} is above max_length {self.max_length}")
        return self


class _ReorderingCorpus(CorpusBuilder):
    """A corpus in which a reference is its source in another order."""

    Options = CopyingOptions
    version = 3
    name: ClassVar[str]
    depends_on_all: ClassVar[bool] = False
    """Whether a symbol of the reference depends on every symbol of the source; otherwise on itself alone."""

    @classmethod
    @abstractmethod
    def order(cls, sequence: Sequence[int]) -> list[int]:
        """Return the places of a sequence's symbols, given by their numbers, in the order in which they are said."""

    @classmethod
    def split_names(cls, options: CopyingOptions) -> list[str]:
        """Return valid, test and the noisy copies of test."""
        return ["valid", "test", *NOISE_SPLITS]

    @classmethod
    def annotations(cls, options: CopyingOptions) -> frozenset[str]:
        """Return what is known of the symbols: where each comes from and what it hangs on; they are all of one kind."""
        return frozenset({"links", "deps"})

    @classmethod
    def origins(cls, options: CopyingOptions) -> dict[str, str]:
        """Return that the noisy splits are copies of test."""
        return dict.fromkeys(NOISE_SPLITS, "test")

    @classmethod
    def build(cls, options: CopyingOptions) -> Corpus:
        """Draw the sequences."""
        # The corpus's own name is no part of the key: the tasks share their sources.
        key = Key.of(options.seed, "copying")
        drawn = fill_splits(
            generate_candidates(key, options.max_length + 1, cls._deriving(options)), options.sizes()
        )
        symbols = [f"s{i}" for i in range(options.symbols)]
        vocabulary = WordVocabulary(symbols)
        splits = [cls._split(name, drawn[name], vocabulary) for name in SPLITS]
        return assemble_corpus(
            cls.name, vocabulary, [*splits, *make_noisy_splits(splits[-1], vocabulary, symbols)]
        )

    @classmethod
    def _deriving(cls, options: CopyingOptions) -> Callable[[SentenceRng], Moved]:
        def derive(rng: SentenceRng) -> Moved:
            length = options.min_length + rng.randbelow(options.max_length - options.min_length + 1)
            sequence = [rng.randbelow(options.symbols) for _ in range(length)]
            order = cls.order(sequence)
            source, reference = sequence, [sequence[place] for place in order]
            return _line(source), _line(reference), order

        return derive

    @classmethod
    def _split(cls, name: str, drawn: Sequence[Moved], vocabulary: WordVocabulary) -> Split:
        links = [[t * (len(order) + 1) + s for t, s in enumerate(order)] for _, _, order in drawn]
        deps = [_everything(len(order)) for _, _, order in drawn] if cls.depends_on_all else None
        pairs = [(source, reference) for source, reference, _ in drawn]
        return annotate_split(encode_split(name, pairs, vocabulary), links, deps=deps)


def _line(symbols: Sequence[int]) -> str:
    return " ".join(f"s{i}" for i in symbols)


def _everything(length: int) -> Links:
    """Return the links from each of `length` target words to each of `length` source words."""
    return [t * (length + 1) + s for t in range(length) for s in range(length)]


@CORPORA.register("copy")
class CopyCorpus(_ReorderingCorpus):
    """Say the sequence again."""

    name = "copy"

    @classmethod
    def order(cls, sequence: Sequence[int]) -> list[int]:
        """Return the places from first to last."""
        return list(range(len(sequence)))


@CORPORA.register("reverse")
class ReverseCorpus(_ReorderingCorpus):
    """Say the sequence backwards."""

    name = "reverse"

    @classmethod
    def order(cls, sequence: Sequence[int]) -> list[int]:
        """Return the places from last to first."""
        return list(reversed(range(len(sequence))))


@CORPORA.register("sort")
class SortCorpus(_ReorderingCorpus):
    """Say the symbols from the lowest number to the highest; a symbol hangs on all of them, since any may come first."""

    name, depends_on_all = "sort", True

    @classmethod
    def order(cls, sequence: Sequence[int]) -> list[int]:
        """Return the places of the symbols from the lowest to the highest, of equal ones in the order they stand in."""
        return sorted(range(len(sequence)), key=lambda place: sequence[place])
