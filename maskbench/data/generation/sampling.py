"""Options, disjoint splits from an endless stream of sentences, and pseudowords: what generated corpora share.

A sentence's split is decided by a hash of its source, so no source is ever in two splits, and what is in a split
depends on nothing but the seed: 2,000 training pairs are the first 2,000 of 20,000, and the test pairs are the same
for every size of training split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from maskbench.data.generation.sentence_rng import SentenceRng, sentence_rngs
from maskbench.errors import CorpusError
from maskbench.randomness import Key

Pair: TypeAlias = tuple[str, str]
"""A source sentence and its translation, words separated by single spaces."""

Drawn = TypeVar("Drawn", bound=tuple[Any, ...])
"""A pair, or a longer tuple that starts with one."""

SPLITS: Final = ("train", "valid", "test")

_SHARES: Final = ("test", "valid", "train", "train", "train", "train", "train", "train")
"""Which split the eight equally likely hash values lead to."""

_FIRST_BLOCK: Final = 256
_BLOCK: Final = 4096
"""Random words are drawn for so many sentences at once: few at first, because few may be wanted."""
_MAX_MISSES: Final = 200_000
"""A search ends after this many sentences in a row that are known already or not wanted."""


class SearchBudget:
    """Ends a search in an endless stream after too many misses in a row."""

    def __init__(self, complaint: Callable[[], str]) -> None:
        """Prepare; `complaint` returns the message of the error."""
        self._complaint = complaint
        self._idle = 0

    def record(self, *, found: bool) -> None:
        """Count a sentence, `found` if it was a new one that is wanted.

        Raises:
            CorpusError: there was none for too long.
        """
        self._idle = 0 if found else self._idle + 1
        if self._idle > _MAX_MISSES:
            raise CorpusError(self._complaint())


class GeneratedOptions(BaseModel):
    """Options of every generated corpus."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    pairs: int = Field(default=20_000, ge=1, le=200_000, description="training pairs, all different")
    seed: int = Field(default=0, ge=0, description="which sentences are drawn")
    valid: int = Field(default=1_000, ge=1, le=10_000, description="validation pairs")
    test: int = Field(default=1_000, ge=1, le=10_000, description="test pairs")

    def sizes(self) -> dict[str, int]:
        """Return how many pairs every split gets."""
        return {"train": self.pairs, "valid": self.valid, "test": self.test}


def generate_candidates(key: Key, n_words: int, derive: Callable[[SentenceRng], Drawn]) -> Iterator[Drawn]:
    """Yield `derive` of sentence 0, 1, 2, ... without end; each has `n_words` random words of its own."""
    first, block = 0, _FIRST_BLOCK
    while True:
        for rng in sentence_rngs(key, first, block, n_words):
            yield derive(rng)
        first, block = first + block, min(2 * block, _BLOCK)


def fill_splits(stream: Iterator[Drawn], sizes: Mapping[str, int]) -> dict[str, list[Drawn]]:
    """Assign the different pairs of `stream` to the splits until each has its size.

    Raises:
        CorpusError: the stream repeats itself and the splits cannot be filled.
    """
    splits: dict[str, list[Drawn]] = {name: [] for name in SPLITS}
    seen: set[str] = set()
    budget = SearchBudget(lambda: _exhausted(splits, sizes))
    missing = sum(sizes.values())
    while missing:
        pair = next(stream)
        name = _SHARES[hashlib.blake2b(pair[0].encode("utf-8"), digest_size=1).digest()[0] % len(_SHARES)]
        is_wanted = len(splits[name]) < sizes[name] and pair[0] not in seen
        budget.record(found=is_wanted)
        if is_wanted:
            seen.add(pair[0])
            splits[name].append(pair)
            missing -= 1
    return splits


def too_few_message(found: int, wanted: int, name: str) -> str:
    """Return the error message about a test split for which there are not enough sentences."""
    return (
        f"the corpus has too few different sentences for {name}: found {found:,} of {wanted:,}; ask for fewer test pairs"
        " or allow longer sentences"
    )


def _exhausted(splits: Mapping[str, list[Drawn]], sizes: Mapping[str, int]) -> str:
    short = ", ".join(
        f"{len(splits[name])} of {sizes[name]} pairs for {name}"
        for name in SPLITS
        if len(splits[name]) < sizes[name]
    )
    return (
        f"the corpus has too few different sentences: found {short}; three quarters of all sentences go to train and"
        " an eighth each to valid and test, so ask for fewer pairs or allow longer sentences"
    )


_SYLLABLES: Final = ("ba", "de", "fi", "go", "ku", "la", "me", "ni", "po", "ru", "sa", "ti")

MAX_PSEUDOWORDS: Final = len(_SYLLABLES) ** 2
"""How many words there are of one ending."""


def make_pseudowords(count: int, ending: str = "") -> list[str]:
    """Return `count` different words of two syllables and `ending`, the same ones first for every count.

    Args:
        count: in [0, `MAX_PSEUDOWORDS`].
        ending: words with endings that are no syllables, such as "n", differ from those with another ending.
    """
    n = len(_SYLLABLES)
    return [_SYLLABLES[i % n] + _SYLLABLES[(i % n + i // n + 1) % n] + ending for i in range(count)]
