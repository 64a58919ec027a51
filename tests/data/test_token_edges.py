"""Words of tokens: in many scripts and vocabularies they are the words of the text."""

from __future__ import annotations

import re

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scripts import TEXTS, lines

from maskbench.data.token_edges import Edge, word_edges
from maskbench.data.vocabulary import (
    EOS,
    N_SPECIAL,
    BpeVocabulary,
    CharacterVocabulary,
    Vocabulary,
    WordVocabulary,
)
from maskbench.data.words import BETWEEN_BLANKS, WordRule, choose_rule
from maskbench.masks.strategies.inputs.token_units import Units

EVERY_LINE = [line for name in TEXTS for line in lines(name)]
BYTES = BpeVocabulary.train([], size=N_SPECIAL + 256)
ALPHABET = "aé 我。กำ\u0e49ក\u17d2န\u3099か\u200b\u00a0\u3000\tx한"
ANY = CharacterVocabulary(list(ALPHABET))
CHARACTERS = CharacterVocabulary.train(EVERY_LINE, size=1000)


def words_of_tokens(line: str, vocabulary: Vocabulary, rule: WordRule) -> list[str]:
    """The text of every unit of a line."""
    ids = vocabulary.encode(line)
    row = torch.tensor([[*ids, EOS]])
    units = Units.from_words(row >= N_SPECIAL, row, torch.from_numpy(word_edges(vocabulary, rule)))
    found: list[bytes] = []
    for token, starts in zip(ids, units.starts[0].tolist(), strict=False):
        found += [b""] if starts else []
        found[-1] += vocabulary.spelling(token)
    return [text.decode("utf-8", "surrogateescape") for text in found]


def bare(text: str) -> str:
    return re.sub(r"^[\s\u200b\u0f0b\u1361]+|[\s\u200b\u0f0b\u1361]+$", "", text)


@pytest.mark.parametrize("name", TEXTS)
def test_words_of_characters_are_those_of_the_text(name: str) -> None:
    rule = choose_rule(lines(name))
    for line, (words, _) in zip(lines(name), TEXTS[name], strict=True):
        assert list(map(bare, words_of_tokens(line, CHARACTERS, rule))) == words


@pytest.mark.parametrize("name", ["chinese", "mixed", "divided chinese", "korean", "vietnamese", "hindi"])
def test_words_of_bytes_are_those_of_the_text_where_first_bytes_tell_them(name: str) -> None:
    rule = choose_rule(lines(name))
    for line, (words, _) in zip(lines(name), TEXTS[name], strict=True):
        assert list(map(bare, words_of_tokens(line, BYTES, rule))) == words


@pytest.mark.parametrize("name", TEXTS)
def test_words_of_pieces_begin_and_end_where_words_of_the_text_do(name: str) -> None:
    vocabulary = BpeVocabulary.train(lines(name) * 3, size=N_SPECIAL + 300)
    rule = choose_rule(lines(name))
    for line, (words, _) in zip(lines(name), TEXTS[name], strict=True):
        found = words_of_tokens(line, vocabulary, rule)
        # A piece may hold several words, and is not divided.
        assert [word for unit in found for word in rule.split(unit)] == words


@pytest.mark.parametrize("name", ["divided chinese", "korean", "english", "hindi"])
def test_every_word_of_a_word_vocabulary_is_a_unit(name: str) -> None:
    vocabulary = WordVocabulary.train(lines(name), size=100)
    for line, (words, _) in zip(lines(name), TEXTS[name], strict=True):
        assert list(map(bare, words_of_tokens(line, vocabulary, BETWEEN_BLANKS))) == words


@settings(max_examples=60, deadline=None)
@given(
    st.text(ALPHABET, max_size=12),
    st.sampled_from([BETWEEN_BLANKS, WordRule(divides=True)]),
)
def test_units_are_words_with_the_blanks_before_them(line: str, rule: WordRule) -> None:
    # A sign that stacks letters stands between two letters in text that means something.
    assume(not re.search(r"\u17d2[\s\u200b]", line))
    # Blanks behind the last word, and only they, are a unit without a word.
    found = list(map(bare, words_of_tokens(f"{line}x", ANY, rule)))
    assert found == rule.split(f"{line}x")


def test_blanks_in_a_row_belong_to_the_word_behind_them() -> None:
    assert words_of_tokens("a \u00a0x", ANY, BETWEEN_BLANKS) == ["a", " \u00a0x"]
    assert words_of_tokens("a\tb", BYTES, BETWEEN_BLANKS) == [" a", "\tb"]


def test_special_tokens_lead_and_nothing_else() -> None:
    edges = word_edges(CHARACTERS, WordRule(divides=True))
    assert edges[:, :N_SPECIAL].tolist() == [[row == Edge.LEADS] * N_SPECIAL for row in Edge]
