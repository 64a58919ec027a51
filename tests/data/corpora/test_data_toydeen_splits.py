"""The splits of toydeen that are unlike training, and what the generator promises of all of them."""

from __future__ import annotations

import re
from itertools import islice

import pytest

from maskbench.data.corpora.toydeen import checks, lexicon
from maskbench.data.corpora.toydeen.checks import check_splits, is_reordered
from maskbench.data.corpora.toydeen.corpus import ToydeenCorpus, ToydeenOptions, generate_sentences
from maskbench.data.corpora.toydeen.minimal_pairs import find_minimal_pairs, is_minimal
from maskbench.data.corpora.toydeen.novel_combinations import find_novelties
from maskbench.data.corpora.toydeen.split_styles import (
    HELD_OUT_PAIRS,
    NOVELTY_MIN_LENGTHS,
    SUBJECT_ONLY_NOUNS,
)
from maskbench.data.corpora.toydeen.tree import AnnotatedSentence
from maskbench.data.corpus import Corpus
from maskbench.data.generation.distractors import DISTRACT_SPLITS
from maskbench.data.generation.noise import NOISE_SPLITS
from maskbench.errors import CorpusError

SMALL = {"pairs": 600, "valid": 11, "test": 39}
BINS = {"long-1": (17, 20), "long-2": (21, 24), "long-3": (25, 32)}

# Sentences with what is new in them.
NEW_BY_HAND = [
    ("the man sees the woman", set()),
    ("the baker sees the woman", set()),
    ("the woman sees the bakers", {"object"}),
    ("the woman with the goat sees the man", {"object"}),
    ("today the woman gives the key to no lamb", {"object"}),
    ("the woman says that the baker sleeps", set()),
    ("the woman sleeps because the old goat sleeps", set()),
    ("the woman that the baker sees sleeps", set()),
    ("the woman that sees the baker sleeps", {"object"}),
    ("the big man sleeps", set()),
    # The adjective at 0 and the noun at 0 of their tables, or at 10, or 1 and 9.
    ("the old man sleeps", {"pair"}),
    ("the cold men sleep", {"pair"}),
    ("the man that sleeps sees the woman", set()),
    ("the man sees the woman that sleeps", {"relative"}),
    ("the man sleeps because the woman that sleeps sees the key", set()),
    ("the woman thinks that the man that sleeps laughs", set()),
    ("the woman that the man that sleeps sees laughs", {"deeper"}),
    ("the woman that the young king that sleeps sees laughs", {"deeper"}),
    ("outdoors the man sees the bank that sleeps", {"relative"}),
]


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return ToydeenCorpus.build(ToydeenOptions.model_validate(SMALL))


def lines(corpus: Corpus, name: str) -> list[str]:
    return corpus.splits[name].sources


def noted(corpus: Corpus, pattern: str) -> list[str]:
    found = re.search(pattern, " ".join(corpus.notes))
    assert found, (pattern, corpus.notes)
    return list(found.groups())


@pytest.mark.parametrize("name", BINS)
def test_long_sentences_have_the_lengths_of_their_bin(corpus: Corpus, name: str) -> None:
    lengths = {len(line.split()) for line in lines(corpus, name)}
    shortest, longest = BINS[name]
    assert len(lines(corpus, name)) == 39 and lengths <= set(range(shortest, longest + 1))
    assert len(lengths) > (longest - shortest) / 2


@pytest.mark.parametrize(
    ("max_length", "distractors", "left"),
    [(16, 0, 3), (17, 0, 2), (20, 0, 2), (21, 0, 1), (24, 0, 1), (25, 0, 0), (16, 1, 2), (12, 8, 2), (8, 8, 3), (16, 8, 1)],
)  # fmt: skip
def test_a_bin_that_training_reaches_is_left_out(max_length: int, distractors: int, left: int) -> None:
    options = ToydeenOptions(max_length=max_length, distractors=distractors)
    names = ToydeenCorpus.split_names(options)
    assert [name for name in names if name.startswith("long")] == list(BINS)[3 - left :]
    assert names[:2] == ["valid", "test"] and {"novel", "minimal", *NOISE_SPLITS, *DISTRACT_SPLITS} <= set(
        names
    )


