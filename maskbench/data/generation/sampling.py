"""Code shared by generated corpora: options, disjoint splits from an endless stream, and pseudowords.

A hash of the source decides the split of a sentence, so no source is in two splits, and the sequence of a
split's pairs depends only on the seed: 2,000 training pairs are the first 2,000 of 20,000, and the test pairs
are the same for every size of the training split.
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
"""The split for each of eight equally likely hash values."""

_FIRST_BLOCK: Final = 256
_BLOCK: Final = 4096
"""Maximum number of sentences whose random numbers are drawn at once; it starts at `_FIRST_BLOCK` and
doubles, because few sentences may be wanted."""
_MAX_MISSES: Final = 200_000
"""A search fails after more than this many unusable sentences in a row (repeated or not wanted)."""


class SearchBudget:
    """Raises an error after too many misses in a row, to end a search in an endless stream."""

    def __init__(self, complaint: Callable[[], str]) -> None:
        """Start without misses; `complaint` returns the message of the error."""
        self._complaint = complaint
        self._idle = 0

    def record(self, *, found: bool) -> None:
        """Count a sentence; `found`: it is new and wanted, which resets the count of misses.

        Raises:
            CorpusError: more than `_MAX_MISSES` misses in a row.
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
        """Return the number of pairs of every split by its name."""
        return {"train": self.pairs, "valid": self.valid, "test": self.test}


def generate_candidates(key: Key, n_words: int, derive: Callable[[SentenceRng], Drawn]) -> Iterator[Drawn]:
    """Yield `derive` of sentence 0, 1, 2, ... endlessly; each has its own `n_words` random numbers."""
    first, block = 0, _FIRST_BLOCK
    while True:
        for rng in sentence_rngs(key, first, block, n_words):
            yield derive(rng)
        first, block = first + block, min(2 * block, _BLOCK)


def fill_splits(stream: Iterator[Drawn], sizes: Mapping[str, int]) -> dict[str, list[Drawn]]:
    """Assign pairs of `stream` with different sources to the splits until each has its size.

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
    """Return the error message for a test split with too few sentences."""
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
"""Number of different pseudowords with one ending."""


def make_pseudowords(count: int, ending: str = "") -> list[str]:
    """Return `count` different words of two syllables and `ending`, a prefix of a fixed sequence.

    Args:
        count: in [0, `MAX_PSEUDOWORDS`].
        ending: appended to every word; endings that are no syllables, such as "n", give disjoint sets of
            words.
    """
    n = len(_SYLLABLES)
    return [_SYLLABLES[i % n] + _SYLLABLES[(i % n + i // n + 1) % n] + ending for i in range(count)]
