"""Text to ids and back."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskbench.data.vocabulary import (
    BOS,
    EOS,
    MASK,
    N_SPECIAL,
    PAD,
    SPECIAL_NAMES,
    UNK,
    BpeVocabulary,
    CharacterVocabulary,
    Vocabulary,
    WordVocabulary,
)
from maskbench.errors import CorpusError

LINES = [
    "ein alter Mann schläft .",
    "eine alte Frau schläft nicht .",
    "the old man sleeps .",
    "the old woman <mask> sleeps not .",
] * 5
BPE = BpeVocabulary.train(LINES, size=300)
WORDS = WordVocabulary.train(LINES, size=50)
CHARACTERS = CharacterVocabulary.train(LINES, size=50)
BOTH = pytest.mark.parametrize("vocabulary", [BPE, WORDS], ids=["bpe", "word"])
ALL = pytest.mark.parametrize("vocabulary", [BPE, WORDS, CHARACTERS], ids=["bpe", "word", "char"])


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_bpe_gives_back_every_string_exactly(text: str) -> None:
    assert BPE.decode(BPE.encode(text)) == text


@given(st.lists(st.sampled_from(["ein", "alter", "Mann", "schläft", "<mask>", "."])))
def test_words_come_back_with_single_spaces(words: list[str]) -> None:
    assert WORDS.decode(WORDS.encode("  ".join(words))) == " ".join(words)


@ALL
@pytest.mark.parametrize("name", SPECIAL_NAMES)
def test_text_that_spells_a_mark_never_becomes_the_mark(vocabulary: Vocabulary, name: str) -> None:
    ids = vocabulary.encode(f"the {name} man{name}")
    assert not {PAD, BOS, EOS, MASK} & set(ids)
    assert not isinstance(vocabulary, BpeVocabulary) or UNK not in ids


def test_a_word_that_spells_a_mark_has_an_ordinary_id() -> None:
    index = WORDS.id_of("<mask>")
    assert index is not None and index >= N_SPECIAL


@ALL
def test_ids_of_marks_cannot_be_looked_up_by_name(vocabulary: Vocabulary) -> None:
    assert vocabulary.id_of("<pad>") is None


@ALL
def test_every_ordinary_token_is_found_under_its_own_name(vocabulary: Vocabulary) -> None:
    ordinary = range(N_SPECIAL, len(vocabulary))
    assert [vocabulary.id_of(vocabulary.token(i)) for i in ordinary] == list(ordinary)


@ALL
def test_there_is_no_token_outside_the_vocabulary(vocabulary: Vocabulary) -> None:
    for index in (-1, len(vocabulary)):
        with pytest.raises(IndexError, match="outside"):
            vocabulary.token(index)


@ALL
def test_decoding_leaves_out_padding_and_ends(vocabulary: Vocabulary) -> None:
    ids = vocabulary.encode("the old man")
    assert vocabulary.decode([BOS, *ids, EOS, PAD, PAD]) == "the old man"


@BOTH
def test_a_mark_that_stands_for_a_word_is_shown(vocabulary: Vocabulary) -> None:
    ids = [MASK, *vocabulary.encode("old"), UNK, *vocabulary.encode("sleeps"), MASK]
    assert vocabulary.decode(ids) == "<mask> old <unk> sleeps <mask>"


@ALL
def test_a_vocabulary_survives_json(vocabulary: Vocabulary) -> None:
    again = Vocabulary.from_json(vocabulary.to_json())
    assert type(again) is type(vocabulary)
    assert again.to_json() == vocabulary.to_json() and len(again) == len(vocabulary)
    assert again.encode_all(LINES) == vocabulary.encode_all(LINES)


@given(st.lists(st.sampled_from("einalterMnchäf<>. ")))
def test_known_characters_come_back_exactly_each_as_one_token(characters: list[str]) -> None:
    text = "".join(characters)
    ids = CHARACTERS.encode(text)
    assert len(ids) == len(text) and CHARACTERS.decode(ids) == text


def test_an_unknown_character_is_shown_in_its_place_without_spaces() -> None:
    ids = CHARACTERS.encode("no dog is")
    assert [ids[5], len(ids)] == [UNK, 9] and ids.count(UNK) == 1
    assert CHARACTERS.decode([*ids, MASK, EOS]) == "no do<unk> is<mask>"


def test_characters_are_ranked_by_frequency_and_then_by_code_point() -> None:
    vocabulary = CharacterVocabulary.train(["b a", "bca", "d"], size=9, min_frequency=1)
    assert [vocabulary.token(i) for i in range(N_SPECIAL, 9)] == ["a", "b", " ", "c"]
    assert CharacterVocabulary.train(["b a", "bca"], size=50, min_frequency=2).encode("abc ") == [
        5,
        6,
        UNK,
        UNK,
    ]


def test_a_token_is_spelled_as_it_stands_in_a_line() -> None:
    assert [CHARACTERS.spelling(i) for i in CHARACTERS.encode("n s")] == [b"n", b" ", b"s"]
    assert b"".join(BPE.spelling(i) for i in BPE.encode("mañana 我\u00a0x")) == " mañana 我\u00a0x".encode()
    assert WordVocabulary(["ä"]).spelling(N_SPECIAL) == b" \xc3\xa4"
    with pytest.raises(IndexError):
        CHARACTERS.spelling(MASK)


def test_a_character_list_with_a_repetition_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        CharacterVocabulary(["a", "b", "a"])


def test_an_unknown_kind_of_vocabulary_is_refused() -> None:
    with pytest.raises(CorpusError, match="'sentencepiece'"):
        Vocabulary.from_json('{"kind": "sentencepiece"}')


def test_a_word_list_with_a_repetition_is_refused() -> None:
    with pytest.raises(ValueError, match="'b' is in the vocabulary twice"):
        WordVocabulary(["a", "b", "b"])


def test_words_are_ranked_by_frequency_and_then_by_code_point() -> None:
    vocabulary = WordVocabulary.train(["b a c b", "a d"], size=8)
    assert [vocabulary.token(i) for i in range(N_SPECIAL, len(vocabulary))] == ["a", "b", "c"]


def test_rare_words_are_unknown() -> None:
    vocabulary = WordVocabulary.train(["b a b", "a d"], size=100, min_frequency=2)
    assert vocabulary.encode("a d b e") == [N_SPECIAL, UNK, N_SPECIAL + 1, UNK]


@pytest.mark.parametrize("size", [261, 270, 300])
def test_bpe_has_at_most_the_entries_asked_for(size: int) -> None:
    assert len(BpeVocabulary.train(LINES, size=size)) <= size


def test_bpe_of_no_text_at_all_still_knows_every_byte() -> None:
    assert len(BpeVocabulary.train([], size=1000)) == N_SPECIAL + 256


def test_a_word_has_the_same_subwords_at_the_start_of_a_line_and_inside() -> None:
    assert BPE.encode("man sleeps man") == [*BPE.encode("man"), *BPE.encode("sleeps"), *BPE.encode("man")]


@settings(max_examples=20)
@given(st.lists(st.text(alphabet="ab ä"), max_size=6))
def test_encoding_many_is_encoding_each(texts: list[str]) -> None:
    assert BPE.encode_all(texts) == [BPE.encode(text) for text in texts]


def test_two_processes_learn_the_same_merges() -> None:
    script = (
        "import sys; from maskbench.data.vocabulary import BpeVocabulary as V;"
        "print(ascii(V.train([' '.join(f'{i * j % 97}x{i % 7}' for j in range(9)) for i in range(500)], size=400).to_json()))"
    )
    run = [sys.executable, "-c", script]
    first, second = (subprocess.run(run, capture_output=True, check=True, text=True).stdout for _ in range(2))
    assert first == second and len(first) > 1000


def test_only_characters_have_something_between_words() -> None:
    assert (
        CharacterVocabulary(["a", " "]).separator_ids == [6]
        and CharacterVocabulary(["a"]).separator_ids == []
    )
    assert (
        WordVocabulary(["a", " "]).separator_ids == BpeVocabulary.train(["a b"], size=261).separator_ids == []
    )
