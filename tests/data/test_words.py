"""What a word is, by hand in many scripts, and against Unicode's grapheme clusters."""

from __future__ import annotations

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st
from scripts import CHARACTERS, ONE_TOKEN, TEXTS, lines

from maskbench.data.words import BETWEEN_BLANKS, WordRule, choose_rule, lacks_white_space

BY_CHARACTER = WordRule(divides=True)
ALPHABET = "aé 我。กำ\u0e49ក្\u17d2န မြ\u1039\u3099か\u200b\u0f0b\u00a0\u3000\tx한"
SCRIPTS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}。《》ー"


@pytest.mark.parametrize("name", TEXTS)
def test_words_of_a_text_are_those_written_out_by_hand(name: str) -> None:
    rule = choose_rule(lines(name))
    assert rule.divides == (name in CHARACTERS)
    assert [rule.split(line) for line in lines(name)] == [words for words, _ in TEXTS[name]]
    assert lacks_white_space(lines(name), rule) == (name in ONE_TOKEN)


@pytest.mark.parametrize("name", CHARACTERS)
def test_characters_that_are_words_are_grapheme_clusters(name: str) -> None:
    for line in lines(name):
        # Unicode leaves some spacing vowels of Burmese outside the cluster of their consonant.
        clusters = regex.findall(r"\X\p{M}*", line)
        alone = [c for c in clusters if regex.match(f"[{SCRIPTS}]", c)]
        assert [word for word in BY_CHARACTER.split(line) if regex.match(f"[{SCRIPTS}]", word)] == alone


@given(st.text(ALPHABET, max_size=14), st.sampled_from([BETWEEN_BLANKS, BY_CHARACTER]))
def test_words_and_blanks_together_are_the_line(line: str, rule: WordRule) -> None:
    found = rule.divide(line)
    assert len(found.blanks) == len(found.words) + 1
    assert line == found.blanks[0] + "".join(
        word + blank for word, blank in zip(found.words, found.blanks[1:], strict=True)
    )
    assert all(word and not regex.search(r"[\s\u200b\u0f0b\u1361]", word) for word in found.words)
    assert not regex.search(r"[^\s\u200b\u0f0b\u1361]", "".join(found.blanks))


@given(
    st.lists(st.sampled_from(["a", "bé", "我", "한국", ",", "کتاب"]), max_size=6),
    st.sampled_from(" \t\u3000\u00a0"),
)
def test_between_blanks_words_are_those_that_python_splits(words: list[str], blank: str) -> None:
    line = blank.join(words)
    assert BETWEEN_BLANKS.split(line) == line.split()


@given(st.lists(st.sampled_from(["我", "ข้", "abc", "កី", "1", "。"]), min_size=2, max_size=2))
def test_two_words_fuse_where_both_are_plain(words: list[str]) -> None:
    plain = [word in ("abc", "1") for word in words]
    assert BY_CHARACTER.fuses(*words) == all(plain)


def test_a_foreign_name_does_not_change_what_the_words_of_a_text_are() -> None:
    english = ["she went to 北京 last year", "the 東京タワー is high and red", "a dog", "no words at all"]
    assert choose_rule(english) == BETWEEN_BLANKS
    chinese = ["我 用iPhone拍照", "[translate] 他喜欢猫和狗和鸟", "iPhone"]
    assert choose_rule(chinese) == BY_CHARACTER
    # Blanks between phrases alone are not blanks between words.
    assert choose_rule(["ฉันกินข้าวเช้า แล้วไปโรงเรียน"]) == BY_CHARACTER
    assert choose_rule([]) == choose_rule(["", "a"]) == BETWEEN_BLANKS


def test_of_a_long_text_lines_from_everywhere_count() -> None:
    assert choose_rule(["a b"] * 30_000 + ["我喜欢猫"] * 20_000) == BY_CHARACTER
