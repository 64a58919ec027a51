"""What is exported is read back as it was, in both formats, or refused with the pair and the way out."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskbench.data.corpus import Split, encode_split
from maskbench.data.export import format_json_lines, format_table
from maskbench.data.text.pair_files import PairFiles
from maskbench.data.vocabulary import WordVocabulary
from maskbench.errors import CorpusError

REUSE_TMP = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150
)
PIECES = ['"', '""', "a", "ß", " ", ",", "src", "1", "\u2028", "\x85", "\x0c", "\u200b", "{", "\\"]
TEXT = st.lists(st.sampled_from(PIECES), max_size=5).map("".join)
ANY_TEXT = st.lists(st.sampled_from([*PIECES, "\t", "\r", "\ufeff"]), max_size=5).map("".join)


def split_of(pairs: list[tuple[str, str]]) -> Split:
    return encode_split("test", pairs, WordVocabulary([]))


def read_back(folder: Path, name: str, data: str) -> list[tuple[str, str]]:
    (folder / name).write_bytes(data.encode())
    return PairFiles((folder / name,)).read().pairs


@REUSE_TMP
@given(st.lists(st.tuples(TEXT, TEXT), max_size=6))
def test_a_table_reads_back_exactly(tmp_path: Path, pairs: list[tuple[str, str]]) -> None:
    assert read_back(tmp_path, "t.tsv", format_table(split_of(pairs))) == pairs


@REUSE_TMP
@given(st.lists(st.tuples(ANY_TEXT, ANY_TEXT), max_size=6))
def test_json_lines_read_back_exactly(tmp_path: Path, pairs: list[tuple[str, str]]) -> None:
    assert read_back(tmp_path, "t.jsonl", format_json_lines([split_of(pairs)], ())) == pairs


@pytest.mark.parametrize(
    ("pairs", "data"),
    [
        ([("ein Hund", "a dog")], "ein Hund\ta dog\n"),
        ([('"Ja", sagte er.', '5"'), ("a", "b")], '"Ja", sagte er.\t5"\na\tb\n'),
        ([('"Danke."', "x"), ("a", "b")], '"Danke."\tx\na\tb\n'),
        # Read as it stands, these would lose quotation marks.
        ([('"Danke."', '"Thanks."')], '"""Danke."""\t"""Thanks."""\n'),
        ([('"Er ""x"""', '5"'), ("a", "b")], '"""Er """"x"""""""\t"5"""\na\tb\n'),
        # Read as they stand, these would be a header.
        ([("1", "2"), ("3", "4")], "src\ttgt\n1\t2\n3\t4\n"),
        ([("TGT", " Src")], "src\ttgt\nTGT\t Src\n"),
        ([], ""),
    ],
)
def test_a_table_is_plain_unless_reading_would_take_it_for_something_else(
    tmp_path: Path, pairs: list[tuple[str, str]], data: str
) -> None:
    assert format_table(split_of(pairs)) == data
    assert read_back(tmp_path, "t.tsv", data) == pairs


@pytest.mark.parametrize(
    ("mark", "problem"),
    [
        ("\t", "a tab"),
        ("\r", "a carriage return"),
        ("\n", "a line end"),
        ("\0", "a NUL"),
        ("\ufeff", "a byte order"),
    ],
)
@pytest.mark.parametrize("side", [0, 1])
def test_what_a_table_cannot_hold_is_refused_with_the_pair(mark: str, problem: str, side: int) -> None:
    pair = ["a", "b"]
    pair[side] = f"{mark}x"
    with pytest.raises(
        CorpusError,
        match=rf"pair 2 of test has {problem}.* in its {('source', 'target')[side]}, .*export \.jsonl",
    ):
        format_table(split_of([("c", "d"), (pair[0], pair[1])]))
