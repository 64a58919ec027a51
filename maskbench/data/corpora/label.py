"""The corpus `label`: text classification as translation into one word.

A source is a review: opinions among neutral words. An opinion is a good or a bad word; `not` before it
negates it. The label is that of the majority, and the number of opinions is odd, so the best possible
accuracy is 1. Both labels are equally likely for every length and number of opinions. A model that reads
single words instead of pairs fails where `not` decides; a model that does not see the whole text fails where
the opinions are far apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, Self, TypeAlias

from pydantic import Field, model_validator

from maskbench.data.corpus import Corpus, CorpusBuilder, Ragged, Split, assemble_corpus, encode_split
from maskbench.data.generation.annotations import annotate_split
from maskbench.data.generation.noise import NOISE_SPLITS, make_noisy_splits
from maskbench.data.generation.sampling import SPLITS, GeneratedOptions, fill_splits, generate_candidates
from maskbench.data.generation.sentence_rng import SentenceRng
from maskbench.data.vocabulary import WordVocabulary
from maskbench.randomness import Key
from maskbench.registry import CORPORA

GOOD: Final = ("good", "great", "fine", "lovely", "clever", "funny", "warm", "fresh")
BAD: Final = ("bad", "awful", "poor", "ugly", "silly", "boring", "cold", "stale")
NOT: Final = "not"
# fmt: off
NEUTRAL: Final = (
    "the", "a", "this", "that", "it", "is", "was", "and", "with", "of", "film",
    "book", "play", "story", "actor", "scene", "plot", "cast", "music", "ending", "screen", "page",
)
# fmt: on
LABELS: Final = ("negative", "positive")
TAGS: Final = ("end", *LABELS)

Review: TypeAlias = tuple[str, str, list[int]]
"""A source, its label, and the source positions of the words that decide the label."""


class LabelOptions(GeneratedOptions):
    """Options of `label`."""

    min_length: int = Field(default=6, ge=1, le=1_000, description="words in the shortest review")
    max_length: int = Field(default=20, ge=1, le=1_000, description="words in the longest review")
    opinions: int = Field(default=5, ge=1, le=99, description="most opinions in a review; an odd number")
    negation: float = Field(default=0.3, ge=0, le=1, description="share of opinions that are turned around")

    @model_validator(mode="after")
    def _opinions_fit(self) -> Self:
        if self.min_length > self.max_length:
            raise ValueError(f"min_length {self.min_length} is above max_length {self.max_length}")
        if self.opinions % 2 == 0:
            raise ValueError(f"opinions {self.opinions} must be an odd number, so that one side wins")
        if 2 * self.opinions > self.max_length:
            raise ValueError(
                f"opinions {self.opinions} may take two words each, more than max_length {self.max_length}"
            )
        return self


@CORPORA.register("label")
class LabelCorpus(CorpusBuilder):
    """Whether a review says more good or more bad things."""

    Options = LabelOptions

    @classmethod
    def split_names(cls, options: LabelOptions) -> list[str]:
        """Return the names of valid, test, a split per number of opinions, and the noisy copies of test."""
        return ["valid", "test", *_opinion_splits(options), *NOISE_SPLITS]

    @classmethod
    def annotations(cls, options: LabelOptions) -> frozenset[str]:
        """Return all annotations; the label is linked to the words that decide it."""
        return frozenset({"junk", "links", "deps", "tags"})

    @classmethod
    def tags(cls, options: LabelOptions) -> tuple[str, ...]:
        """Return the names of the tags of target words: the end mark and both labels."""
        return TAGS

    @classmethod
    def origins(cls, options: LabelOptions) -> dict[str, str]:
        """Return "test" as the origin of every noisy split."""
        return dict.fromkeys(NOISE_SPLITS, "test")

    @classmethod
    def build(cls, options: LabelOptions) -> Corpus:
        """Draw the reviews and return the corpus.

        Splits of one number of opinions have as many pairs as test; none of their pairs can be in train.
        """
        vocabulary = WordVocabulary([*NEUTRAL, NOT, *GOOD, *BAD, *LABELS])
        drawn = fill_splits(_reviews(options), options.sizes())
        splits = [_split(name, drawn[name], vocabulary) for name in SPLITS]
        for name, count in _opinion_splits(options).items():
            drawn = fill_splits(_reviews(options, count), {"train": 0, "valid": 0, "test": options.test})
            splits.append(_split(name, drawn["test"], vocabulary))
        # A replaced word becomes a neutral one, so that noise removes opinions and never adds any.
        noisy = make_noisy_splits(splits[SPLITS.index("test")], vocabulary, NEUTRAL)
        return assemble_corpus("label", vocabulary, [*splits, *noisy], tags=TAGS)


def _opinion_splits(options: LabelOptions) -> dict[str, int]:
    return {f"opinions-{n}": n for n in range(1, options.opinions + 1, 2)}


def _reviews(options: LabelOptions, opinions: int | None = None) -> Iterator[Review]:
    """Yield reviews endlessly, with the given number of opinions; None: every odd number equally often."""
    key = Key.of(options.seed, "label", *([] if opinions is None else [opinions]))
    most = options.opinions

    def derive(rng: SentenceRng) -> Review:
        n = 1 + 2 * rng.randbelow((most + 1) // 2) if opinions is None else opinions
        length = options.min_length + rng.randbelow(options.max_length - options.min_length + 1)
        said = [_opinion(rng, options.negation) for _ in range(n)]
        # If the opinions alone reach the length, there are no neutral words.
        free = max(0, length - sum(len(words) for words, _ in said))
        parts = rng.shuffled([*said, *(([rng.choice(NEUTRAL)], 0) for _ in range(free))])
        return _review(parts)

    return generate_candidates(key, 2 + 3 * most + 2 * options.max_length, derive)


def _opinion(rng: SentenceRng, negation: float) -> tuple[list[str], int]:
    """Return the words of an opinion, and 1 if it is good or -1 if it is bad."""
    good, turned = rng.chance(0.5), rng.chance(negation)
    word = rng.choice(GOOD if good else BAD)
    return [NOT, word] if turned else [word], 1 if good != turned else -1


def _review(parts: Sequence[tuple[list[str], int]]) -> Review:
    """Return the review of these opinions (worth 1 or -1) and neutral words (worth 0), in this order."""
    source: list[str] = []
    deciding: list[int] = []
    for words, worth in parts:
        deciding += range(len(source), len(source) + abs(worth) * len(words))
        source += words
    return " ".join(source), LABELS[sum(worth for _, worth in parts) > 0], deciding


def _split(name: str, drawn: Sequence[Review], vocabulary: WordVocabulary) -> Split:
    split = encode_split(name, [(source, label) for source, label, _ in drawn], vocabulary)
    # With one target word, the number of a link is the position in the source.
    links, tags = [deciding for _, _, deciding in drawn], [[TAGS.index(label)] for _, label, _ in drawn]
    junk = [
        [int(s not in deciding) for s in range(source.count(" ") + 1)] + [0] for source, _, deciding in drawn
    ]
    return replace(annotate_split(split, links, tags=tags), junk=Ragged.from_rows(junk))
