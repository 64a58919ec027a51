"""Noise in text of many scripts: every kind alters words, and nothing but words."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from scripts import CHARACTERS, ONE_TOKEN, TEXTS, lines

from maskbench.data.corpora.denoise import DenoiseCorpus, DenoiseOptions
from maskbench.data.corpora.files import FilesCorpus, FilesOptions
from maskbench.data.corpus import Corpus, encode_split
from maskbench.data.generation.noise import (
    NOISE_KINDS,
    NOISE_PERCENTS,
    NOISE_SPLITS,
    make_noisy_copy,
    make_noisy_splits,
)
from maskbench.data.vocabulary import MASK, BpeVocabulary, CharacterVocabulary, Vocabulary, WordVocabulary
from maskbench.data.words import WordRule, choose_rule

SCRIPTS = ["chinese", "japanese", "thai", "khmer", "burmese", "mixed", "korean", "arabic", "hindi", "tibetan"]
ALPHABET = "aé 我。กำ\u0e49ក\u17d2ន\u3099か\u200b\u00a0\u3000\tx한"
VOCABULARIES: list[Vocabulary] = [
    BpeVocabulary.train([ALPHABET, *lines("chinese")], size=300),
    CharacterVocabulary(list(ALPHABET)),
    WordVocabulary(["a", "我", "x"]),
]


def build(folder: Path, text: list[str], tokenizer: str) -> Corpus:
    """Every line is in train, and forty times over in test; targets are one word."""
    for stem, repeats in (("train", 1), ("valid", 1), ("test", 40)):
        (folder / f"{stem}.src").write_text("".join(f"{line}\n" for line in text * repeats), encoding="utf-8")
        (folder / f"{stem}.tgt").write_text("ok\n" * len(text) * repeats, encoding="utf-8")
    return FilesCorpus.build(FilesOptions(path=str(folder), tokenizer=tokenizer))  # type: ignore[arg-type]


@pytest.mark.parametrize("tokenizer", ["bpe", "char", "word"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_every_kind_alters_the_share_of_words_asked_for(tmp_path: Path, name: str, tokenizer: str) -> None:
    corpus = build(tmp_path, lines(name), tokenizer)
    rule, clean = choose_rule(lines(name)), corpus.splits["test"]
    words = [words for words, _ in TEXTS[name]] * 40
    for kind in NOISE_KINDS:
        noisy = corpus.splits[f"noise-{kind}-30"]
        counts = []
        for old, after in zip(words, noisy.sources, strict=True):
            new = rule.split(after.replace("<mask>", " \u2588 "))
            kept = sum((Counter(old) & Counter(new)).values())
            moved = sum(a != b for a, b in zip(old, new, strict=False))
            counts.append({"drop": len(old) - kept, "swap": moved}.get(kind, len(old) - kept))
            # So many words remain as the kind says.
            assert len(new) == len(old) - (counts[-1] if kind == "drop" else 0)
            # Nothing but words is new: no letter is parted from its marks.
            assert set(new) - {"\u2588"} <= {word for line, _ in TEXTS[name] for word in line}
        asked = 0.3 * sum(map(len, words))
        # Rounding moves each line by less than a word (a pair for swaps), and equal neighbours do not show.
        assert sum(counts) == pytest.approx(asked, rel=0.2)
        assert noisy.sources != clean.sources
        if kind == "mask":
            shown = [line.count("<mask>") for line in noisy.sources]
            assert [row.count(MASK) for row in noisy.src.rows()] == shown
            assert not any(line == "<mask>" for line in noisy.sources)


@pytest.mark.parametrize("tokenizer", ["bpe", "char", "word"])
@pytest.mark.parametrize("name", TEXTS)
def test_notes_say_what_a_word_is_where_it_is_not_what_blanks_part(
    tmp_path: Path, name: str, tokenizer: str
) -> None:
    notes = build(tmp_path, lines(name), tokenizer).notes
    by_character = [note for note in notes if "sources are written without blanks" in note]
    assert len(by_character) == (name in CHARACTERS)
    tokens = [note for note in notes if note.startswith("tokenizer: word")]
    assert len(tokens) == (tokenizer == "word" and name in ONE_TOKEN)
    n_words = sum(len(words) for words, _ in TEXTS[name])
    assert all(f" have {len(TEXTS[name])} tokens, but {n_words} words;" in note for note in tokens)


def altered(
    sources: list[str], kind: str, percent: int, vocabulary: Vocabulary, rule: WordRule
) -> tuple[list[str], list[list[int]], list[list[int]]]:
    """The altered lines, their ids, and the ids of the clean lines."""
    clean = encode_split("test", [(line, "r") for line in sources], vocabulary)
    noisy = make_noisy_copy(clean, kind, percent, vocabulary, ["我", "x", "ก\u0e49"], rule=rule)
    return noisy.sources, list(noisy.src.rows()), list(clean.src.rows())


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.text(ALPHABET, max_size=12), min_size=1, max_size=4),
    st.sampled_from(NOISE_KINDS),
    st.sampled_from(NOISE_PERCENTS),
    st.sampled_from(VOCABULARIES),
    st.booleans(),
)
def test_what_is_not_altered_stays_as_it_is(
    sources: list[str], kind: str, percent: int, vocabulary: Vocabulary, divides: bool
) -> None:
    rule = WordRule(divides)
    now, ids, before = altered(sources, kind, percent, vocabulary, rule)
    for line, new, row, old_row in zip(sources, now, ids, before, strict=True):
        old_words, new_words = rule.split(line), rule.split(new.replace("<mask>", " \u2588 "))
        if kind == "drop":
            rest = iter(old_words)
            assert all(word in rest for word in new_words) and bool(new_words) == bool(old_words)
        else:
            assert len(new_words) == len(old_words)
        if kind == "swap":
            assert Counter(new_words) == Counter(old_words)
        # A share of n words is off by less than one word, for swaps by less than a pair.
        touched = (
            len(old_words) - len(new_words)
            if kind == "drop"
            else sum(a != b for a, b in zip(old_words, new_words, strict=True))
        )
        assert touched < percent / 100 * len(old_words) + (2 if kind == "swap" else 1)
        if old_words == new_words:
            assert new == line and row == old_row
        if "<mask>" not in new:
            assert row == [*vocabulary.encode(new), row[-1]]


@pytest.mark.parametrize("blank", [" ", "  ", "\t", "\u00a0", "\u3000", " \u00a0"])
@pytest.mark.parametrize("kind", ["mask", "swap", "replace"])
def test_blanks_between_words_stay_what_they_are(kind: str, blank: str) -> None:
    line = blank.join(["w1", "w2", "w3", "w4", "w5"])
    vocabulary = BpeVocabulary.train([line], size=300)
    clean = encode_split("test", [(f"{line}{blank}", "r")] * 30, vocabulary)
    noisy = make_noisy_copy(clean, kind, 30, vocabulary, ["w9"])
    assert noisy.sources != clean.sources
    assert {tuple(re.findall(r"\s+", new)) for new in noisy.sources} == {(blank,) * 5}


def test_a_dropped_word_leaves_one_of_the_blanks_around_it() -> None:
    vocabulary = CharacterVocabulary(list("abc\t \u3000"))
    clean = encode_split("test", [("a\tb \u3000c", "r")] * 60, vocabulary)
    found = set(make_noisy_copy(clean, "drop", 30, vocabulary, []).sources)
    assert found == {"a\tb \u3000c", "a\tb", "a\tc", "b \u3000c"}


def test_a_space_parts_words_that_would_become_one() -> None:
    rule, vocabulary = WordRule(divides=True), VOCABULARIES[1]
    found = set(altered(["aé我x한"] * 80, "drop", 30, vocabulary, rule)[0])
    assert found == {"aé我x한", "aé x한", "我x한", "aé我"}
    assert "aé x한我" in altered(["aé我x한"] * 80, "swap", 30, vocabulary, rule)[0]


def test_masked_characters_stand_in_the_line_without_spaces() -> None:
    rule = WordRule(divides=True)
    for vocabulary in VOCABULARIES[:2]:
        now, ids, _ = altered(["我かก我"] * 40, "mask", 30, vocabulary, rule)
        assert "我<mask>ก我" in now
        row = ids[now.index("我<mask>ก我")]
        # The token of a character is the one it has inside a line.
        behind = vocabulary.encode("我ก我")[len(vocabulary.encode("我")) :]
        assert row[:-1] == [*vocabulary.encode("我"), MASK, *behind]


@pytest.mark.parametrize("name", ["chinese", "thai"])
def test_denoising_divides_lines_in_the_same_way(tmp_path: Path, name: str) -> None:
    build(tmp_path, lines(name), "char")
    test = [line[1:] for line in lines(name)]
    for stem in ("valid", "test"):
        (tmp_path / f"{stem}.src").write_text(f"{test.pop()}\n", encoding="utf-8")
        (tmp_path / f"{stem}.tgt").write_text("ok\n", encoding="utf-8")
    corpus = DenoiseCorpus.build(
        DenoiseOptions(
            of={"name": "files", "path": str(tmp_path), "tokenizer": "char"},
            side="source",
            noise="drop",
            percent=60,
        )
    )
    train = corpus.splits["train"]
    for old, new in zip(train.references, train.sources, strict=True):
        clusters = [len(regex.findall(r"\X", text)) for text in (old, new)]
        assert clusters[0] * 0.4 - 1 < clusters[1] < clusters[0] * 0.4 + 1


def test_lines_of_one_word_are_counted_and_copies_like_their_original_named(tmp_path: Path) -> None:
    corpus = build(
        tmp_path, ["ACGTACGT", "one two three four five six", "seven eight nine ten eleven"], "char"
    )
    (short,) = [note for note in corpus.notes if "fewer than two words" in note]
    assert short.startswith("40 of 120 lines of test have fewer than two words")
    assert not any("nearly all" in note for note in corpus.notes)
    corpus = build(tmp_path, ["ACGTACGT", "TTGACA", "GATTACA"], "char")
    (same,) = [note for note in corpus.notes if "nearly all" in note]
    assert same.startswith("nearly all 120 lines of test are unaltered in ")
    for percent in NOISE_PERCENTS:
        assert f"noise-drop-{percent} (120)" in same and f"noise-swap-{percent} (120)" in same
    assert "noise-mask-30" not in same and "noise-replace-30" not in same


def test_text_with_single_spaces_is_altered_as_ever() -> None:
    # Made by the version before words had a definition.
    line = "the old dog sleeps near a warm fire"
    vocabulary = WordVocabulary.train([line], size=50)
    clean = encode_split("test", [(line, "r")] * 2, vocabulary)
    noisy = {split.name: split.sources for split in make_noisy_splits(clean, vocabulary, line.split())}
    assert list(noisy) == list(NOISE_SPLITS)
    assert noisy["noise-mask-30"] == [
        "the old <mask> sleeps <mask> a warm <mask>",
        "the old dog <mask> near <mask> warm <mask>",
    ]
    assert noisy["noise-drop-30"] == ["old sleeps near warm fire", "the old dog sleeps warm"]
    assert noisy["noise-swap-30"] == [
        "the old dog sleeps near a fire warm",
        "the old dog sleeps a near warm fire",
    ]
    assert noisy["noise-replace-30"] == [
        "the warm dog sleeps near a near a",
        "the dog dog fire warm a warm fire",
    ]
