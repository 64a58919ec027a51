"""The probe corpora: `copy`, `reverse`, `sort`, `recall` and `label`, read back from their text; `cue` has its own file."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import maskbench.data  # noqa: F401  (fills the registry)
from maskbench.data.corpora.copying import CopyCorpus, ReverseCorpus, SortCorpus
from maskbench.data.corpora.label import BAD, GOOD, LabelCorpus, _review
from maskbench.data.corpora.recall import RecallCorpus, _asked
from maskbench.data.corpus import ANNOTATIONS, Corpus, Ragged, Split
from maskbench.data.generation.noise import NOISE_SPLITS
from maskbench.data.generation.sampling import MAX_PSEUDOWORDS, SPLITS, make_pseudowords
from maskbench.data.vocabulary import UNK
from maskbench.registry import CORPORA

SIZES = {"pairs": 400, "valid": 21, "test": 60}
OF_THEIR_OWN = {
    "copy": [],
    "reverse": [],
    "sort": [],
    "recall": ["facts-2", "facts-4", "facts-8"],
    "label": ["opinions-1", "opinions-3", "opinions-5"],
    "cue": [*(f"distance-{d}" for d in range(1, 11)), "hidden-cue-50", "hidden-cue-100"],
}
PROBES = pytest.mark.parametrize("name", OF_THEIR_OWN)


@cache
def build(name: str, **options: Any) -> Corpus:
    """Build a corpus once for all tests."""
    builder = CORPORA.lookup(name)
    return builder.build(builder.Options.model_validate(SIZES | options))


def edges(rows: Ragged | None, split: Split, row: int) -> dict[int, list[int]]:
    """The source places that belong to each target place, end mark left out."""
    assert rows is not None
    n_src, n_tgt = len(split.src[row]), len(split.tgt[row])
    found: dict[int, list[int]] = {t: [] for t in range(n_tgt)}
    for number in rows[row].tolist():
        found[number // n_src].append(number % n_src)
    del found[n_tgt - 1]
    return found


@PROBES
def test_a_probe_has_the_splits_and_the_annotations_that_it_names(name: str) -> None:
    corpus, builder = build(name), CORPORA.lookup(name)
    options = builder.Options.model_validate(SIZES)
    assert builder.split_names(options) == ["valid", "test", *OF_THEIR_OWN[name], *NOISE_SPLITS]
    assert list(corpus.splits) == ["train", *builder.split_names(options)]
    assert [len(corpus.splits[split]) for split in SPLITS] == [400, 21, 60]
    assert all(len(corpus.splits[split]) == 60 for split in OF_THEIR_OWN[name])
    assert corpus.tags == builder.tags(options) and corpus.tags[:1] in ((), ("end",))
    origins = builder.origins(options)
    for split in corpus.splits.values():
        known = {part for part in ANNOTATIONS if getattr(split, part) is not None}
        assert known == builder.annotations(options)
        assert split.origin == origins.get(split.name)
        assert UNK not in split.src.values and UNK not in split.tgt.values


@PROBES
def test_no_source_of_a_probe_is_there_twice_and_none_that_is_tested_is_trained_on(name: str) -> None:
    splits = build(name).splits
    sources = {split: splits[split].sources for split in ("train", "valid", "test", *OF_THEIR_OWN[name])}
    assert all(
        len(set(some)) == len(some) for split, some in sources.items() if not split.startswith("hidden")
    )
    trained = set(sources.pop("train"))
    assert not any(trained & set(some) for some in sources.values())
    assert not set(sources["valid"]) & set(sources["test"])


@PROBES
def test_more_training_pairs_leave_the_others_as_they_are(name: str) -> None:
    small, large = build(name), build(name, pairs=401)
    assert large.splits["train"].sources[:400] == small.splits["train"].sources
    assert all(
        large.splits[split].sources == small.splits[split].sources
        for split in small.splits
        if split != "train"
    )
    assert large.vocabulary.to_json() == small.vocabulary.to_json()
    assert build(name, seed=1).splits["test"].sources != small.splits["test"].sources


SEQUENCES = st.lists(st.integers(0, 5), min_size=1, max_size=12)


@given(SEQUENCES)
def test_symbols_are_copied_reversed_and_sorted_by_place(sequence: list[int]) -> None:
    n = len(sequence)
    assert CopyCorpus.order(sequence) == list(range(n))
    assert ReverseCorpus.order(sequence) == [n - 1 - place for place in range(n)]
    # A symbol's rank is the number of symbols that are lower, or equal and further to the front.
    ranks = [sum(b < a or (b == a and j < i) for j, b in enumerate(sequence)) for i, a in enumerate(sequence)]
    assert [ranks[place] for place in SortCorpus.order(sequence)] == list(range(n))


def test_sort_says_numbers_in_order_and_not_words() -> None:
    split = build("sort", symbols=12).splits["train"]
    for i, (source, reference) in enumerate(zip(split.sources, split.references, strict=True)):
        words = source.split()
        assert [int(word[1:]) for word in reference.split()] == sorted(int(word[1:]) for word in words)
        for t, places in edges(split.links, split, i).items():
            assert [words[place] for place in places] == [reference.split()[t]]
        assert set(map(tuple, edges(split.deps, split, i).values())) == {tuple(range(len(words)))}


def test_a_symbol_that_is_copied_hangs_on_itself_alone() -> None:
    for name in ("copy", "reverse"):
        split = build(name).splits["test"]
        assert all(edges(split.deps, split, i) == edges(split.links, split, i) for i in range(len(split)))


def answers(source: str) -> tuple[list[str], list[tuple[int, int, int]], list[int]]:
    """The answers to a source of `recall`, the places of key, value and question of each, and the places of junk."""
    words = source.split()
    ask = words.index("ask")
    junk = [i for i in range(ask) if words[i].endswith("x")]
    values = {words[i - 1]: i for i in range(ask) if words[i].endswith("n")}
    asked = range(ask + 1, len(words))
    return (
        [words[values[words[q]]] for q in asked],
        [(values[words[q]] - 1, values[words[q]], q) for q in asked],
        junk,
    )


@pytest.mark.parametrize("split_name", ["train", "facts-4", "facts-8"])
def test_the_answers_of_recall_are_the_values_of_the_keys_asked_for(split_name: str) -> None:
    split = build("recall").splits[split_name]
    assert split.junk is not None and split.tags is not None
    for i, source in enumerate(split.sources):
        expected, evidence, junk = answers(source)
        assert split.references[i].split() == expected
        assert list(edges(split.deps, split, i).values()) == [list(places) for places in evidence]
        assert list(edges(split.links, split, i).values()) == [[value] for _, value, _ in evidence]
        assert np.flatnonzero(split.junk[i]).tolist() == junk
        assert split.tags[i].tolist() == [1] * len(expected) + [0]


def test_recall_keeps_to_its_numbers_and_uses_all_of_them() -> None:
    split = build(
        "recall", pairs=2000, min_facts=3, max_facts=6, queries=2, distractors=5, keys=7, values=5
    ).splits["train"]
    counts: dict[str, Counter[int]] = {kind: Counter() for kind in ("facts", "asked", "junk")}
    slots: Counter[float] = Counter()
    in_order = 0
    for source in split.sources:
        words, (expected, evidence, junk) = source.split(), answers(source)
        facts = (words.index("ask") - len(junk)) // 2
        counts["facts"][facts] += 1
        counts["asked"][len(expected)] += 1
        counts["junk"][len(junk)] += 1
        assert len({key for key, _, _ in evidence}) == len(evidence)
        in_order += len(evidence) == 2 and evidence[0] < evidence[1]
        if not junk:
            slots.update((key // 2) / facts for key, _, _ in evidence)
    assert {kind: sorted(found) for kind, found in counts.items()} == {
        "facts": [3, 4, 5, 6],
        "asked": [1, 2],
        "junk": [0, 1, 2, 3, 4, 5],
    }
    assert all(0.7 < n / (2000 / len(found)) < 1.3 for found in counts.values() for n in found.values())
    assert 0.44 < in_order / counts["asked"][2] < 0.56
    # Facts at either end are asked for as often as each other: the early half has half the questions.
    early = sum(n for place, n in slots.items() if place < 0.5) / slots.total()
    assert 0.4 < early < 0.68


def test_splits_by_the_number_of_facts_have_that_number() -> None:
    corpus = build("recall", min_facts=3, max_facts=6)
    for facts in (3, 4, 6):
        for source in corpus.splits[f"facts-{facts}"].sources:
            assert source.split().index("ask") == 2 * facts + len(answers(source)[2])
    assert "facts-2" not in corpus.splits and "facts-8" not in corpus.splits


WORD = st.text("abc", min_size=1, max_size=3)


@given(st.dictionaries(WORD, WORD.map(lambda w: w + "n"), min_size=1, max_size=5), st.data())
def test_a_question_finds_its_facts_among_meaningless_words(
    facts: dict[str, str], data: st.DataObject
) -> None:
    parts = [[key, value] for key, value in facts.items()]
    for _ in range(data.draw(st.integers(0, 3))):
        parts.insert(data.draw(st.integers(0, len(parts))), ["x"])
    queries = data.draw(st.permutations(sorted(facts)))[: data.draw(st.integers(1, len(facts)))]
    source, reference, found, junk = _asked(parts, queries)
    words = source.split()
    assert words == [word for part in parts for word in part] + ["ask", *queries]
    assert reference.split() == [facts[query] for query in queries]
    assert [(words[q], words[v - 1], words[v]) for q, v in found] == [(q, q, facts[q]) for q in queries]
    assert junk == [i for i, word in enumerate(words) if word == "x"]


def verdict(source: str) -> tuple[str, list[int]]:
    """The label of a review, and the places of the words that decide."""
    score, places, words = 0, [], [None, *source.split()]
    for place, (before, word) in enumerate(pairwise(words)):
        if word in GOOD or word in BAD:
            score += (1 if word in GOOD else -1) * (-1 if before == "not" else 1)
            places += [place - 1, place] if before == "not" else [place]
    return "positive" if score > 0 else "negative", places


@pytest.mark.parametrize("split_name", ["train", "opinions-1", "opinions-5"])
def test_a_review_has_the_label_of_its_majority(split_name: str) -> None:
    split = build("label").splits[split_name]
    assert split.junk is not None and split.tags is not None
    for i, source in enumerate(split.sources):
        label, places = verdict(source)
        assert split.references[i] == label
        assert edges(split.deps, split, i) == edges(split.links, split, i) == {0: places}
        assert np.flatnonzero(split.junk[i] == 0).tolist() == [*places, len(source.split())]
        assert split.tags[i].tolist() == [["end", "negative", "positive"].index(label), 0]


def test_labels_are_fair_and_reviews_keep_to_their_options() -> None:
    split = build("label", pairs=3000, min_length=7, max_length=15, opinions=3, negation=0.4).splits["train"]
    opinions, negated, positive = Counter[int](), 0, Counter[int]()
    for source, label in zip(split.sources, split.references, strict=True):
        words = source.split()
        assert 7 <= len(words) <= 15
        said = sum(word in GOOD or word in BAD for word in words)
        opinions[said] += 1
        negated += words.count("not")
        positive[said] += label == "positive"
    assert sorted(opinions) == [1, 3]
    assert all(0.44 < positive[n] / opinions[n] < 0.56 for n in opinions)
    assert abs(negated / sum(n * count for n, count in opinions.items()) - 0.4) < 0.03


def test_splits_by_the_number_of_opinions_have_that_number() -> None:
    for n in (1, 3, 5):
        for source in build("label").splits[f"opinions-{n}"].sources:
            assert sum(word in GOOD or word in BAD for word in source.split()) == n


def test_noise_takes_opinions_away_from_a_review_and_never_adds_any() -> None:
    splits = build("label").splits
    lost = 0
    for clean, noisy in zip(splits["test"].sources, splits["noise-replace-30"].sources, strict=True):
        before, after = (Counter(w for w in line.split() if w in GOOD + BAD) for line in (clean, noisy))
        assert not after - before
        lost += (before - after).total()
    assert lost > 20


def test_a_review_by_hand() -> None:
    parts = [(["the"], 0), (["not", "bad"], 1), (["a"], 0), (["ugly"], -1), (["fine"], 1)]
    assert _review(parts) == ("the not bad a ugly fine", "positive", [1, 2, 4, 5])


def test_words_of_an_ending_are_different_and_the_first_stay_the_first() -> None:
    everything = make_pseudowords(MAX_PSEUDOWORDS, "n")
    assert len(set(everything)) == MAX_PSEUDOWORDS == 144
    assert make_pseudowords(7, "n") == everything[:7] and make_pseudowords(0) == []
    assert not set(everything) & set(make_pseudowords(MAX_PSEUDOWORDS)) and all(
        word.endswith("n") for word in everything
    )


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("sort", {"min_length": 9, "max_length": 4}, "min_length 9 is above max_length 4"),
        ("recall", {"min_facts": 9}, "min_facts 9 is above max_facts 8"),
        ("recall", {"keys": 5}, "max_facts 8 needs as many keys, but keys is 5"),
        ("label", {"opinions": 4}, "opinions 4 must be an odd number"),
        ("label", {"opinions": 11}, "more than max_length 20"),
        ("label", {"min_length": 30}, "min_length 30 is above max_length 20"),
    ],
)
def test_options_that_make_no_corpus_are_refused(name: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        CORPORA.lookup(name).Options.model_validate(options)


def test_builders_are_registered_under_their_names() -> None:
    assert [CORPORA.lookup(name) for name in ("sort", "recall", "label")] == [
        SortCorpus,
        RecallCorpus,
        LabelCorpus,
    ]
