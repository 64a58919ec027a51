"""How many sentences the splits of a corpus have in common: counted once when the corpus is built, then only read.

`maskbench.data.sameness` says when two sentences are the same, and counts. The counts are plain data, so run.json
holds them, and tables and reports read them where the corpus is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from maskbench.text import count_of


@dataclass(frozen=True, slots=True)
class SplitOrigin:
    """The size of a split, and the splits that it is made of."""

    pairs: int
    origin: str | None = None
    """The split that it is an altered copy of; None: it is no copy."""
    parts: tuple[str, ...] = ()
    """The splits whose pairs it holds, one after another; empty: its pairs are its own."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """How many sentences of one split are also in another one.

    Where both names are equal, the counts are of sentences that an earlier line of the split has as well.
    """

    split: str
    other: str
    sources: int = 0
    """Pairs of `split` whose source is also a source of `other`."""
    targets: int = 0
    """Pairs of `split` whose target is also a target of `other`."""
    pairs: int = 0
    """Pairs of `split` that are also pairs of `other`, both sides at once."""
    unknown_sources: int = 0
    """Of `sources`: those whose words differ, and only the model reads them alike, since it does not know them."""
    unknown_pairs: int = 0
    """Of `pairs`: those of which the words of a side differ, and only the model reads it alike."""

    def __bool__(self) -> bool:
        return bool(self.sources or self.targets or self.pairs)


@dataclass(frozen=True, slots=True)
class SplitOverlaps:
    """What any two splits of a corpus have in common."""

    splits: Mapping[str, SplitOrigin] = field(default_factory=dict)
    """Every split by its name, in the order of the corpus."""
    counts: tuple[Overlap, ...] = ()
    """The overlaps that are not 0, in the order of the splits; without those of an altered copy with its origin or
    with another copy of it, which are the same sentences by construction."""

    def between(self, split: str, other: str) -> Overlap:
        """Return how many sentences of `split` are also in `other`; all 0 if none is, or if nothing is known."""
        found = (one for one in self.counts if (one.split, one.other) == (split, other))
        return next(found, Overlap(split, other))

    def repeated(self, split: str) -> Overlap:
        """Return how many sentences of `split` an earlier line of it has as well."""
        return self.between(split, split)

    def clean(self, split: str) -> str:
        """Return the split that `split` is an altered copy of, or `split` itself."""
        known = self.splits.get(split)
        return known.origin if known is not None and known.origin is not None else split

    def own_sentences(self, split: str) -> frozenset[str]:
        """Return the names of the splits that no other is the origin or a part of, and whose sentences `split` holds."""
        known = self.splits.get(self.clean(split), SplitOrigin(0))
        return frozenset(known.parts) or frozenset({self.clean(split)})

    def is_by_construction(self, split: str, other: str) -> bool:
        """Return whether two different splits share sentences because one is made of the other, or both of a third."""
        return split != other and bool(self.own_sentences(split) & self.own_sentences(other))

    def shown(self) -> Iterator[Overlap]:
        """Yield the overlaps that tell something: without targets alone of a copy, which are those of its origin."""
        for one in self.counts:
            is_copy = self.clean(one.split) != one.split or self.clean(one.other) != one.other
            if one.split != one.other and (one.sources or not is_copy):
                yield one

    def sentences(self) -> Iterator[str]:
        """Yield a sentence for any two splits that have sentences in common, the later one against the earlier one.

        Left out are copies and splits that another one holds, since what holds of them follows; targets where most
        training targets repeat, since these are answers and not sentences; and, between two splits of which none is
        train, targets alone and sentences that only the model reads alike.
        """
        parts = {part for known in self.splits.values() for part in known.parts}
        names = [name for name, known in self.splits.items() if known.origin is None and name not in parts]
        for place, split in enumerate(names):
            for other in names[:place]:
                if sentence := self._sentence(self.between(split, other)):
                    yield sentence

    def _sentence(self, one: Overlap) -> str:
        if one.other != "train" and one.pairs == one.unknown_pairs and one.sources == one.unknown_sources:
            return ""
        train = self.splits.get("train", SplitOrigin(0))
        have_answers = 2 * self.repeated("train").targets > train.pairs
        targets = 0 if have_answers else one.targets
        pairs, place = self.splits[one.split].pairs, f"of {one.split} are also in {one.other}"
        more = {
            "source with another target": one.sources - one.pairs,
            "target with another source": targets - one.pairs,
        }
        if one.pairs:
            start = f"{one.pairs} of {count_of(pairs, 'pair')} {place}{_how(one.pairs, one.unknown_pairs)}"
        elif one.sources:
            how = _how(one.sources, one.unknown_sources)
            start = f"{one.sources} of {count_of(pairs, 'source')} {place}{how}, with another target"
            more.pop("source with another target")
        elif targets:
            return f"{targets} of {count_of(pairs, 'target')} {place}, with another source"
        else:
            return ""
        return start + "".join(
            f"; {n} more {words.replace(' ', 's ', 1) if n > 1 else words}"
            for words, n in more.items()
            if n > 0
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain data, from which `from_json` makes an equal object; counts of 0 are left out."""
        return {
            "splits": {
                name: {key: value for key, value in asdict(known).items() if value or key == "pairs"}
                for name, known in self.splits.items()
            },
            "overlaps": [{key: value for key, value in asdict(one).items() if value} for one in self.counts],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SplitOverlaps:
        """Return the overlaps that `to_json` wrote.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: the data is damaged.
        """
        splits = {
            str(name): SplitOrigin(
                pairs=_count(known["pairs"]),
                origin=None if known.get("origin") is None else str(known["origin"]),
                parts=tuple(map(str, known.get("parts", ()))),
            )
            for name, known in data["splits"].items()
        }
        numbers = [one.name for one in fields(Overlap) if one.name not in ("split", "other")]
        counts = [
            Overlap(str(one["split"]), str(one["other"]), *(_count(one.get(key, 0)) for key in numbers))
            for one in data["overlaps"]
        ]
        return cls(splits, _known(counts, splits))


def _known(counts: Iterable[Overlap], splits: Mapping[str, SplitOrigin]) -> tuple[Overlap, ...]:
    counts = tuple(counts)
    for one in counts:
        if not {one.split, one.other} <= splits.keys():
            raise ValueError(f"there is no split {one.split} or no split {one.other}")
    return counts


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} stands where a count should")
    return value


def _how(count: int, unknown: int) -> str:
    """Return how many of the sentences a person reads alike, and how many only the model."""
    read = "as the model reads them, which does not know the words in which they differ"
    if not unknown:
        return ", word for word"
    return f" {read}" if unknown == count else f": {count - unknown} word for word, {unknown} {read}"
