"""JSON lines: keys at the top or in `translation`, none twice, and every malformed line with its number and a way out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maskbench.data.text.pair_files import PairFiles, SentencePairs
from maskbench.errors import CorpusError


def read(folder: Path, *lines: str) -> SentencePairs:
    (folder / "t.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="")
    return PairFiles((folder / "t.jsonl",), "de", "en").read()


@pytest.mark.parametrize(
    "line",
    [
        '{"translation": {"de": "a", "en": "b"}}',
        '{"id": "7", "translation": {"en": "b", "de": "a", "fr": 3}, "score": NaN}',
        '{"translation": {"src": "a", "tgt": "b"}}',
        '{"translation": "x", "src": "a", "tgt": "b"}',
        '{"translation": {"de": "x", "en": "y"}, "de": "a", "en": "b"}',
        '{"src": "a", "tgt": "b", "translation": {"fr": "y"}}',
        '\ufeff{"de": "a", "en": "b"}',
    ],
)
def test_the_keys_stand_at_the_top_or_in_translation(tmp_path: Path, line: str) -> None:
    text = read(tmp_path, line, line)
    assert text.pairs == [("a", "b")] * 2 and text.locate(1, 0).endswith("t.jsonl:2")


def test_a_byte_order_mark_between_joined_files_is_removed_with_a_note(tmp_path: Path) -> None:
    line = '{"de": "\\ufeffa", "en": "b"}'
    text = read(tmp_path, line, f"\ufeff{line}")
    # Escaped in a string, it is text.
    assert text.pairs == [("\ufeffa", "b")] * 2
    assert text.notes == (
        "t.jsonl: byte order marks at the start of line 2, or behind a tab there, are removed",
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            '{"translation": {"de": "a"}}',
            r"there is no key 'en' in 'translation' \(keys of this line: 'de'\)",
        ),
        ('{"de": "a", "en": "b"}', r"'translation' must be an object, as in line 1, found no such key"),
        ('{"translation": null}', "'translation' must be an object, as in line 1, found null"),
        ('{"translation": {"de": ["a"], "en": "b"}}', "the value of 'de' must be a string, found a list"),
    ],
)
def test_all_lines_have_their_keys_where_the_first_line_has_them(
    tmp_path: Path, line: str, message: str
) -> None:
    with pytest.raises(CorpusError, match=rf"t\.jsonl:2: {message}"):
        read(tmp_path, '{"translation": {"de": "a", "en": "b"}}', line)


def test_the_lists_of_a_varying_number_of_languages_are_refused(tmp_path: Path) -> None:
    row = {"translation": {"language": ["de", "en"], "translation": ["a", "b"]}}
    with pytest.raises(
        CorpusError, match=r"there is no key 'de' in 'translation' \(keys of this line: 'language', 'transl"
    ):
        read(tmp_path, json.dumps(row))


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('{"de": "x", "en": "b", "de": "a"}', "de"),
        ('{"de": "a", "en": "b", "en": "b"}', "en"),
        ('{"de": "a", "en": "b", "id": 1, "id": 2}', "id"),
        ('{"translation": {"de": "x", "en": "b", "de": "a"}}', "de"),
        ('{"de": "a", "en": "b", "meta": {"by": [{"x": 1, "x": 1}]}}', "x"),
        ('{"de": "a", "en": "b", "d\\u0065": "c"}', "de"),
    ],
)
def test_a_key_that_stands_twice_is_refused_at_any_depth(tmp_path: Path, line: str, key: str) -> None:
    good = '{"de": "a", "en": "b"}'
    with pytest.raises(
        CorpusError, match=rf"t\.jsonl:2: the key '{key}' stands twice in one object, .*remove one"
    ):
        read(tmp_path, good, line)


def test_one_key_may_stand_in_two_objects(tmp_path: Path) -> None:
    assert read(tmp_path, '{"de": "a", "en": "b", "x": {"de": 1, "y": {"de": 2}}}').pairs == [("a", "b")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[", "not valid JSON: .*is the file one JSON list.*jq -c"),
        ('[{"de": "a", "en": "b"}]', "expected a JSON object, found a list.*jq -c"),
        ("{", "not valid JSON: .*is an object spread over lines.*jq -c"),
        ('{"de": "a",', "not valid JSON: .*is an object spread over lines"),
        ('{"de": "a", "en": "b"},', r"not valid JSON: Extra data .*\(remove the comma after the object\)"),
        ('{"de": "a", "en": "b",}', "not valid JSON: .*at character"),
        ("", r"not valid JSON: the line is empty; every line must be one object \(remove the line\)"),
        ('{"de": NaN, "en": "b"}', "the value of 'de' must be a string, found NaN, no number"),
        (
            '{"de": 3, "en": "b"}',
            "must be a string, found a number; put it into quotation marks if it is text",
        ),
        ('{"de": "a", "en": null}', 'found null; write "" for a side without text'),
        ('{"de": {"text": "a"}, "en": "b"}', "the value of 'de' must be a string, found an object"),
        ('{"de": "a\\nb", "en": "b"}', "holds a line end; .* so put a space in its place"),
        ("{'de': 'a', 'en': 'b'}", "not valid JSON: Expecting property name enclosed in double quotes"),
        (
            '{"de": "a", "en": "b"}\r{"de": "c", "en": "d"}',
            r"not valid JSON: .*\(the line holds 1 carriage return, which",
        ),
    ],
)
def test_what_is_no_line_of_json_is_refused_with_a_likely_reason(
    tmp_path: Path, line: str, message: str
) -> None:
    (tmp_path / "t.jsonl").write_text(f"{line}\n", newline="")
    with pytest.raises(CorpusError, match=rf"t\.jsonl:1: .*{message}"):
        PairFiles((tmp_path / "t.jsonl",), "de", "en").read()
