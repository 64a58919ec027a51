"""Gold alignments and junk marks, and how they follow the words of altered sources."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskbench.data.batches import collate
from maskbench.data.corpora.copying import CopyCorpus, ReverseCorpus
from maskbench.data.corpora.toydeen.corpus import ToydeenCorpus, generate_sentences, junk_words, openers
from maskbench.data.corpora.toydeen.tree import AnnotatedSentence, Phrase, annotate, leaf, spell
from maskbench.data.corpus import Corpus, Ragged, Split, encode_split
from maskbench.data.generation.annotations import INSERTED, annotate_split, copy_with_sources
from maskbench.data.generation.noise import NOISE_SPLITS, make_noisy_splits
from maskbench.data.vocabulary import MASK, BpeVocabulary, WordVocabulary
from maskbench.randomness import Key, permutation

SMALL = {"pairs": 150, "valid": 13, "test": 60}
LEXICON = [f"w{i}" for i in range(12)]
WORDS = WordVocabulary(LEXICON)

# German words with the English ones they translate; two for one are joined by +, / separates two for one there.
ALIGNED_BY_HAND = [
    (
        "my window that some loud queens have followed sleeps",
        "mein~my Fenster~window ,~that dem~that einige~some laute~loud Königinnen~queens gefolgt~followed sind~have ,~"
        " schläft~sleeps",
    ),
    (
        "the cats pull my pen because a court steals it outdoors",
        "die~the Katzen~cats ziehen~pull mein~my Gehege~pen ,~because weil~because ein~a Hof~court es~it"
        " draußen~outdoors stiehlt~steals",
    ),
    (
        "no cat takes along a blue clock",
        "keine~no Katze~cat nimmt~takes eine~a blaue~blue Uhr~clock mit~along",
    ),
    (
        "now the club can think that it throws away every seal indoors",
        "jetzt~now kann~can der~the Verein~club denken~think ,~that dass~that er~it drinnen~indoors jedes~every"
        " Siegel~seal wegwirft~throws+away",
    ),
]


@pytest.fixture(scope="module")
def known() -> dict[str, AnnotatedSentence]:
    return {one.source: one for one in islice(generate_sentences(0, 12), 200)}


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return ToydeenCorpus.build(ToydeenCorpus.Options.model_validate(SMALL))


def linked_words(split: Split, row: int) -> list[tuple[int, str]]:
    """Which target token translates which source word; the end mark is called EOS."""
    assert split.links is not None
    source = [*split.sources[row].split(), "EOS"]
    assert len(split.src[row]) == len(source)
    return [(link // len(source), source[link % len(source)]) for link in split.links[row].tolist()]


def marked_words(split: Split, row: int) -> list[int]:
    """The places of the junk words of a source."""
    assert split.junk is not None
    marks = split.junk[row].tolist()
    assert len(marks) == len(split.src[row]) and set(marks) <= {0, 1} and marks[-1] == 0
    return [place for place, mark in enumerate(marks) if mark]


@pytest.mark.parametrize(("source", "by_hand"), ALIGNED_BY_HAND)
def test_sentences_aligned_by_hand(known: dict[str, AnnotatedSentence], source: str, by_hand: str) -> None:
    german, links = known[source].reference, known[source].links
    words, partners = source.split(), [pair.rsplit("~", 1) for pair in by_hand.split()]
    assert german.split() == [word for word, _ in partners]
    found = [sorted(words[link % (len(words) + 1)] for link in links if link // (len(words) + 1) == t)
             for t in range(len(partners))]  # fmt: skip
    assert found == [sorted(english.split("+")) if english else [] for _, english in partners]


def test_a_tree_aligns_the_words_of_each_leaf() -> None:
    verb, particle, someone = (
        leaf("calls", "ruft", "noun"),
        leaf("up", "an", "noun"),
        leaf("him", "ihn ,", "noun"),
    )
    tree = Phrase((verb, particle, someone), (verb, someone, particle, leaf("", ",", "noun")))
    one = annotate(spell(tree))
    assert (one.source, one.reference) == ("calls up him", "ruft ihn , an")
    assert [divmod(link, 4) for link in one.links] == [(0, 0), (1, 2), (2, 2), (3, 1)]


def test_of_two_commas_the_later_is_written() -> None:
    parts = (leaf("a", "der", "noun"), leaf("", ",", "noun"), leaf("that", ", dass", "noun"))
    one = annotate(spell(Phrase(parts, parts)))
    assert one.reference == "der , dass"
    assert [divmod(link, 3) for link in one.links] == [(0, 0), (1, 1), (2, 1)]


def test_a_word_that_comes_twice_is_aligned_to_its_own_translation() -> None:
    a, b = leaf("the", "das", "noun"), leaf("the", "das", "noun")
    assert [divmod(link, 3) for link in annotate(spell(Phrase((a, b), (b, a)))).links] == [(0, 1), (1, 0)]


def test_only_to_and_closing_commas_are_aligned_to_nothing() -> None:
    lonely: Counter[tuple[int, str]] = Counter()
    for one in islice(generate_sentences(5, 20), 2_000):
        english, german = one.source.split(), one.reference.split()
        pairs = [divmod(link, len(english) + 1) for link in one.links]
        assert pairs == sorted(set(pairs))
        lonely.update((0, word) for s, word in enumerate(english) if s not in {s for _, s in pairs})
        lonely.update((1, word) for t, word in enumerate(german) if t not in {t for t, _ in pairs})
    assert set(lonely) == {(0, "to"), (1, ",")}


def test_every_split_of_toydeen_is_annotated_and_end_marks_translate_each_other(corpus: Corpus) -> None:
    for split in corpus.splits.values():
        assert split.links is not None and len(split.links) == len(split)
        for row in range(len(split)):
            links = split.links[row].tolist()
            assert links == sorted(set(links))
            assert links[-1] == len(split.src[row]) * len(split.tgt[row]) - 1
            assert not marked_words(split, row) or split.name.startswith("distract")


@pytest.mark.parametrize(("builder", "step"), [(CopyCorpus, 1), (ReverseCorpus, -1)])
def test_copy_and_reverse_align_every_symbol_with_itself(builder: type[CopyCorpus], step: int) -> None:
    split = builder.build(builder.Options.model_validate(SMALL)).splits["train"]
    for row in range(len(split)):
        assert linked_words(split, row) == list(enumerate([*split.sources[row].split()[::step], "EOS"]))
    assert split.junk is None


def test_words_that_are_not_tokens_cannot_be_annotated() -> None:
    subwords = BpeVocabulary.train([], size=261)
    with pytest.raises(ValueError, match="words and tokens differ"):
        annotate_split(encode_split("test", [("ab", "c")], subwords), [[0]])


def made(count: int) -> Split:
    """Sources of 2 to 9 different words; target word t translates source word (3 t) mod n, the first one none."""
    lines = [
        [LEXICON[j] for j in permutation(Key.of(i, "lines"), 12).tolist()[: 2 + i % 8]] for i in range(count)
    ]
    clean = encode_split("test", [(" ".join(words), "w1 w2 w3 w4") for words in lines], WORDS)
    links = [[t * (len(words) + 1) + 3 * t % len(words) for t in range(1, 4)] for words in lines]
    return annotate_split(clean, links, junk=True)


@pytest.mark.parametrize("name", NOISE_SPLITS)
def test_links_follow_the_words_through_noise(name: str) -> None:
    clean, kind = made(120), name.split("-")[1]
    noisy = next(split for split in make_noisy_splits(clean, WORDS, LEXICON) if split.name == name)
    changed = 0
    for row in range(len(clean)):
        before, after = linked_words(clean, row), linked_words(noisy, row)
        words = {*noisy.sources[row].split(), "EOS"}
        changed += noisy.sources[row] != clean.sources[row]
        if kind in ("drop", "swap"):
            assert after == [(t, word) for t, word in before if word in words]
        else:
            assert noisy.links is not None and clean.links is not None
            assert noisy.links[row].tolist() == clean.links[row].tolist()
        assert marked_words(noisy, row) == []
    assert changed > 5


def test_noise_of_a_split_without_annotations_has_none() -> None:
    clean = encode_split("test", [("w1 w2 w3", "w4")], WORDS)
    assert all(
        split.links is None and split.junk is None for split in make_noisy_splits(clean, WORDS, LEXICON)
    )


@given(st.data())
def test_annotations_follow_any_rearrangement(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 6))
    links = sorted(data.draw(st.sets(st.integers(0, 3 * (n + 1) - 1).filter(lambda x: x % (n + 1) < n))))
    source = " ".join(LEXICON[:n])
    clean = annotate_split(encode_split("test", [(source, "w1 w2 w3")], WORDS), [links], junk=True)
    places = data.draw(st.permutations(range(n)))[: data.draw(st.integers(1, n))]
    for gap in data.draw(st.lists(st.integers(0, len(places)), max_size=3)):
        places.insert(gap, INSERTED)
    altered = " ".join("w11" if place == INSERTED else LEXICON[place] for place in places)
    split = copy_with_sources(
        clean, "other", [altered], encode_split("x", [(altered, "")], WORDS).src, [places]
    )
    kept = {word: here for here, word in enumerate([*altered.split(), "EOS"]) if word != "w11"}
    expected = sorted((t, kept[word]) for t, word in linked_words(clean, 0) if word in kept)
    assert split.links is not None
    assert [divmod(x, len(places) + 1) for x in split.links[0].tolist()] == expected
    assert marked_words(split, 0) == [here for here, place in enumerate(places) if place == INSERTED]


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_distraction_inserts_marked_words_and_changes_nothing_else(corpus: Corpus, count: int) -> None:
    clean, distracted = corpus.splits["test"], corpus.splits[f"distract-{count}"]
    assert distracted.references == clean.references
    assert distracted.tgt.values.tolist() == clean.tgt.values.tolist()
    for row in range(len(clean)):
        words, junk = distracted.sources[row].split(), marked_words(distracted, row)
        assert len(junk) == count and {words[place] for place in junk} <= set(junk_words())
        assert [w for place, w in enumerate(words) if place not in junk] == clean.sources[row].split()
        assert linked_words(distracted, row) == linked_words(clean, row)
        ids = [corpus.vocabulary.id_of(word) for word in words]
        assert distracted.src[row].tolist()[:-1] == ids


def test_junk_is_what_the_rule_says_a_noun_behind_no_determiner_or_adjective(corpus: Corpus) -> None:
    nouns, before = set(junk_words()), set(openers())
    for name in ("train", "test", "distract-2", "distract-8"):
        split = corpus.splits[name]
        for row in range(len(split)):
            words = ["", *split.sources[row].split()]
            by_rule = [i for i, word in enumerate(words[1:]) if word in nouns and words[i] not in before]
            assert by_rule == marked_words(split, row)


def test_fewer_junk_words_are_among_more_of_them(corpus: Corpus) -> None:
    few, many = corpus.splits["distract-2"], corpus.splits["distract-8"]
    for row in range(len(few)):
        rest = iter(many.sources[row].split())
        assert all(word in rest for word in few.sources[row].split())


def test_junk_stands_in_every_kind_of_place_and_all_words_are_used(corpus: Corpus) -> None:
    split = corpus.splits["distract-8"]
    places = [
        (place, len(split.src[row]) - 2) for row in range(len(split)) for place in marked_words(split, row)
    ]
    assert any(place == 0 for place, _ in places) and any(place == last for place, last in places)
    used = {split.sources[row].split()[i] for row in range(len(split)) for i in marked_words(split, row)}
    assert len(used) > 0.9 * len(junk_words())


def test_distractors_in_training_leave_the_sentences_behind_them_as_they_were(corpus: Corpus) -> None:
    noisy = ToydeenCorpus.build(ToydeenCorpus.Options.model_validate({**SMALL, "distractors": 2}))
    assert noisy.vocabulary.to_json() == corpus.vocabulary.to_json()
    for name in ("train", "valid", "test"):
        plain, split = corpus.splits[name], noisy.splits[name]
        assert split.references == plain.references
        for row in range(len(plain)):
            junk = marked_words(split, row)
            rest = [w for place, w in enumerate(split.sources[row].split()) if place not in junk]
            assert len(junk) == 2 and rest == plain.sources[row].split()
    for name in ("distract-1", "distract-8"):
        assert noisy.splits[name].sources == corpus.splits[name].sources
    swapped = noisy.splits["noise-swap-30"]
    assert {len(marked_words(swapped, row)) for row in range(len(swapped))} == {2}
    masked = noisy.splits["noise-mask-30"]
    assert any(masked.src[row][i] == MASK for row in range(len(masked)) for i in marked_words(masked, row))


def test_a_batch_has_the_annotations_of_its_rows_in_their_order(corpus: Corpus) -> None:
    split, ids = corpus.splits["distract-4"], np.array([7, 0, 31, 7, 12])
    assert split.links is not None
    batch = collate(split, ids)
    assert batch.links is not None and batch.junk is not None
    assert batch.links.shape == (5, batch.tgt_out.shape[1], batch.src.shape[1])
    for row, example in enumerate(ids.tolist()):
        pairs = {divmod(link, len(split.src[example])) for link in split.links[example].tolist()}
        assert {tuple(pair) for pair in batch.links[row].nonzero().tolist()} == pairs
        assert batch.junk[row].nonzero().flatten().tolist() == marked_words(split, example)


def test_a_row_without_links_stays_empty_in_a_batch() -> None:
    src, tgt = Ragged.from_rows([[5, 2], [6, 7, 2]]), Ragged.from_rows([[5, 2], [6, 2]])
    split = Split("x", src, tgt, ["a", "b c"], ["a", "b"], None, Ragged.from_rows([[], [1, 5]]))
    batch = collate(split, np.array([1, 0]))
    assert batch.links is not None and batch.junk is None
    assert batch.links.tolist() == [[[False, True, False], [False, False, True]], [[False] * 3] * 2]
