"""The corpora `copy`, `reverse` and `sort`: repeat a sequence of symbols, reverse it, or sort it.

They are synthetic probes. Whether a model can learn `copy` and `reverse` depends only on positions and on the
reach of cross-attention; in `sort`, the position of a symbol depends on all others. The sizes follow the
common `reverse` task of sequence-to-sequence toolkits.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Self, TypeAlias

from pydantic import Field, model_validator

from maskbench.data.corpus import Corpus, CorpusBuilder, Split, assemble_corpus, encode_split
from maskbench.data.generation.annotations import Links, annotate_split
from maskbench.data.generation.noise import NOISE_SPLITS, list_unaltered, make_noisy_splits
from maskbench.data.generation.sampling import SPLITS, GeneratedOptions, fill_splits, generate_candidates
from maskbench.data.generation.sentence_rng import SentenceRng
from maskbench.data.vocabulary import WordVocabulary
from maskbench.randomness import Key
from maskbench.registry import CORPORA

Moved: TypeAlias = tuple[str, str, list[int]]
"""A source, its reference, and the source position of every symbol of the reference."""


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
    """Base class of corpora whose references are their sources in another order."""

    Options = CopyingOptions
    version = 3
    name: ClassVar[str]
    depends_on_all: ClassVar[bool] = False
    """Whether a symbol of the reference depends on every symbol of the source; otherwise on itself alone."""

    @classmethod
    @abstractmethod
    def order(cls, sequence: Sequence[int]) -> list[int]:
        """Return the positions of the symbols (given as numbers) in the order of the reference."""

    @classmethod
    def split_names(cls, options: CopyingOptions) -> list[str]:
        """Return the names of valid, test and the noisy copies of test."""
        return ["valid", "test", *NOISE_SPLITS]

    @classmethod
    def annotations(cls, options: CopyingOptions) -> frozenset[str]:
        """Return "links" and "deps"; there are no tags, because all symbols are of one kind."""
        return frozenset({"links", "deps"})

    @classmethod
    def origins(cls, options: CopyingOptions) -> dict[str, str]:
        """Return "test" as the origin of every noisy split."""
        return dict.fromkeys(NOISE_SPLITS, "test")

    @classmethod
    def build(cls, options: CopyingOptions) -> Corpus:
        """Draw the sequences and return the corpus."""
        # The key does not contain the corpus's name, so the three tasks share their sources.
        key = Key.of(options.seed, "copying")
        drawn = fill_splits(
            generate_candidates(key, options.max_length + 1, cls._deriving(options)), options.sizes()
        )
        symbols = [f"s{i}" for i in range(options.symbols)]
        vocabulary = WordVocabulary(symbols)
        splits = [cls._split(name, drawn[name], vocabulary) for name in SPLITS]
        noisy = make_noisy_splits(splits[-1], vocabulary, symbols)
        notes = list_unaltered(splits[-1], noisy)
        return assemble_corpus(cls.name, vocabulary, [*splits, *noisy], notes)

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
        """Return the positions from first to last."""
        return list(range(len(sequence)))


@CORPORA.register("reverse")
class ReverseCorpus(_ReorderingCorpus):
    """Say the sequence backwards."""

    name = "reverse"

    @classmethod
    def order(cls, sequence: Sequence[int]) -> list[int]:
        """Return the positions from last to first."""
        return list(reversed(range(len(sequence))))


@CORPORA.register("sort")
class SortCorpus(_ReorderingCorpus):
    """Say the symbols from the lowest number to the highest; a symbol hangs on all of them, since any may come first."""

    name, depends_on_all = "sort", True

    @classmethod
    def order(cls, sequence: Sequence[int]) -> list[int]:
        """Return the positions of the symbols from lowest to highest; equal symbols keep their order."""
        return sorted(range(len(sequence)), key=lambda place: sequence[place])