@pytest.mark.parametrize(("source", "new"), NEW_BY_HAND)
def test_what_is_new_in_a_sentence(source: str, new: set[str]) -> None:
    assert find_novelties(source) == new


def test_each_sentence_of_novel_is_new_in_one_way_and_the_ways_take_turns(corpus: Corpus) -> None:
    ways = [find_novelties(line) for line in lines(corpus, "novel")]
    assert ways == [{("object", "pair", "relative", "deeper")[row % 4]} for row in range(39)]
    assert max(len(line.split()) for line in lines(corpus, "novel")) <= 16
    for name in ("train", "valid", "test", *BINS, "minimal"):
        assert not any(map(find_novelties, lines(corpus, name)))


@pytest.mark.parametrize(
    ("max_length", "kinds"),
    [(8, ["object", "pair"]), (9, ["object", "pair"]), (10, ["object", "pair", "relative"]),
     (15, ["object", "pair", "relative"]), (16, ["object", "pair", "relative", "deeper"])],
)  # fmt: skip
def test_kinds_of_novelty_without_room_are_left_out(max_length: int, kinds: list[str]) -> None:
    short = ToydeenCorpus.build(ToydeenOptions(pairs=100, valid=2, test=5, max_length=max_length))
    ways = [find_novelties(line) for line in lines(short, "novel")]
    assert ways == [{kinds[row % len(kinds)]} for row in range(5)]
    for name in ("novel", "minimal"):
        split = short.splits[name]
        assert max(len(line.split()) for line in [*split.sources, *split.references]) <= max_length
    assert set(BINS) < set(short.splits)


def test_too_few_sentences_for_a_test_split_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskbench.data.generation.sampling._MAX_MISSES", 1_000)
    with pytest.raises(CorpusError, match="for minimal: found 0 of 6; ask for fewer test pairs or allow"):
        find_minimal_pairs(3, max_length=2)
    monkeypatch.setitem(NOVELTY_MIN_LENGTHS, "deeper", 8)
    with pytest.raises(CorpusError, match=r"for novel \(deeper\): found 0 of 2; ask for fewer test pairs"):
        ToydeenCorpus.build(ToydeenOptions(pairs=100, valid=2, test=5, max_length=8))


def test_held_out_pairs_are_two_adjectives_for_every_noun_and_both_are_common_apart(corpus: Corpus) -> None:
    nouns = [noun.english for noun in (*lexicon.ANIMATE, *lexicon.INANIMATE)]
    assert {noun: sum(noun == other for _, other in HELD_OUT_PAIRS) for noun in nouns} == dict.fromkeys(
        nouns, 2
    )
    genders = [noun.gender for noun in lexicon.ANIMATE if noun.english in SUBJECT_ONLY_NOUNS]
    assert sorted(genders) == ["f", "f", "m", "m", "n", "n"]
    text = [set(line.split()) for line in lines(corpus, "train")]
    plurals = {noun.english: noun.english_plural for noun in (*lexicon.ANIMATE, *lexicon.INANIMATE)}

    def sentences_with(word: str) -> int:
        return sum(bool({word, plurals.get(word, word)} & words) for words in text)

    as_subject, pairs, in_pairs = (
        int(number)
        for number in noted(corpus, r"at least (\d+) .*; (\d+) adjective-noun pairs.*at least (\d+);")
    )
    assert as_subject == min(sentences_with(noun) for noun in SUBJECT_ONLY_NOUNS) > 0
    assert in_pairs == min(sentences_with(word) for pair in HELD_OUT_PAIRS for word in pair) > 0
    assert pairs == len(HELD_OUT_PAIRS) == 96


