"""The corpus `cue`: a word's sense depends on a cue at a known distance.

Every sentence has one ambiguous word with two senses and, at a known distance, one of two cues that decides
the sense. All other words are fillers with one translation each. The reach of windowed attention follows from
the windows alone, so the best possible accuracy on the ambiguous word is known for every distance: 1 within
reach and one half beyond. The word of target position t is at position t of the source. With encoder windows
of w positions to each side in L_e layers, decoder windows of v previous positions in L_d layers, and
cross-attention to the source positions from t - b to t + b, a cue d positions away reaches the ambiguous word
if and only if

- to its right: d <= b + L_e w, since the decoder has not read the cue's translation, and earlier
  decoder positions reach less far;
- to its left: d <= max(L_d v + 1, b + L_e w + (L_d - 1) v), since the translation of a cue is a decoder
  input one position later, and later layers carry on what cross-attention brings in at a layer.

Every sentence occurs twice, once with each cue. So the sense is independent of all other words, and a model
that does not see the cue is right on at most half of the ambiguous words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from maskbench.data.corpus import Corpus, CorpusBuilder, Ragged, Split, assemble_corpus, encode_split
from maskbench.data.generation.annotations import Links, annotate_split, copy_with_sources
from maskbench.data.generation.noise import NOISE_SPLITS, make_noisy_splits
from maskbench.data.generation.sampling import (
    MAX_PSEUDOWORDS,
    SPLITS,
    GeneratedOptions,
    fill_splits,
    generate_candidates,
    make_pseudowords,
)
from maskbench.data.generation.sentence_rng import SentenceRng
from maskbench.data.vocabulary import MASK, SPECIAL_NAMES, WordVocabulary
from maskbench.randomness import Key
from maskbench.registry import CORPORA

CUES: Final = (("hot", "heiss"), ("cold", "kalt"))
"""The two cues and their translations."""
TAGS: Final = ("end", "filler", "cue", "ambiguous")
HIDDEN_SPLITS: Final = {"hidden-cue-50": 2, "hidden-cue-100": 1}
"""Copies of test by name, with n: the cue is masked in every n-th sentence and its twin."""

_SLOT: Final = "?"
"""Placeholder of the cue in a frame."""

Frame: TypeAlias = tuple[str, int, int]
"""A source with a placeholder for its cue, the position of its ambiguous word, and the position of the
placeholder."""


class CueOptions(GeneratedOptions):
    """Options of `cue`."""

    pairs: int = Field(default=8_000, ge=1, le=200_000, description="training pairs, all different")
    direction: Literal["right", "left"] = Field(
        default="right", description="on which side of the ambiguous word its cue stands"
    )
    max_distance: int = Field(default=10, ge=1, le=100, description="greatest distance of a cue")
    min_length: int = Field(default=12, ge=2, le=1_000, description="words in the shortest sentence")
    max_length: int = Field(default=16, ge=2, le=1_000, description="words in the longest sentence")
    ambiguous: int = Field(default=8, ge=1, le=MAX_PSEUDOWORDS, description="different ambiguous words")
    fillers: int = Field(default=30, ge=1, le=MAX_PSEUDOWORDS, description="different fillers")

    @model_validator(mode="after")
    def _cues_fit(self) -> Self:
        if self.min_length > self.max_length:
            raise ValueError(f"min_length {self.min_length} is above max_length {self.max_length}")
        if self.max_distance >= self.min_length:
            raise ValueError(
                f"max_distance {self.max_distance} does not fit into a sentence of min_length {self.min_length}"
            )
        return self


@CORPORA.register("cue")
class CueCorpus(CorpusBuilder):
    """One ambiguous word and, at a known distance, the cue that decides its sense."""

    Options = CueOptions

    @classmethod
    def split_names(cls, options: CueOptions) -> list[str]:
        """Return the names of valid, test, a split for every distance, and the altered copies of test."""
        return ["valid", "test", *_distance_splits(options), *HIDDEN_SPLITS, *NOISE_SPLITS]

    @classmethod
    def annotations(cls, options: CueOptions) -> frozenset[str]:
        """Return all annotations but "junk", since there are no junk words."""
        return frozenset({"links", "deps", "tags"})

    @classmethod
    def tags(cls, options: CueOptions) -> tuple[str, ...]:
        """Return the names of the tags of target words."""
        return TAGS

    @classmethod
    def origins(cls, options: CueOptions) -> dict[str, str]:
        """Return "test" as the origin of the splits without cues and of the noisy splits."""
        return dict.fromkeys([*HIDDEN_SPLITS, *NOISE_SPLITS], "test")

    @classmethod
    def build(cls, options: CueOptions) -> Corpus:
        """Draw the sentences and return the corpus.

        Splits of one distance have as many pairs as test; none of their pairs can be in train.
        """
        language = _Language.of(options)
        sizes = options.sizes()
        frames = fill_splits(
            _frames(language, options), {name: -(-size // 2) for name, size in sizes.items()}
        )
        splits = [language.split(name, frames[name], sizes[name]) for name in SPLITS]
        for distance, name in enumerate(_distance_splits(options), 1):
            wanted = {"train": 0, "valid": 0, "test": -(-options.test // 2)}
            drawn = fill_splits(_frames(language, options, distance), wanted)["test"]
            splits.append(language.split(name, drawn, options.test))
        test = splits[SPLITS.index("test")]
        splits += [_without_cues(test, frames["test"], name, every) for name, every in HIDDEN_SPLITS.items()]
        # A replaced word becomes a filler, so that no sentence gets a second cue.
        splits += make_noisy_splits(test, language.vocabulary, list(language.fillers))
        note = "every sentence is there twice, once with each cue: without its cue, an ambiguous word is a coin toss"
        return assemble_corpus("cue", language.vocabulary, splits, [note], TAGS)


def _distance_splits(options: CueOptions) -> list[str]:
    return [f"distance-{distance}" for distance in range(1, options.max_distance + 1)]


def _frames(language: _Language, options: CueOptions, distance: int | None = None) -> Iterator[Frame]:
    """Yield frames endlessly, with the given cue distance; None: with every distance equally often."""
    key = Key.of(options.seed, "cue", *([] if distance is None else [str(distance)]))
    fillers, ambiguous = list(language.fillers), list(language.senses)

    def derive(rng: SentenceRng) -> Frame:
        length = options.min_length + rng.randbelow(options.max_length - options.min_length + 1)
        d = 1 + rng.randbelow(options.max_distance) if distance is None else distance
        first = rng.randbelow(length - d)
        place, slot = (first, first + d) if options.direction == "right" else (first + d, first)
        words = [rng.choice(fillers) for _ in range(length)]
        words[place], words[slot] = rng.choice(ambiguous), _SLOT
        return " ".join(words), place, slot

    return generate_candidates(key, options.max_length + 4, derive)


@dataclass(frozen=True)
class _Language:
    """The words of a corpus and their translations."""

    fillers: dict[str, str]
    senses: dict[str, tuple[str, str]]
    """For each ambiguous word, its translation under either cue."""
    vocabulary: WordVocabulary

    @classmethod
    def of(cls, options: CueOptions) -> _Language:
        """Return the language of a corpus with these options."""
        n, k = options.fillers, options.ambiguous
        fillers = dict(zip(make_pseudowords(n), make_pseudowords(n, "n"), strict=True))
        senses = zip(make_pseudowords(k, "xin"), make_pseudowords(k, "xur"), strict=True)
        ambiguous = dict(zip(make_pseudowords(k, "x"), senses, strict=True))
        sources = [*fillers, *ambiguous, *(cue for cue, _ in CUES)]
        targets = [
            *fillers.values(),
            *(t for both in ambiguous.values() for t in both),
            *(t for _, t in CUES),
        ]
        return cls(fillers, ambiguous, WordVocabulary([*sources, *targets]))

    def split(self, name: str, frames: Sequence[Frame], size: int) -> Split:
        """Return a split with every frame under both cues, cut to `size` pairs."""
        drawn = [(frame, value) for frame in frames for value in (0, 1)][:size]
        split = encode_split(name, [self._pair(frame, value) for frame, value in drawn], self.vocabulary)
        links = [[t * (len(row)) + t for t in range(len(row) - 1)] for row in split.src.rows()]
        deps = [_deps(row, frame) for row, (frame, _) in zip(links, drawn, strict=True)]
        tags = [_tags(len(row), frame) for row, (frame, _) in zip(links, drawn, strict=True)]
        return annotate_split(split, links, deps=deps, tags=tags)

    def _pair(self, frame: Frame, value: int) -> tuple[str, str]:
        text, place, slot = frame
        source = text.split()
        source[slot], cue = CUES[value]
        target = [self.fillers.get(word, cue) for word in source]
        target[place] = self.senses[source[place]][value]
        return " ".join(source), " ".join(target)


def _deps(links: Links, frame: Frame) -> Links:
    """Return what every target word depends on: its source word and, for the ambiguous word, also the cue."""
    _, place, slot = frame
    return sorted([*links, place * (len(links) + 1) + slot])


def _tags(length: int, frame: Frame) -> list[int]:
    _, place, slot = frame
    tags = [TAGS.index("filler")] * length
    tags[place], tags[slot] = TAGS.index("ambiguous"), TAGS.index("cue")
    return tags


def _without_cues(test: Split, frames: Sequence[Frame], name: str, every: int) -> Split:
    """Return a copy of test in which MASK replaces the cue of the frames 0, `every`, 2 `every`, ...

    Both sentences of a frame are altered, so the best possible accuracy on its ambiguous word is exactly one
    half.
    """
    sources, rows = [line.split() for line in test.sources], list(test.src.rows())
    for i, (words, row) in enumerate(zip(sources, rows, strict=True)):
        if i // 2 % every == 0:
            _, _, slot = frames[i // 2]
            words[slot], row[slot] = SPECIAL_NAMES[MASK], MASK
    places = [range(len(words)) for words in sources]
    return copy_with_sources(
        test, name, [" ".join(words) for words in sources], Ragged.from_rows(rows), places
    )
