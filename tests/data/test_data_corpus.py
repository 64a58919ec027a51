"""Ragged arrays, the corpus's hash, and what every generated corpus promises."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import maskbench.data
from maskbench.data.corpora.copying import CopyCorpus, CopyingOptions, ReverseCorpus
from maskbench.data.corpora.toydeen.corpus import ToydeenCorpus, ToydeenOptions
from maskbench.data.corpus import Corpus, CorpusBuilder, Ragged, assemble_corpus, encode_split
from maskbench.data.generation.annotations import annotate_split
from maskbench.data.generation.distractors import DISTRACT_SPLITS
from maskbench.data.generation.noise import NOISE_SPLITS
from maskbench.data.vocabulary import EOS, UNK, WordVocabulary
from maskbench.errors import CorpusError
from maskbench.registry import CORPORA

WORDS = WordVocabulary(["a", "b", "c"])
SMALL = {"pairs": 120, "valid": 13, "test": 17}


def build(name: str, **options: int) -> Corpus:
    builder: type[CorpusBuilder] = CORPORA.lookup(name)
    return builder.build(builder.Options.model_validate({**SMALL, **options}))


GENERATED = pytest.mark.parametrize("name", ["toydeen", "copy", "reverse"])


@given(st.lists(st.lists(st.integers(0, 9), max_size=5), max_size=7))
def test_ragged_rows_come_back(rows: list[list[int]]) -> None:
    ragged = Ragged.from_rows(rows)
    assert [ragged[i].tolist() for i in range(len(ragged))] == rows
    assert ragged.lengths.tolist() == [len(row) for row in rows]
    assert list(ragged.rows()) == rows
    assert ragged.values.dtype == np.int32 and ragged.offsets.dtype == np.int64


@pytest.mark.parametrize("index", [-1, 2])
def test_there_is_no_row_outside_a_ragged_array(index: int) -> None:
    with pytest.raises(IndexError, match="outside"):
        Ragged.from_rows([[1], [2, 3]])[index]


def test_a_split_ends_every_side_with_its_end_mark_and_keeps_raw_lines() -> None:
    split = encode_split("test", [("a  zebra", "b"), ("", "c a")], WORDS)
    assert [split.src[i].tolist() for i in range(2)] == [[5, UNK, EOS], [EOS]]
    assert [split.tgt[i].tolist() for i in range(2)] == [[6, EOS], [7, 5, EOS]]
    assert (split.sources, split.references) == (["a  zebra", ""], ["b", "c a"])


def test_the_longest_sequence_counts_its_end_mark() -> None:
    assert assemble_corpus("x", WORDS, [encode_split("test", [("a", "b c a")], WORDS)]).max_length == 4


CHANGES: list[tuple[str, WordVocabulary, list[tuple[str, str]]]] = [
    ("test", WORDS, [("a b", "c")]),
    ("test", WORDS, [("a", "b c")]),
    ("test", WORDS, [("a", "zebra")]),
    ("test", WORDS, [("a", "lion")]),
    ("other", WORDS, [("a", "c")]),
    ("test", WordVocabulary(["a", "c", "b"]), [("a", "c")]),
    ("test", WORDS, [("a", "c"), ("a", "c")]),
]


def test_everything_that_can_change_a_number_changes_the_hash() -> None:
    corpora = [
        assemble_corpus("x", words, [encode_split(name, pairs, words)]) for name, words, pairs in CHANGES
    ]
    assert len({corpus.sha256 for corpus in corpora}) == len(CHANGES)


def test_every_corpus_is_registered_by_importing_the_package() -> None:
    assert {"copy", "files", "reverse", "toydeen"} <= set(CORPORA.names())
    assert CORPORA.lookup("toydeen") is maskbench.data.ToydeenCorpus


@GENERATED
def test_a_generated_corpus_has_the_sizes_asked_for_and_every_split_it_names(name: str) -> None:
    corpus = build(name)
    builder = CORPORA.lookup(name)
    assert {split: len(corpus.splits[split]) for split in ("train", "valid", "test")} == {
        "train": 120,
        "valid": 13,
        "test": 17,
    }
    own: tuple[str, ...] = ()
    if name == "toydeen":
        own = ("long-1", "long-2", "long-3", "novel", "minimal", *DISTRACT_SPLITS)
    assert sorted(builder.split_names(builder.Options())) == sorted(["valid", "test", *NOISE_SPLITS, *own])
    assert set(corpus.splits) == {"train", "valid", "test", *NOISE_SPLITS, *own}


@GENERATED
def test_no_sentence_is_in_two_splits_or_twice_in_one(name: str) -> None:
    corpus = build(name, pairs=2000, valid=200, test=200)
    sources = [source for split in ("train", "valid", "test") for source in corpus.splits[split].sources]
    assert len(set(sources)) == len(sources) == 2400


@GENERATED
def test_a_small_training_split_is_the_start_of_a_large_one(name: str) -> None:
    small, large = build(name), build(name, pairs=700)
    assert large.splits["train"].sources[:120] == small.splits["train"].sources
    for split in ("valid", "test", *NOISE_SPLITS):
        assert large.splits[split].sources == small.splits[split].sources
        assert large.splits[split].src.values.tolist() == small.splits[split].src.values.tolist()
    assert large.vocabulary.to_json() == small.vocabulary.to_json()


@GENERATED
def test_a_corpus_is_a_function_of_its_options(name: str) -> None:
    assert build(name).sha256 == build(name).sha256


@GENERATED
def test_another_seed_gives_other_sentences_but_no_test_sentence_of_any_seed_is_trained_on(name: str) -> None:
    first, second = build(name, pairs=500), build(name, seed=1, pairs=500)
    assert len(set(first.splits["train"].sources) & set(second.splits["train"].sources)) < 100
    assert not set(first.splits["test"].sources) & set(second.splits["train"].sources)


@GENERATED
def test_the_vocabulary_of_a_generated_corpus_knows_every_word(name: str) -> None:
    corpus = build(name)
    for split in corpus.splits.values():
        assert UNK not in split.src.values and UNK not in split.tgt.values


def test_copy_repeats_and_reverse_turns_around_the_same_sequences() -> None:
    copied, reversed_ = build("copy").splits["train"], build("reverse").splits["train"]
    assert copied.sources == reversed_.sources == copied.references
    assert [line.split()[::-1] for line in reversed_.sources] == [
        line.split() for line in reversed_.references
    ]


def test_copy_keeps_to_its_lengths_and_symbols() -> None:
    train = build("copy", symbols=7, min_length=4, max_length=9).splits["train"]
    assert {len(line.split()) for line in train.sources} == set(range(4, 10))
    assert {word for line in train.sources for word in line.split()} == {f"s{i}" for i in range(7)}


def test_a_corpus_with_too_few_different_sentences_says_what_it_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("maskbench.data.generation.sampling._MAX_MISSES", 3_000)
    with pytest.raises(CorpusError, match=r"of 120 pairs for train.*ask for fewer pairs"):
        build("copy", symbols=2, min_length=1, max_length=4)


@pytest.mark.parametrize(
    ("builder", "options"),
    [
        (ToydeenCorpus, {"pairs": 99}),
        (ToydeenCorpus, {"pairs": 200_001}),
        (ToydeenCorpus, {"pairs": "2000"}),
        (ToydeenCorpus, {"sizes": 3}),
        (ToydeenCorpus, {"seed": -1}),
        (CopyCorpus, {"min_length": 9, "max_length": 8}),
        (ReverseCorpus, {"symbols": 0}),
    ],
)
def test_options_that_make_no_sense_are_refused(
    builder: type[CorpusBuilder], options: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError):
        builder.Options.model_validate(options)


def test_a_corpus_annotates_all_of_its_splits_or_none() -> None:
    plain = encode_split("test", [("a", "b")], WORDS)
    marked = annotate_split(encode_split("valid", [("a", "b")], WORDS), [[0]])
    assert (
        assemble_corpus("x", WORDS, [marked]).sha256
        != assemble_corpus("x", WORDS, [replace(marked, links=None)]).sha256
    )
    with pytest.raises(ValueError, match="all of its splits or none"):
        assemble_corpus("x", WORDS, [plain, marked])


def test_the_defaults_are_the_documented_ones() -> None:
    assert ToydeenOptions() == ToydeenOptions(
        pairs=20_000, seed=0, valid=1_000, test=1_000, max_length=16, distractors=0
    )
    assert CopyingOptions() == CopyingOptions(symbols=50, min_length=3, max_length=25)
