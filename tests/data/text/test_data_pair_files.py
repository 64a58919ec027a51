"""Pairs from aligned files, tables and JSON lines: in order, each with its line, or refused with it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from maskbench.data.text.pair_files import PairFiles, SentencePairs, find_pair_files
from maskbench.errors import CorpusError


def table(folder: Path, data: str, name: str = "t.tsv", **how: object) -> SentencePairs:
    (folder / name).write_bytes(data.encode())
    return PairFiles((folder / name,), "de", "en", **how).read()  # type: ignore[arg-type]


def test_a_table_has_source_and_target_in_two_columns(tmp_path: Path) -> None:
    text = table(tmp_path, "ein Hund\ta dog\r\nzwei\u2028\ttwo\n\t\n")
    assert text.pairs == [("ein Hund", "a dog"), ("zwei\u2028", "two"), ("", "")]
    assert list(text.line_numbers) == [1, 2, 3] and text.notes == ()


def test_a_third_column_is_ignored_even_where_it_is_empty(tmp_path: Path) -> None:
    text = table(tmp_path, "a\tb\tCC-BY 2.0 #1\nc\td\t\n")
    assert text.pairs == [("a", "b"), ("c", "d")]
    assert text.notes == ("t.tsv: the third column is ignored (line 1: 'CC-BY 2.0 #1')",)
    assert table(tmp_path, "de\ten\tby\na\tb\t\nc\td\te\n").notes[1:] == (
        "t.tsv: the third column is ignored (line 3: 'e')",
    )
    assert table(tmp_path, "a\tb\t\n").notes == ()


@pytest.mark.parametrize(
    ("head", "columns"),
    [
        ("id\tde\ten", "2,3"),
        ("id\tEN\tde", "2,3"),
        ("src\tid\ttgt", "1,3"),
        ("\tsource\ttarget", "2,3"),
        ("\t0\t1", "2,3"),
        ('""\t"1"\t"2"', "2,3"),
    ],
)
def test_a_header_that_names_other_columns_than_the_first_two_is_refused_with_the_way_out(
    tmp_path: Path, head: str, columns: str
) -> None:
    data = f"{head}\n0\tHund\tdog\n"
    for header in ("auto", True):
        with pytest.raises(
            CorpusError, match=rf"t\.tsv:1: the header names .*: cut -f{columns} OLD > NEW .*header: false"
        ):
            table(tmp_path, data, header=header)
    assert len(table(tmp_path, data, header=False).pairs) == 2
    # Numbers in three columns are data, and so is a name that stands alone.
    assert len(table(tmp_path, "a\t0\t1\n0\t1\t2\n").pairs) == 2
    assert len(table(tmp_path, "id\tde\tfr\n0\t1\t2\n").pairs) == 2


@pytest.mark.parametrize(("line", "columns"), [("a", 1), ("", 1), ("a\tb\tc\td", 4)])
def test_a_row_with_too_few_or_too_many_columns_is_refused_with_its_line(
    tmp_path: Path, line: str, columns: int
) -> None:
    with pytest.raises(CorpusError, match=rf"t\.tsv:2: expected 2 or 3 columns .* found {columns}"):
        table(tmp_path, f"a\tb\n{line}\n")


@pytest.mark.parametrize("rows", [["a\tb", "a\tb\tc"], ["a\tb\tc", "a\tb"]])
def test_a_row_with_another_number_of_columns_than_the_first_is_refused(
    tmp_path: Path, rows: list[str]
) -> None:
    # A tab inside a sentence would otherwise pass for the mark between source and target.
    with pytest.raises(CorpusError, match=r"t\.tsv:2: has [23] columns, but line 1 has [23];"):
        table(tmp_path, "\n".join(rows))


@pytest.mark.parametrize(
    "head", ["de\ten", "DE\tEn", "src\ttgt", "Source\tTarget", "1\t2", "0\t1", " de \ten", "de\ten\tby"]
)
def test_a_first_line_that_names_the_columns_is_a_header_by_itself(tmp_path: Path, head: str) -> None:
    more = "\tx" * (head.count("\t") - 1)
    text = table(tmp_path, f"{head}\nHund\tdog{more}\n")
    assert text.pairs == [("Hund", "dog")] and text.locate(0, 1).endswith("t.tsv:2")
    assert len(text.notes) == 1 + bool(more) and text.notes[0].startswith(
        "t.tsv:1 is taken for a header, not for a pair ("
    )


@pytest.mark.parametrize("head", ["en\tde", "Target\tsource", "tgt\tsrc"])
def test_a_header_gives_the_order_of_the_columns(tmp_path: Path, head: str) -> None:
    text = table(tmp_path, f"{head}\ndog\tHund\n")
    assert text.pairs == [("Hund", "dog")] and "target, source" in text.notes[0]
    assert table(tmp_path, f"{head}\ndog\tHund\n", header=True).pairs == [("Hund", "dog")]


@pytest.mark.parametrize("head", ["de\tfr", "2\t1", "1\t3", "deutsch\tenglisch", "de\tde", "\t"])
def test_any_other_first_line_is_a_pair(tmp_path: Path, head: str) -> None:
    text = table(tmp_path, f"{head}\nHund\tdog\n")
    assert text.pairs == [tuple(head.split("\t")), ("Hund", "dog")] and text.notes == ()


def test_a_header_may_be_promised_or_denied(tmp_path: Path) -> None:
    assert table(tmp_path, "x\ty\nHund\tdog\n", header=True).pairs == [("Hund", "dog")]
    assert table(tmp_path, "de\ten\n", header=False).pairs == [("de", "en")]
    assert table(tmp_path, "", header=True).pairs == [] == table(tmp_path, "").pairs


def test_json_lines_are_read_by_the_names_of_the_languages(tmp_path: Path) -> None:
    rows = [{"id": 7, "en": "dog", "de": "Hund\u2028"}, {"de": "", "en": "cat\t", "tags": [None]}]
    text = table(tmp_path, "".join(f"{json.dumps(row)}\n" for row in rows), "t.jsonl")
    assert text.pairs == [("Hund\u2028", "dog"), ("", "cat\t")] and list(text.line_numbers) == [1, 2]


def test_all_json_lines_have_the_keys_of_the_first(tmp_path: Path) -> None:
    with pytest.raises(
        CorpusError, match=r"t\.jsonl:2: there is no key 'de' \(keys of this line: 'src', 'tgt'\)"
    ):
        table(tmp_path, '{"de": "a", "en": "b"}\n{"src": "a", "tgt": "b"}\n', "t.jsonl")


def test_json_lines_are_read_by_src_and_tgt_where_the_first_has_neither_language(tmp_path: Path) -> None:
    assert table(tmp_path, '{"src": "a", "tgt": "b"}\n', "t.jsonl").pairs == [("a", "b")]
    with pytest.raises(
        CorpusError, match=r"t\.jsonl:2: there is no key 'src' \(keys of this line: 'de', 'en'\)"
    ):
        table(tmp_path, '{"src": "a", "tgt": "b"}\n{"de": "a", "en": "b"}\n', "t.jsonl")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"de": "a"}', "there is no key 'en'"),
        ("{}", r"there is no key 'src' \(keys of this line: none\)"),
        ('{"de": "a", "en": 3}', "the value of 'en' must be a string, found a number"),
        ('{"de": null, "en": "b"}', "the value of 'de' must be a string, found null"),
        ('{"de": "a", "en": ["b"]}', "found a list"),
        ('{"de": "a", "en": true}', "found true or false"),
        ('{"de": "a\\nb", "en": "c"}', "the value of 'de' holds a line end"),
        ('{"de": "a\\u0000b", "en": "c"}', "holds a NUL"),
        ('{"de": "a\\ud800", "en": "c"}', "holds half of a surrogate pair"),
        ('{"de": "a", "en": "b"', "not valid JSON: Expecting ',' delimiter at character 22"),
        ("", "not valid JSON: the line is empty"),
        ('["a", "b"]', "expected a JSON object, found a list"),
        ('"a"', "found a string"),
        ('{"de": "a", "en": "b"} {}', "not valid JSON: Extra data"),
        ("[" * 100_000, "nested too deeply"),
        (f'{{"n": {"9" * 5000}}}', "too long a number"),
    ],
)
def test_json_that_is_no_pair_is_refused_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    first = '{"de": "a", "en": "b"}\n' if line != "{}" else ""
    with pytest.raises(CorpusError, match=rf"t\.jsonl:{1 + bool(first)}: .*{message}"):
        table(tmp_path, f"{first}{line}\n", "t.jsonl")


def test_escaped_characters_of_json_are_characters(tmp_path: Path) -> None:
    text = table(tmp_path, '{"de": "M\\u00e4nner \\ud83d\\ude00 \\"a\\"", "en": "men"}', "t.jsonl")
    assert text.pairs == [('Männer 😀 "a"', "men")]


@pytest.mark.parametrize("name", ["t.tsv.gz", "t.jsonl.gz"])
def test_compressed_tables_and_json_lines_are_read_as_the_plain_ones(tmp_path: Path, name: str) -> None:
    data = b"a\tb\n" if "tsv" in name else b'{"de": "a", "en": "b"}\n'
    (tmp_path / name).write_bytes(gzip.compress(data))
    assert PairFiles((tmp_path / name,), "de", "en").read().pairs == [("a", "b")]


def test_files_are_found_aligned_before_tables_before_json_and_plain_before_compressed(
    tmp_path: Path,
) -> None:
    def found() -> list[str]:
        source, _ = find_pair_files(tmp_path, "dev", "de", "en")
        return [path.name for path in source.files] if source else []

    seen = []
    for name in ["dev.de", "dev.jsonl.gz", "dev.jsonl", "dev.tsv.gz", "dev.tsv", "dev.en.gz", "dev.en"]:
        (tmp_path / name).touch()
        seen.append(found())
    assert seen == [
        [], ["dev.jsonl.gz"], ["dev.jsonl"], ["dev.tsv.gz"], ["dev.tsv"],
        ["dev.de", "dev.en.gz"], ["dev.de", "dev.en"],
    ]  # fmt: skip


def test_everything_that_was_looked_for_is_returned(tmp_path: Path) -> None:
    _, looked_for = find_pair_files(tmp_path, "dev", "de", "en")
    names = ["dev.de", "dev.en", "dev.tsv", "dev.jsonl"]
    assert [path.name for path in looked_for] == [name + end for name in names for end in ("", ".gz")]


def test_pairs_keep_their_lines_when_some_are_chosen_or_turned(tmp_path: Path) -> None:
    text = table(tmp_path, "de\ten\na\tb\nc\td\ne\tf\n").select([2, 0]).swapped()
    assert text.pairs == [("f", "e"), ("b", "a")]
    assert [text.locate(i, 0).rsplit(":", 1)[1] for i in range(2)] == ["4", "2"]
