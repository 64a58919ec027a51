"""Quotation marks of tables: those of csv writers are taken off, those of the text stay, and a mixture is refused."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskbench.data.text.pair_files import PairFiles, SentencePairs
from maskbench.data.text.table_rows import Quotes, find_quoting, read_table
from maskbench.errors import CorpusError

REUSE_TMP = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150
)


def table(folder: Path, data: str, quotes: Quotes = "auto") -> SentencePairs:
    (folder / "t.tsv").write_text(data, encoding="utf-8", newline="")
    return PairFiles((folder / "t.tsv",), "de", "en", quotes=quotes).read()


SAID = '"Er sagte ""ja"""\t"He said ""yes"""\n'


@pytest.mark.parametrize(
    ("data", "pairs"),
    [
        (SAID, [('Er sagte "ja"', 'He said "yes"')]),
        (SAID + "Hund\tdog\n", [('Er sagte "ja"', 'He said "yes"'), ("Hund", "dog")]),
        (SAID + '5" Nagel\tnail of 5"\n', [('Er sagte "ja"', 'He said "yes"'), ('5" Nagel', 'nail of 5"')]),
        ('"""Ja"""\tyes\n', [('"Ja"', "yes")]),
        ('""""\tx\n', [('"', "x")]),
        ('"Hund"\t"dog"\n"Mann"\t"man"\n', [("Hund", "dog"), ("Mann", "man")]),
        ('"Hund"\t"dog"\n""\t"man"\nNein\tno\n', [("Hund", "dog"), ("", "man"), ("Nein", "no")]),
        ('"Hund"\tdog\n"Mann"\tman\n', [("Hund", "dog"), ("Mann", "man")]),
        ('"a\tb"\tx\nc\ty\n', [("a\tb", "x"), ("c", "y")]),
        ('"de"\t"en"\n' + SAID, [('Er sagte "ja"', 'He said "yes"')]),
        ('"en"\t"de"\r\n' + SAID.replace("\n", "\r\n"), [('He said "yes"', 'Er sagte "ja"')]),
        ("\ufeff" + SAID, [('Er sagte "ja"', 'He said "yes"')]),
        ('"Er ""x"""\t"y"\t"CC ""BY"""\n', [('Er "x"', "y")]),
    ],
)
def test_quotation_marks_of_a_csv_writer_are_taken_off_with_a_note(
    tmp_path: Path, data: str, pairs: list[tuple[str, str]]
) -> None:
    text = table(tmp_path, data)
    assert text.pairs == pairs
    assert len([note for note in text.notes if "removed, and doubled ones inside are single" in note]) == 1
    assert table(tmp_path, data, "csv").pairs == pairs


@pytest.mark.parametrize(
    ("data", "pairs"),
    [
        ('5" Nagel\tnail, 5"\n', [('5" Nagel', 'nail, 5"')]),
        ('"Ja", sagte er.\t"Yes," he said.\n', [('"Ja", sagte er.', '"Yes," he said.')]),
        ('"Ja.\t"Yes.\nEr kam."\tHe came."\n', [('"Ja.', '"Yes.'), ('Er kam."', 'He came."')]),
        ('""Ja""\tyes\n', [('""Ja""', "yes")]),
        ('er sagte ""\the said ""\n', [('er sagte ""', 'he said ""')]),
        ('"Ja,\tYes"\nHund\tdog\n', [('"Ja,', 'Yes"'), ("Hund", "dog")]),
        (' "Ja"\t yes\n', [(' "Ja"', " yes")]),
        ("'Ja'\t“Yes”\n", [("'Ja'", "“Yes”")]),
        ('"\tx\n', [('"', "x")]),
    ],
)
def test_quotation_marks_that_no_csv_writer_put_there_are_text(
    tmp_path: Path, data: str, pairs: list[tuple[str, str]]
) -> None:
    text = table(tmp_path, data)
    assert (text.pairs, text.notes) == (pairs, ())
    assert table(tmp_path, data, "text").pairs == pairs


