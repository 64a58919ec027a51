"""The corpora `copy` and `reverse`: repeat a sequence of symbols, or say it backwards.

They are probes, not languages: whether a model can learn them depends on positions and on the reach of cross
attention alone. The sizes follow the common `reverse` task of sequence-to-sequence toolkits.
"""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field, model_validator

from maskbench.data.annotate import Links, annotated
from maskbench.data.corpus import Corpus, CorpusBuilder, assemble, encode_split
from maskbench.data.draws import Draws
from maskbench.data.generated import SPLITS, GeneratedOptions, Pair, candidates, fill
from maskbench.data.noise import NOISE_SPLITS, noise_splits
from maskbench.data.vocabulary import WordVocabulary
from maskbench.randomness import Key
from maskbench.registry import CORPORA


class CopyingOptions(GeneratedOptions):
    """Options of `copy` and `reverse`."""

    symbols: int = Field(default=50, ge=1, le=10_000, description="different symbols")
    min_length: int = Field(default=3, ge=1, le=1_000, description="symbols in the shortest sequence")
    max_length: int = Field(default=25, ge=1, le=1_000, description="symbols in the longest sequence")

    @model_validator(mode="after")
    def _lengths_are_ordered(self) -> Self:
        if self.min_length > self.max_length:
            raise ValueError(f"min_length {self.min_length} is above max_length {self.max_length}")
        return self


def _sequence(draws: Draws, options: CopyingOptions, symbols: list[str]) -> list[str]:
    length = options.min_length + draws.below(options.max_length - options.min_length + 1)
    return [draws.choice(symbols) for _ in range(length)]


def _build(name: str, options: CopyingOptions, *, backwards: bool) -> Corpus:
    symbols = [f"s{i}" for i in range(options.symbols)]

    def derive(draws: Draws) -> Pair:
        sequence = _sequence(draws, options, symbols)
        return " ".join(sequence), " ".join(reversed(sequence) if backwards else sequence)

    # The corpus's own name is no part of the key: `copy` and `reverse` share their sources.
    splits = fill(
        candidates(Key.of(options.seed, "copying"), options.max_length + 1, derive), options.sizes()
    )
    vocabulary = WordVocabulary(symbols)
    encoded = []
    for split in SPLITS:
        links = [_links(source.count(" ") + 1, backwards) for source, _ in splits[split]]
        encoded.append(annotated(encode_split(split, splits[split], vocabulary), links))
    return assemble(name, vocabulary, [*encoded, *noise_splits(encoded[-1], vocabulary, symbols)])


def _links(length: int, backwards: bool) -> Links:
    return [t * (length + 1) + (length - 1 - t if backwards else t) for t in range(length)]


class _Copying(CorpusBuilder):
    """What both tasks share."""

    Options = CopyingOptions
    version = 3
    name: ClassVar[str]
    backwards: ClassVar[bool]

    @classmethod
    def split_names(cls, options: CopyingOptions) -> list[str]:
        """Return valid, test and the noisy copies of test."""
        return ["valid", "test", *NOISE_SPLITS]

    @classmethod
    def annotations(cls, options: CopyingOptions) -> frozenset[str]:
        """Return what is known of the symbols: which translates which, and so what each hangs on."""
        return frozenset({"links", "deps"})

    @classmethod
    def origins(cls, options: CopyingOptions) -> dict[str, str]:
        """Return that the noisy splits are copies of test."""
        return dict.fromkeys(NOISE_SPLITS, "test")

    @classmethod
    def build(cls, options: CopyingOptions) -> Corpus:
        """Draw the sequences."""
        return _build(cls.name, options, backwards=cls.backwards)


@CORPORA.register("copy")
class Copy(_Copying):
    """Say the sequence again."""

    name, backwards = "copy", False


@CORPORA.register("reverse")
class Reverse(_Copying):
    """Say the sequence backwards."""

    name, backwards = "reverse", True