def test_minimal_pairs_differ_in_the_cue_or_in_a_number(corpus: Corpus) -> None:
    split = corpus.splits["minimal"]
    numbers = {noun.english: noun.english_plural for noun in (*lexicon.ANIMATE, *lexicon.INANIMATE)}
    numbers |= {pair.indoors.english: pair.indoors.english_plural for pair in lexicon.HOMOGRAPHS}
    assert len(split) == 40
    forms = {*numbers, *numbers.values()}
    sizes, ranks = set(), set()
    for row in range(0, 40, 2):
        here, there = (split.sources[row + half].split() for half in (0, 1))
        changes = [set(words) for words in zip(here, there, strict=True) if words[0] != words[1]]
        if row % 4 == 0:
            assert changes == [{"indoors", "outdoors"}]
        else:
            nouns = [change for change in changes if change in [{*item} for item in numbers.items()]]
            assert len(nouns) == 1 and not any({"indoors", "outdoors"} & change for change in changes)
            sizes.add(len(changes))
            place = next(i for i, word in enumerate(here) if word in forms and word != there[i])
            ranks.add(sum(word in ("the", "this", "these", "no", "my") for word in here[:place]))
        assert split.references[row] != split.references[row + 1]
    assert 1 in sizes and max(sizes) <= 5
    # Any noun whose determiner has both numbers, not just the first.
    assert {1, 2} <= ranks


def test_minimal_pairs_are_kept_from_training_of_every_seed(corpus: Corpus) -> None:
    other = ToydeenCorpus.build(ToydeenOptions.model_validate({**SMALL, "seed": 5, "pairs": 100}))
    assert lines(other, "minimal") == lines(corpus, "minimal")
    assert lines(other, "novel") != lines(corpus, "novel")
    for one in (corpus, other):
        assert not set(lines(one, "minimal")) & {
            *lines(one, "train"),
            *lines(one, "valid"),
            *lines(one, "test"),
        }


@pytest.mark.parametrize(
    ("one", "other", "minimal"),
    [
        ("indoors the bank sleeps", "outdoors the bank sleeps", True),
        ("the man sleeps", "the men sleep", True),
        ("this man must sleep", "these men must sleep", True),
        ("the man sees the dog", "the men see the dogs", False),
        ("the man sleeps", "the man sleeps", False),
        ("the man sleeps", "the man laughs", False),
        ("the man sleeps", "the man sleep", False),
        ("the man sleeps here", "the men sleep", False),
        ("the man sleeps", "the woman sleeps", False),
        ("indoors the banks sleep", "outdoors the bank sleeps", False),
    ],
)
def test_what_a_minimal_pair_is(one: str, other: str, minimal: bool) -> None:
    assert is_minimal(one, other) == is_minimal(other, one) == minimal


def test_all_test_splits_are_the_same_for_every_size_of_training_split(corpus: Corpus) -> None:
    small = ToydeenCorpus.build(ToydeenOptions.model_validate({**SMALL, "pairs": 100}))
    assert lines(small, "train") == lines(corpus, "train")[:100]
    for name in set(ToydeenCorpus.split_names(ToydeenOptions())):
        assert small.splits[name].sources == corpus.splits[name].sources
        assert small.splits[name].references == corpus.splits[name].references


def test_no_two_sentences_are_equal_and_the_notes_count_them(corpus: Corpus) -> None:
    names = ["train", "valid", "test", *BINS, "novel", "minimal"]
    found = [line for name in names for line in lines(corpus, name)]
    assert len(set(found)) == len(found) == int(noted(corpus, r"All ([\d,]+) sentences")[0].replace(",", ""))


