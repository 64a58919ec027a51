"""Copies of a split with meaningless words in the sources, to measure their effect on a model.

In `toydeen` every noun follows its determiner or an adjective. A noun inserted anywhere else is junk by that
rule: it can be told from the others, and the reference stays the right translation. Like noise, the
distractors of a test split depend on no seed, and the first k words inserted into a sentence are the same for
every number of words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from maskbench.data.corpus import Ragged, Split
from maskbench.data.generation.annotations import INSERTED, copy_with_sources
from maskbench.data.generation.sentence_rng import SentenceRng, sentence_rngs
from maskbench.data.vocabulary import EOS, Vocabulary
from maskbench.randomness import Key

DISTRACTOR_COUNTS: Final = (1, 2, 4, 8)
DISTRACT_SPLITS: Final = tuple(f"distract-{count}" for count in DISTRACTOR_COUNTS)
"""Names of the distracted copies of the test split: `distract-<number of inserted words>`."""


class Distractor:
    """Inserts junk words into sources."""

    def __init__(self, junk: Sequence[str], openers: Iterable[str], vocabulary: Vocabulary) -> None:
        """Set the words to insert and where they may stand.

        Args:
            junk: the words to draw from, all equally likely.
            openers: words after which none is inserted, because it would belong to them.
            vocabulary: contains every word.
        """
        self._junk = list(junk)
        self._openers = frozenset(openers)
        self._vocabulary = vocabulary

    def copies(self, clean: Split) -> list[Split]:
        """Return every distracted copy of a test split."""
        key = Key.of(0, "distract")
        return [self.copy(clean, f"distract-{count}", count, key) for count in DISTRACTOR_COUNTS]

    def copy(self, clean: Split, name: str, count: int, key: Key) -> Split:
        """Return a copy of `clean` with `count` words inserted into every source."""
        lines = [line.split() for line in clean.sources]
        altered = [
            self._insert(words, count, rng)
            for words, rng in zip(lines, sentence_rngs(key, 0, len(lines), 2 * count), strict=True)
        ]
        sources = [" ".join(word for word, _ in row) for row in altered]
        src = Ragged.from_rows([[*ids, EOS] for ids in self._vocabulary.encode_all(sources)])
        return copy_with_sources(clean, name, sources, src, [[place for _, place in row] for row in altered])

    def _insert(self, words: list[str], count: int, rng: SentenceRng) -> list[tuple[str, int]]:
        """Return the words with `count` more inserted, each with its original position."""
        gaps = [i for i in range(len(words) + 1) if i == 0 or words[i - 1] not in self._openers]
        inserted: dict[int, list[str]] = {}
        for _ in range(count):
            inserted.setdefault(rng.choice(gaps), []).append(rng.choice(self._junk))
        out: list[tuple[str, int]] = []
        for place, word in enumerate([*words, ""]):
            out += [(junk, INSERTED) for junk in inserted.get(place, ())]
            out.append((word, place))
        return out[:-1]
