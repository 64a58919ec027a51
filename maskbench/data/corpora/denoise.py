"""The corpus `denoise`: the lines of another corpus as their own reconstruction task, to train on before that corpus.

Its vocabulary is the other corpus's own, so a run on it can be continued there by `init_from`. Without noise of its own
it is the task of saying a line again, and it is the masks of an arm at `encoder_input` that corrupt: anew at every
visit, as MASS (Song et al. 2019) and BART (Lewis et al. 2020) do. Noise of its own is drawn once for every line, so
that both can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from maskbench.data.corpora.nested_corpus import NestedCorpus, PlainCorpus, main_test_split
from maskbench.data.corpus import Corpus, CorpusBuilder, Split, assemble_corpus, encode_split
from maskbench.data.generation.annotations import annotate_split
from maskbench.data.generation.noise import NOISE_SPLITS, make_noisy_copy, make_noisy_splits
from maskbench.data.vocabulary import Vocabulary
from maskbench.errors import CorpusError
from maskbench.randomness import Key
from maskbench.registry import CORPORA

_ORDER: Final = ("test", "valid", "train")
"""Which split keeps a line that several have: the tests are the same for every size of training split."""


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
        """Return the corpus whose lines are taken."""
        return NestedCorpus.from_options(self.of)


@CORPORA.register("denoise")
class DenoiseCorpus(CorpusBuilder):
    """The lines of another corpus, to be said again: pre-training for it, with its own vocabulary."""

    Options = DenoiseOptions

    @classmethod
    def split_names(cls, options: DenoiseOptions) -> list[str]:
        """Return valid, test, and the noisy copies of test."""
        return ["valid", "test", *NOISE_SPLITS]

    @classmethod
    def annotations(cls, options: DenoiseOptions) -> frozenset[str]:
        """Return that words belong to themselves, where the other corpus has a token for each word and says so."""
        return frozenset({"links", "deps"}) & options.part().annotations()

    @classmethod
    def origins(cls, options: DenoiseOptions) -> dict[str, str]:
        """Return that the noisy splits are copies of test."""
        return dict.fromkeys(NOISE_SPLITS, "test")

    @classmethod
    def versions(cls, options: DenoiseOptions) -> list[Any]:
        """Return the versions of this corpus and of the one whose lines it takes."""
        return [cls.version, options.part().versions()]

    @classmethod
    def inputs(cls, options: DenoiseOptions) -> dict[str, str]:
        """Return the sha256 of the other corpus's files."""
        return options.part().inputs("of")

    @classmethod
    def build(cls, options: DenoiseOptions) -> Corpus:
        """Build the other corpus, and take its lines."""
        part = options.part()
        corpus = part.build(f"of {part.name}")
        own = {"train": "train", "valid": "valid", "test": main_test_split(part.split_names())}
        lines, notes = _dealt(
            {name: _lines(corpus.splits[split], options.side) for name, split in own.items()}
        )
        links = bool(cls.annotations(options))
        clean = {name: _split(name, lines[name], corpus.vocabulary, links=links) for name in _ORDER}
        words = sorted({word for line in lines["train"] for word in line.split()})
        splits = [_corrupted(clean[name], options, corpus.vocabulary, words) for name in ("train", "valid")]
        splits += [clean["test"], *make_noisy_splits(clean["test"], corpus.vocabulary, words)]
        return assemble_corpus("denoise", corpus.vocabulary, splits, [*corpus.notes, *notes])


def _lines(split: Split, side: str) -> list[str]:
    """Return the lines of one side, or of both, pair by pair."""
    if side != "both":
        return split.sources if side == "source" else split.references
    return [line for pair in zip(split.sources, split.references, strict=True) for line in pair]


def _dealt(lines: dict[str, list[str]]) -> tuple[dict[str, list[str]], list[str]]:
    """Return the lines without blank ones and repetitions, none in two splits, and what there is to say of that.

    Raises:
        CorpusError: a split is left without lines.
    """
    seen: set[str] = set()
    kept, notes = {}, []
    for name in _ORDER:
        kept[name] = [line for line in dict.fromkeys(lines[name]) if line.strip() and line not in seen]
        seen.update(kept[name])
        if not kept[name]:
            raise CorpusError(f"denoise: every line of {name} is blank, or in another split as well")
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


def _corrupted(clean: Split, options: DenoiseOptions, vocabulary: Vocabulary, words: Sequence[str]) -> Split:
    """Return the split with noisy sources; as part of the task, it is not the copy of another split."""
    if options.noise == "none":
        return clean
    key = Key.of(0, "denoise", options.noise, clean.name)
    noisy = make_noisy_copy(clean, options.noise, options.percent, vocabulary, words, key)
    return replace(noisy, name=clean.name, origin=None, touched=None)
