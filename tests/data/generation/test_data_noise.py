"""Noisy copies of a test split."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskbench.data.corpus import Split, encode_split
from maskbench.data.generation.noise import NOISE_KINDS, NOISE_PERCENTS, NOISE_SPLITS, make_noisy_splits
from maskbench.data.vocabulary import (
    EOS,
    MASK,
    BpeVocabulary,
    CharacterVocabulary,
    Vocabulary,
    WordVocabulary,
)
from maskbench.randomness import Key, permutation

LEXICON = [f"w{i}" for i in range(40)]
WORDS = WordVocabulary([*LEXICON, "<mask>"])


def made(lines: list[str], kind: str, percent: int, lexicon: list[str] = LEXICON) -> tuple[Split, Split]:
    clean = encode_split("test", [(line, f"r{i}") for i, line in enumerate(lines)], WORDS)
    noisy = {split.name: split for split in make_noisy_splits(clean, WORDS, lexicon)}
    return clean, noisy[f"noise-{kind}-{percent}"]


def distinct_lines(count: int) -> list[str]:
    """Return lines of 1 to 13 different words each, so that every change can be seen."""
    lines = []
    for i in range(count):
        order = permutation(Key.of(i, "lines"), len(LEXICON)).tolist()
        lines.append(" ".join(LEXICON[j] for j in order[: 1 + i % 13]))
    return lines


LINES = distinct_lines(1_300)


def touched(before: str, after: str, kind: str) -> int:
    """Count the words touched, from the lines alone."""
    old, new = before.split(), after.split()
    if kind == "drop":
        return len(old) - len(new)
    return sum(a != b for a, b in zip(old, new, strict=True))


def test_every_kind_and_rate_has_a_split() -> None:
    clean = encode_split("test", [("w1 w2", "r")], WORDS)
    names = [split.name for split in make_noisy_splits(clean, WORDS, LEXICON)]
    assert (
        names
        == list(NOISE_SPLITS)
        == [f"noise-{kind}-{percent}" for kind in NOISE_KINDS for percent in NOISE_PERCENTS]
    )


@pytest.mark.parametrize("percent", NOISE_PERCENTS)
@pytest.mark.parametrize("kind", NOISE_KINDS)
def test_the_share_of_touched_words_is_the_rate_asked_for(kind: str, percent: int) -> None:
    # One-word lines cannot be dropped from or swapped in, two-word lines are where rounding matters most.
    lines = [line for line in LINES if len(line.split()) > 1]
    clean, noisy = made(lines, kind, percent)
    counts = np.array([touched(a, b, kind) for a, b in zip(clean.sources, noisy.sources, strict=True)])
    expected = np.array([len(line.split()) for line in lines]) * percent / 100
    unit = 2 if kind == "swap" else 1
    part = expected / unit % 1
    spread = unit * np.sqrt((part * (1 - part)).sum())
    assert abs(counts.sum() - expected.sum()) < 4 * spread
    assert np.all(np.abs(counts - expected) < unit)


@pytest.mark.parametrize("kind", NOISE_KINDS)
def test_references_are_never_touched(kind: str) -> None:
    clean, noisy = made(LINES[:50], kind, 30)
    assert noisy.references == clean.references
    assert noisy.tgt.values.tolist() == clean.tgt.values.tolist()


@pytest.mark.parametrize("kind", NOISE_KINDS)
def test_ids_are_the_encoding_of_the_line_shown(kind: str) -> None:
    _, noisy = made(LINES[:200], kind, 30)
    for i, line in enumerate(noisy.sources):
        ids = [MASK if word == "<mask>" else WORDS.id_of(word) for word in line.split()]
        assert noisy.src[i].tolist() == [*ids, EOS]


@pytest.mark.parametrize("kind", ["mask", "replace"])
def test_more_noise_of_a_kind_touches_the_same_words_and_more(kind: str) -> None:
    ten, thirty = made(LINES[:300], kind, 10)[1], made(LINES[:300], kind, 30)[1]
    for before, little, much in zip(LINES, ten.sources, thirty.sources, strict=False):
        rows = zip(before.split(), little.split(), much.split(), strict=True)
        assert all(more == less for word, less, more in rows if less != word)


def test_more_drops_leave_fewer_of_the_same_words() -> None:
    ten, thirty = made(LINES, "drop", 10)[1], made(LINES, "drop", 30)[1]
    for little, much in zip(ten.sources, thirty.sources, strict=True):
        assert set(much.split()) <= set(little.split())


def test_a_drop_leaves_at_least_one_word() -> None:
    assert made(["w1"] * 50, "drop", 30)[1].sources == ["w1"] * 50


def test_a_drop_keeps_the_order_of_the_rest() -> None:
    for before, after in zip(LINES, made(LINES, "drop", 30)[1].sources, strict=True):
        rest = iter(before.split())
        assert all(word in rest for word in after.split())


def test_a_swap_exchanges_neighbours_and_touches_no_word_twice() -> None:
    for before, after in zip(LINES, made(LINES, "swap", 30)[1].sources, strict=True):
        old, new = before.split(), after.split()
        moved = [i for i in range(len(old)) if old[i] != new[i]]
        pairs = list(zip(moved[::2], moved[1::2], strict=True))
        assert all(j == i + 1 and (old[i], old[j]) == (new[j], new[i]) for i, j in pairs)


def test_swaps_fall_on_every_place() -> None:
    lines = ["w0 w1 w2 w3 w4"] * 2_000
    places = Counter(next(i for i, word in enumerate(new.split()) if word != f"w{i}")
                     for new in made(lines, "swap", 30)[1].sources if new != lines[0])  # fmt: skip
    share = np.array([places[i] for i in range(4)]) / sum(places.values())
    assert np.all(np.abs(share - 0.25) < 0.05)


def test_a_replacement_is_another_word_of_the_lexicon_and_all_are_equally_likely() -> None:
    _, noisy = made(["w0 w1 w2"] * 3_000, "replace", 30, lexicon=["w0", "w1", "w5", "w6"])
    at_first = Counter(line.split()[0] for line in noisy.sources)
    changed = 3_000 - at_first["w0"]
    assert set(at_first) == {"w0", "w1", "w5", "w6"}
    assert all(abs(at_first[word] / changed - 1 / 3) < 0.06 for word in ("w1", "w5", "w6"))


@pytest.mark.parametrize("lexicon", [[], ["w0"]])
def test_where_there_is_no_other_word_a_replacement_changes_nothing(lexicon: list[str]) -> None:
    assert made(["w0 w0"] * 20, "replace", 30, lexicon=lexicon)[1].sources == ["w0 w0"] * 20


@pytest.mark.parametrize("kind", NOISE_KINDS)
def test_an_empty_line_stays_empty(kind: str) -> None:
    _, noisy = made(["", "w1 w2 w3"], kind, 30)
    assert noisy.sources[0] == "" and noisy.src[0].tolist() == [EOS]


@pytest.mark.parametrize("kind", NOISE_KINDS)
def test_a_line_that_is_not_touched_keeps_its_white_space(kind: str) -> None:
    lines = ["w1  w2"] * 60
    _, noisy = made(lines, kind, 10)
    assert {"w1  w2"} < set(noisy.sources)


def test_text_that_reads_mask_is_not_masked() -> None:
    clean, noisy = made(["<mask> w1 <mask> w2"] * 40, "mask", 20)
    literal = WORDS.id_of("<mask>")
    masks = [noisy.src[i].tolist().count(MASK) for i in range(40)]
    assert set(masks) == {0, 1} and MASK not in clean.src.values and literal in noisy.src.values


def test_the_noise_of_a_line_depends_on_its_place_and_not_on_the_other_lines() -> None:
    alone = made([*LINES[:7], "w3"], "mask", 20)[1]
    among = made(LINES, "mask", 20)[1]
    assert alone.sources[:7] == among.sources[:7]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(["Haus", "haus-bau,", "é\u2028"]), max_size=6), min_size=1, max_size=5),
    st.sampled_from([BpeVocabulary.train([], size=261), CharacterVocabulary(list(" Haus-b,hé\u2028"))]),
)
def test_a_masked_word_is_one_id_whatever_its_subwords(
    lines: list[list[str]], vocabulary: Vocabulary
) -> None:
    clean = encode_split("test", [(" ".join(words), "r") for words in lines], vocabulary)
    for noisy in make_noisy_splits(clean, vocabulary, ["Haus"])[:3]:
        for i, shown in enumerate(noisy.sources):
            assert vocabulary.decode(noisy.src[i].tolist()) == shown
            assert noisy.src[i].tolist().count(MASK) == shown.split().count("<mask>")
