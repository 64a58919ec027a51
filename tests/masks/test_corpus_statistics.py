"""What a strategy may know of the corpus, counted by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from helpers import placement, plan, sizes
from scripts import ONE_TOKEN, TEXTS, lines

from maskbench.data.corpus import assemble_corpus, encode_split
from maskbench.data.vocabulary import EOS, BpeVocabulary, CharacterVocabulary, Vocabulary, WordVocabulary
from maskbench.errors import ConfigError
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


def test_facts_are_counted_once_and_given_out_as_copies():
    words = WordVocabulary(["a", "b"])
    corpus = assemble_corpus("by hand", words, [encode_split("train", [("a b", "b")], words)])
    first = collect_statistics(corpus)
    assert first.counts is not None and first.source_words is not None
    first.counts.zero_()
    first.source_words.logical_not_()
    other = assemble_corpus("by hand", words, [encode_split("train", [("a a", "a")], words)])
    again, others = collect_statistics(corpus), collect_statistics(other)
    assert again.counts is not None and again.source_words is not None and others.counts is not None
    assert [int(again.counts[words.id_of(word)]) for word in "ab"] == [1, 2]
    assert [int(others.counts[words.id_of(word)]) for word in "ab"] == [3, 0]
    assert again.source_words[0].all()


def refusal(lines: list[str], vocabulary: Vocabulary, site: str = "encoder_input") -> str:
    """Why masks of whole words are refused at a site; "" where they are not."""
    pairs = [(line, "a b") if site == "encoder_input" else ("a b", line) for line in lines]
    facts = collect_statistics(
        assemble_corpus("tiny", vocabulary, [encode_split("train", pairs, vocabulary)])
    )
    try:
        plan(placement(site, "tokens", ratio=0.3, unit="word"), of=replace(sizes(), facts=facts))
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("site", ["encoder_input", "decoder_input"])
@pytest.mark.parametrize("tokenizer", ["word", "char", "bpe"])
@pytest.mark.parametrize("name", TEXTS)
def test_words_are_masked_only_where_tokens_make_them_up(name: str, tokenizer: str, site: str) -> None:
    text = [*lines(name), "a b"]
    vocabulary: Vocabulary = {
        "word": lambda: WordVocabulary.train(text, size=99),
        "char": lambda: CharacterVocabulary.train(text, size=99),
        "bpe": lambda: BpeVocabulary.train(text, size=300),
    }[tokenizer]()
    said = refusal(lines(name), vocabulary, site)
    assert bool(said) == (tokenizer == "word" and name in ONE_TOKEN)
    if said:
        side = "sources" if site == "encoder_input" else "targets"
        assert f"the {side} of the corpus have no words" in said and "use unit: token" in said


def test_text_of_which_every_line_is_one_word_has_no_words_to_mask() -> None:
    letters = CharacterVocabulary(list("ACGT ab"))
    assert "20 of 20 training lines of several tokens are one word" in refusal(["ACGT", "TTA"] * 10, letters)
    assert refusal(["ACGT TTA", "TTA"] * 10, letters) == ""
    # A token is a word here, and a label of one word can be hidden.
    assert refusal(["good", "bad"], WordVocabulary(["good", "bad", "a", "b"])) == ""
