"""What a strategy may know of the corpus, counted by hand."""

from __future__ import annotations

from maskbench.data.corpus import assemble_corpus, encode_split
from maskbench.data.vocabulary import EOS, WordVocabulary
from maskbench.masks.corpus_statistics import collect_statistics


def test_facts_are_those_of_the_training_pairs_alone():
    words = WordVocabulary(["a", "b", "c"])
    train = encode_split("train", [("a b", "c"), ("b b b", "a c c")], words)
    valid = encode_split("valid", [("c c c c c", "c c c c c c c c")], words)
    facts = collect_statistics(assemble_corpus("by hand", words, [train, valid]))
    # Sources of 3 and 4 tokens, targets of 2 and 4, end marks among them.
    assert facts.length_ratio == 6 / 7
    ids = dict(zip("abc", (words.id_of(word) for word in "abc"), strict=True))
    assert facts.counts is not None and facts.source_words is not None and facts.pairs is not None
    assert {word: int(facts.counts[i]) for word, i in ids.items()} == {"a": 2, "b": 4, "c": 3}
    assert int(facts.counts[EOS]) == 4 and int(facts.counts.sum()) == 13
    assert facts.source_words[0].all() and not facts.source_words[1:].any() and facts.no_words == {}
    assert [side.lengths.tolist() for side in facts.pairs()] == [[3, 4], [2, 4]]
    assert facts.annotations == frozenset()