def test_the_notes_say_what_training_is_like(corpus: Corpus) -> None:
    text = [line.split() for line in lines(corpus, "train")]
    nouns = {
        form for pair in lexicon.HOMOGRAPHS for form in (pair.indoors.english, pair.indoors.english_plural)
    }
    homographs = sum(bool(nouns & set(line)) for line in text) / len(text)
    pronouns = sum(bool({"it", "they", "them"} & set(line)) for line in text) / len(text)
    lengths = sorted(map(len, text))
    ninety = next(n for n in lengths if sum(x <= n for x in lengths) >= 0.9 * len(text))
    reorder, homograph, pronoun, mean, most, longest = noted(
        corpus,
        r"(\d+)% of the sentences reorder words, (\d+)% have a homograph, (\d+)% a pronoun;.*: ([\d.]+), (\d+), (\d+) in E",
    )
    assert (homograph, pronoun) == (f"{100 * homographs:.0f}", f"{100 * pronouns:.0f}")
    assert (mean, most, longest) == (f"{sum(lengths) / len(text):.1f}", str(ninety), str(lengths[-1]))
    assert 60 < int(reorder) < 95


def test_a_sentence_reorders_where_links_cross() -> None:
    def linked(*places: int) -> AnnotatedSentence:
        return AnnotatedSentence("a b c", "x y z", [4 * t + s for t, s in enumerate(places)], [], [])

    assert not is_reordered(linked(0, 1, 2)) and not is_reordered(linked(0, 0, 2))
    assert is_reordered(linked(0, 2, 1)) and is_reordered(linked(1, 0, 2))


def some(count: int) -> list[AnnotatedSentence]:
    return list(islice(generate_sentences(1, 14), count))


def made(source: str, reference: str = "") -> AnnotatedSentence:
    return AnnotatedSentence(source, reference, [], [], [])


@pytest.mark.parametrize(
    ("split", "bad", "message"),
    [
        ("test", some(1)[0], "is in train and in test"),
        ("valid", some(1)[0], "is in train and in valid"),
        ("train", made("the woman sees the bakers"), r"held out for novel \(object\)"),
        ("train", made("the old man sleeps"), r"held out for novel \(pair\)"),
        ("minimal", made("the men sleep", "x"), "no minimal pair: 'the man sleeps' and 'the men sleep'"),
        (
            "minimal",
            made("the woman sleeps", "y"),
            "no minimal pair: 'the man sleeps' and 'the woman sleeps'",
        ),
    ],
)
def test_a_broken_promise_is_an_error(split: str, bad: AnnotatedSentence, message: str) -> None:
    drawn = {
        "train": some(20),
        "valid": [],
        "test": [],
        "novel": [],
        "minimal": [made("the man sleeps", "x")],
    }
    good = {**drawn, "minimal": [*drawn["minimal"], made("the men sleep", "y")]}
    assert len(check_splits(good)) == 4
    broken = {**good, split: [*drawn[split], bad]}
    with pytest.raises(CorpusError, match=message):
        check_splits(broken)


def test_what_is_held_out_must_occur_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = {"train": some(20), "minimal": []}
    assert "at least 0 training" in check_splits(drawn)[1]
    monkeypatch.setattr(checks, "MIN_PAIRS_FOR_COVERAGE", 20)
    with pytest.raises(CorpusError, match=r"nothing at all of what is held out: baker, ball, .*tree"):
        check_splits(drawn)


def test_altered_copies_name_their_origin(corpus: Corpus) -> None:
    options = ToydeenOptions.model_validate(SMALL)
    origins = {name: split.origin for name, split in corpus.splits.items() if split.origin}
    assert (
        origins == ToydeenCorpus.origins(options) == dict.fromkeys([*NOISE_SPLITS, *DISTRACT_SPLITS], "test")
    )


def test_what_is_distracted_in_place_is_a_copy_of_nothing() -> None:
    options = ToydeenOptions(pairs=100, valid=3, test=4, distractors=2)
    corpus = ToydeenCorpus.build(options)
    origins = {name: split.origin for name, split in corpus.splits.items() if split.origin}
    assert origins == ToydeenCorpus.origins(options) == dict.fromkeys(NOISE_SPLITS, "test")
    for name, split in corpus.splits.items():
        assert (split.touched is None) == (name not in NOISE_SPLITS)
    assert set(corpus.splits) == {"train", *ToydeenCorpus.split_names(options)}
