"""The corpus `cue`: what its sentences are, read back from their text, and that nothing but the cue tells the sense."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import pytest
from pydantic import ValidationError

from maskbench.data.corpora.cue import CueCorpus
from maskbench.data.corpus import Corpus, Split
from maskbench.data.generation.noise import NOISE_SPLITS
from maskbench.data.vocabulary import MASK

TAG = {"end": 0, "filler": 1, "cue": 2, "ambiguous": 3}
SMALL: dict[str, Any] = {"max_distance": 3, "min_length": 4, "max_length": 6, "ambiguous": 3, "fillers": 6}
OPTIONS: list[dict[str, Any]] = [{}, {"direction": "left"}, SMALL, {**SMALL, "direction": "left"}]
EVERY = pytest.mark.parametrize("options", OPTIONS, ids=["right", "left", "short-right", "short-left"])


@cache
def _built(options: tuple[tuple[str, Any], ...]) -> Corpus:
    return CueCorpus.build(
        CueCorpus.Options.model_validate({"pairs": 601, "valid": 31, "test": 85, **dict(options)})
    )


def build(options: dict[str, Any]) -> Corpus:
    """Build a corpus of odd sizes, once for all tests."""
    return _built(tuple(sorted(options.items())))


def places(source: str) -> tuple[int, int]:
    """Where the one ambiguous word and the one cue of a source stand."""
    words = source.split()
    (ambiguous,) = (i for i, word in enumerate(words) if word.endswith("x"))
    (cue,) = (i for i, word in enumerate(words) if word in ("hot", "cold"))
    return ambiguous, cue


def translated(source: str) -> str:
    """The translation of a source, by its spelling."""
    ending = "in" if "hot" in source.split() else "ur"
    words = {"hot": "heiss", "cold": "kalt"}
    return " ".join(words.get(w) or (w + ending if w.endswith("x") else w + "n") for w in source.split())


@EVERY
def test_sentences_are_what_they_should_be(options: dict[str, Any]) -> None:
    corpus, side = build(options), -1 if "direction" in options else 1
    shortest, longest, furthest = (4, 6, 3) if "fillers" in options else (12, 16, 10)
    clean = {name: split for name, split in corpus.splits.items() if split.origin is None}
    assert list(clean) == ["train", "valid", "test", *(f"distance-{d}" for d in range(1, furthest + 1))]
    for name, split in clean.items():
        assert split.links is not None and split.deps is not None and split.tags is not None
        wanted = [int(name[9:])] if name.startswith("distance") else range(1, furthest + 1)
        for i, source in enumerate(split.sources):
            n, (ambiguous, cue) = len(source.split()), places(source)
            assert shortest <= n <= longest and side * (cue - ambiguous) in wanted
            assert split.references[i] == translated(source)
            diagonal = [(t, t) for t in range(n + 1)]
            assert split.links[i].tolist() == [t * (n + 1) + s for t, s in diagonal]
            hanging = sorted({*diagonal, (ambiguous, cue), *((n, s) for s in range(n + 1))})
            assert split.deps[i].tolist() == [t * (n + 1) + s for t, s in hanging]
            kinds = {ambiguous: "ambiguous", cue: "cue", n: "end"}
            assert split.tags[i].tolist() == [TAG[kinds.get(t, "filler")] for t in range(n + 1)]


@EVERY
def test_every_sentence_is_there_with_both_cues(options: dict[str, Any]) -> None:
    for split in build(options).splits.values():
        if split.origin is None:
            for first, second in zip(split.sources[::2], split.sources[1::2], strict=False):
                assert "hot" in first.split() and first.replace("hot", "cold") == second


def test_sizes_are_those_asked_for_even_where_a_twin_is_left_over() -> None:
    splits = build(SMALL).splits
    assert [len(splits[name]) for name in ("train", "valid", "test", "distance-2")] == [601, 31, 85, 85]


@EVERY
def test_no_frame_is_shared_with_what_is_trained_on(options: dict[str, Any]) -> None:
    def frames(split: Split) -> set[str]:
        return {source.replace("hot", "cold") for source in split.sources}

    splits = [split for split in build(options).splits.values() if split.origin is None]
    assert [split.name for split in splits if frames(split) & frames(splits[0])] == ["train"]
    assert not frames(splits[1]) & frames(splits[2])
    assert all(len(frames(split)) == (len(split) + 1) // 2 for split in splits)


@pytest.mark.parametrize("direction", ["right", "left"])
def test_distances_places_and_words_are_drawn_evenly(direction: str) -> None:
    options = CueCorpus.Options(
        direction=direction, pairs=6_000, valid=2, test=2, max_distance=5, min_length=8, max_length=9
    )
    split = CueCorpus.build(options).splits["train"]
    distance, length, word, first = Counter[int](), Counter[int](), Counter[str](), Counter[int]()
    for source in split.sources[::2]:
        ambiguous, cue = places(source)
        words = source.split()
        distance[abs(cue - ambiguous)] += 1
        length[len(words)] += 1
        word[words[ambiguous]] += 1
        if abs(cue - ambiguous) == 3 and len(words) == 9:
            first[min(ambiguous, cue)] += 1
    for counts, kinds in ((distance, 5), (length, 2), (word, 8), (first, 6)):
        even = counts.total() / kinds
        assert len(counts) == kinds
        assert all(abs(count - even) < 4.5 * even**0.5 for count in counts.values())


@pytest.mark.parametrize(("name", "every"), [("hidden-cue-50", 2), ("hidden-cue-100", 1)])
def test_hidden_cues_are_the_mask_token_in_every_nth_pair_of_twins(name: str, every: int) -> None:
    corpus = build({})
    hidden, test = corpus.splits[name], corpus.splits["test"]
    assert hidden.touched is not None and hidden.references == test.references and hidden.origin == "test"
    for i, source in enumerate(test.sources):
        ambiguous, cue = places(source)
        words, touched = source.split(), hidden.touched[i].tolist()
        row = test.src[i].tolist()
        if (i // 2) % every == 0:
            words[cue], row[cue] = "<mask>", MASK
            assert [t for t, mark in enumerate(touched) if mark] == [*sorted([ambiguous, cue]), len(words)]
        else:
            assert not any(touched)
        assert hidden.sources[i] == " ".join(words) and hidden.src[i].tolist() == row


def test_noise_never_makes_a_second_cue_or_a_second_ambiguous_word() -> None:
    splits = build({}).splits
    for name in NOISE_SPLITS:
        for source in splits[name].sources:
            words = source.split()
            assert sum(word in ("hot", "cold") for word in words) <= 1
            assert sum(word.endswith("x") for word in words) <= 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"max_distance": 12}, "max_distance 12 does not fit into a sentence of min_length 12"),
        ({"min_length": 17}, "min_length 17 is above max_length 16"),
        ({"direction": "up"}, "right"),
    ],
)
def test_options_that_make_no_corpus_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        CueCorpus.Options.model_validate(options)