def test_fields_in_quotation_marks_are_text_unless_most_of_a_column_is_and_a_note_says_so(
    tmp_path: Path,
) -> None:
    data = '"Danke."\t"Thank you."\nHund\tdog\n'
    text = table(tmp_path, data)
    assert text.pairs == [('"Danke."', '"Thank you."'), ("Hund", "dog")]
    (note,) = text.notes
    assert (
        note.startswith("t.tsv: quotation marks around 2 fields are kept as text") and "quotes: csv" in note
    )
    assert table(tmp_path, data, "csv").pairs == [("Danke.", "Thank you."), ("Hund", "dog")]
    assert table(tmp_path, data + "Mann\tman\n" * 9, "text").notes == ()
    assert table(tmp_path, '"Danke."\tx\n', "text").pairs == [('"Danke."', "x")]


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (SAID + '"Hund\tdog\n', 2),
        (SAID + '"Hund" und Mann\tdog\n', 2),
        (SAID + 'Hund\t"dog\n', 2),
        ("a\tb\n" + SAID + '"Er sagte\nja"\t"yes"\n', 3),
        ('"a"\t"b"\n"c"\t"d"\n"e"\t"f\n', 3),
        ('"a"\t"b"\n"c"\t"d"\n"Er sagte \\"ja\\""\t"f"\n', 3),
    ],
)
def test_a_field_that_contradicts_a_quoted_table_is_refused_with_its_line_and_the_way_out(
    tmp_path: Path, data: str, line: int
) -> None:
    with pytest.raises(
        CorpusError,
        match=rf"t\.tsv:{line}: a field begins with a quotation mark that is not closed .* \(the table has .*\)"
        r".*quotes: text",
    ):
        table(tmp_path, data)


def test_a_table_said_to_be_csv_is_refused_where_it_is_not(tmp_path: Path) -> None:
    with pytest.raises(
        CorpusError, match=r"t\.tsv:2: a field begins with a quotation mark that is not closed"
    ):
        table(tmp_path, 'a\tb\n"c\td\n', "csv")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a\tb\n\n", r"t\.tsv:2: expected 2 or 3 columns .* found 1 \(the line is empty: remove it\)"),
        ("a\tb\n \n", r"t\.tsv:2: .*\(the line is empty: remove it\)"),
        ("a,b\n", r"t\.tsv:1: .* found 1 \(there is no tab; commas end no column\)"),
        ("a;b\n", r"t\.tsv:1: .*semicolons end no column"),
        ("a  b\n", r"t\.tsv:1: .*spaces end no column"),
        ("ab\n", r"t\.tsv:1: .*\(there is no tab\)"),
        ("a\tb\nc\td\re\tf\rg\th\ni\tj\n", r"t\.tsv:2: .* found 4 \(the line holds 2 carriage returns, which end no line\)"),
        ('a\tb\n"c\nd"\te\n', r"t\.tsv:2: .* found 1 \(line 2 opens a quotation mark that it does not close"),
        ('a\t"b\nc"\nd\te\n', r"t\.tsv:2: .* found 1 \(line 2 opens|line 1 opens"),
        ("a\tb\nc\td\te\n", r"t\.tsv:2: has 3 columns, but line 1 has 2; .* mend the line$"),
    ],
)  # fmt: skip
def test_a_ragged_row_is_refused_with_a_likely_reason(tmp_path: Path, data: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        table(tmp_path, data)


FIELD = st.text(st.sampled_from(['"', "a", " ", ",", "'", "ß"]), max_size=5)
ROWS = st.lists(st.tuples(FIELD, FIELD), min_size=1, max_size=6)


def written(rows: list[tuple[str, str]], quoting: int) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter="\t", lineterminator="\n", quoting=quoting).writerows(rows)  # type: ignore[arg-type]
    return out.getvalue()


@REUSE_TMP
@given(ROWS, st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]))
def test_whatever_the_librarys_writer_writes_is_read_as_it_was(
    tmp_path: Path, rows: list[tuple[str, str]], quoting: int
) -> None:
    # A column that the writer quotes for a comma alone does not exist: it ends fields with tabs.
    (tmp_path / "t.tsv").write_text(written(rows, quoting), encoding="utf-8", newline="")
    assert read_table(tmp_path / "t.tsv").rows == [list(row) for row in rows]


@REUSE_TMP
@given(ROWS)
def test_a_plain_table_is_never_changed_silently(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    lines = ["\t".join(row) for row in rows]
    (tmp_path / "t.tsv").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="")
    assert read_table(tmp_path / "t.tsv", "text").rows == [list(row) for row in rows]
    try:
        read = read_table(tmp_path / "t.tsv")
    except CorpusError as error:
        assert "quotation mark" in str(error) and find_quoting(lines).is_csv
        return
    if read.rows != [list(row) for row in rows]:
        assert any("removed, and doubled ones" in note for note in read.notes)
        assert read.rows == list(csv.reader(lines, delimiter="\t", strict=True))
