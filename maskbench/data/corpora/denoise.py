"""The corpus `denoise`: reconstruct the lines of another corpus, as pre-training for that corpus.

It has the vocabulary of the other corpus, so a run on it can be continued there by `init_from`. With `noise:
none`, sources equal references, and the masks of an arm at `encoder_input` corrupt the sources: anew at every
visit, as MASS (Song et al. 2019) and BART (Lewis et al. 2020) do. Otherwise the corpus draws the noise once
for every line. So both can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from maskbench.data.corpora.nested_corpus import NestedCorpus, PlainCorpus, main_test_split
from maskbench.data.corpus import Corpus, CorpusBuilder, Split, assemble_corpus, encode_split
from maskbench.data.generation.annotations import annotate_split
from maskbench.data.generation.noise import NOISE_SPLITS, list_unaltered, make_noisy_copy, make_noisy_splits
from maskbench.data.sameness import classify_sentences, mark_repeated
from maskbench.data.vocabulary import Vocabulary
from maskbench.data.words import WordRule, choose_rule
from maskbench.errors import CorpusError
from maskbench.randomness import Key
from maskbench.registry import CORPORA
from maskbench.text import count_of, is_invisible

_ORDER: Final = ("test", "valid", "train")
"""Priority of splits for a line that several have; so the test split is the same for every size of train."""


class DenoiseOptions(BaseModel):
    """Options of `denoise`."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    of: PlainCorpus = Field(
        description="the corpus whose lines are taken, such as {name: toydeen, pairs: 2000}"
    )
    side: Literal["source", "target", "both"] = Field(default="both", description="which lines")
    noise: Literal["none", "mask", "drop", "swap", "replace"] = Field(
        default="none",
        description="what is done, once, to the sources of train and valid; none leaves it to masks",
    )
    percent: int = Field(default=15, ge=1, le=90, description="share of the words that the noise touches")

    def part(self) -> NestedCorpus:
        """Return the other corpus, whose lines are used."""
        return NestedCorpus.from_options(self.of)


@CORPORA.register("denoise")
class DenoiseCorpus(CorpusBuilder):
    """The lines of another corpus, to be said again: pre-training for it, with its own vocabulary."""

    Options = DenoiseOptions
    version = 2

    @classmethod
    def split_names(cls, options: DenoiseOptions) -> list[str]:
        """Return the names of valid, test, and the noisy copies of test."""
        return ["valid", "test", *NOISE_SPLITS]

    @classmethod
    def annotations(cls, options: DenoiseOptions) -> frozenset[str]:
        """Return those of "links" and "deps" that the other corpus has; each word is linked to itself."""
        return frozenset({"links", "deps"}) & options.part().annotations()

    @classmethod
    def origins(cls, options: DenoiseOptions) -> dict[str, str]:
        """Return "test" as the origin of every noisy split."""
        return dict.fromkeys(NOISE_SPLITS, "test")

    @classmethod
    def versions(cls, options: DenoiseOptions) -> list[Any]:
        """Return the versions of this corpus and of the other corpus."""
        return [cls.version, options.part().versions()]

    @classmethod
    def inputs(cls, options: DenoiseOptions) -> dict[str, str]:
        """Return the sha256 of the other corpus's files."""
        return options.part().inputs("of")

    @classmethod
    def build(cls, options: DenoiseOptions) -> Corpus:
        """Build the other corpus and return the corpus of its lines."""
        part = options.part()
        corpus = part.build(f"of {part.name}")
        own = {"train": "train", "valid": "valid", "test": main_test_split(part.split_names())}
        lines, notes = _dealt(
            {name: _lines(corpus.splits[split], options.side) for name, split in own.items()},
            corpus.vocabulary,
        )
        links = bool(cls.annotations(options))
        clean = {name: _split(name, lines[name], corpus.vocabulary, links=links) for name in _ORDER}
        rule = choose_rule(lines["train"])
        words = sorted({word for line in lines["train"] for word in rule.split(line)})
        splits = [
            _corrupted(clean[name], options, corpus.vocabulary, words, rule) for name in ("train", "valid")
        ]
        noisy = make_noisy_splits(clean["test"], corpus.vocabulary, words, rule)
        notes += list_unaltered(clean["test"], noisy, rule)
        return assemble_corpus(
            "denoise", corpus.vocabulary, [*splits, clean["test"], *noisy], [*corpus.notes_on_reading, *notes]
        )


def _lines(split: Split, side: str) -> list[str]:
    """Return the lines of one side, or of both sides in turn, pair by pair."""
    if side != "both":
        return split.sources if side == "source" else split.references
    return [line for pair in zip(split.sources, split.references, strict=True) for line in pair]


def _dealt(lines: dict[str, list[str]], vocabulary: Vocabulary) -> tuple[dict[str, list[str]], list[str]]:
    """Return the lines of each split without invisible lines and repetitions within or across splits, and notes.

    Lines are the same as `maskbench.data.sameness` says; the first one is kept.

    Raises:
        CorpusError: a split is left without lines.
    """
    every = [line for name in _ORDER for line in lines[name]]
    is_repeated = iter(mark_repeated(classify_sentences(every, vocabulary.encode_all(every))).tolist())
    kept: dict[str, list[str]] = {}
    notes = []
    for name in _ORDER:
        # The marks of this split's lines come next.
        kept[name] = [line for line in lines[name] if not next(is_repeated) and not is_invisible(line)]
        if not kept[name]:
            others = " or ".join(_ORDER[: _ORDER.index(name)])
            why = (
                f", or the same as a line of {others} (same words, or same tokens to the vocabulary)"
                if others
                else ""
            )
            raise CorpusError(
                f"denoise: each of the {count_of(len(lines[name]), 'line')} of {name} is blank{why}, so none is left; give"
                f" the corpus other lines for {name}, or take lines of one side alone (side: source or target)"
            )
        if left_out := len(lines[name]) - len(kept[name]):
            notes.append(
                f"left out of {name}: {left_out} of {len(lines[name])} lines, blank or there already"
            )
    return kept, notes


def _split(name: str, lines: Sequence[str], vocabulary: Vocabulary, *, links: bool) -> Split:
    split = encode_split(name, [(line, line) for line in lines], vocabulary)
    if not links:
        return split
    lengths = (len(line.split()) for line in lines)
    return annotate_split(split, [[t * (length + 1) + t for t in range(length)] for length in lengths])


def _corrupted(
    clean: Split, options: DenoiseOptions, vocabulary: Vocabulary, words: Sequence[str], rule: WordRule
) -> Split:
    """Return the split with noisy sources and no origin: the noise is part of the task."""
    if options.noise == "none":
        return clean
    key = Key.of(0, "denoise", options.noise, clean.name)
    noisy = make_noisy_copy(clean, options.noise, options.percent, vocabulary, words, key, rule)
    return replace(noisy, name=clean.name, origin=None, touched=None)
