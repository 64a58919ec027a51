"""Reading parallel text: strict, located, and never shifted."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskbench.data.text import text_files
from maskbench.data.text.pair_files import PairFiles
from maskbench.data.text.text_files import (
    MAX_LINE_BYTES,
    expand_folder,
    hash_corpus_file,
    read_lines,
    read_text,
)
from maskbench.errors import CorpusError

ODD = ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\r"]
REUSE_TMP = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150
)


def pair_of_files(folder: Path, src: bytes, tgt: bytes) -> PairFiles:
    (folder / "train.xx").write_bytes(src)
    (folder / "train.yy").write_bytes(tgt)
    return PairFiles((folder / "train.xx", folder / "train.yy"))


def test_a_folder_may_be_in_somebodys_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert expand_folder("~/a") == expand_folder("a") == tmp_path / "a"
    with pytest.raises(CorpusError, match=r"^~nobody-of-that-name/a: there is no such home folder"):
        expand_folder("~nobody-of-that-name/a")


LINE = st.text(st.sampled_from(["a", "ß", " ", "\t", *ODD[:-1]]), max_size=6)


@REUSE_TMP
@given(st.lists(st.tuples(LINE, LINE), max_size=8))
def test_characters_that_look_like_line_ends_never_shift_a_pair(
    tmp_path: Path, pairs: list[tuple[str, str]]
) -> None:
    src, tgt = ("".join(f"{pair[side]}\n" for pair in pairs).encode() for side in (0, 1))
    assert pair_of_files(tmp_path, src, tgt).read().pairs == pairs


@REUSE_TMP
@given(
    st.lists(st.sampled_from([b"a", b"\n", b"\r", b"\0", b"\xff", b"\xc3", b"\xa4", b"\xe2\x80\xa8", b"\t"]))
)
def test_any_bytes_are_read_line_for_line_or_refused_with_file_and_line(
    tmp_path: Path, parts: list[bytes]
) -> None:
    data = b"".join(parts)
    path = tmp_path / "any.txt"
    path.write_bytes(data)
    expected = data.split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    inside = re.findall(rb"\r(?!\r*(?:\n|\Z))", data)
    try:
        lines = list(read_lines(path))
    except CorpusError as error:
        number, reason = str(error).removeprefix(f"{path}:").split(":")[:2]
        if "carriage returns" in reason:
            assert len(inside) > data.count(b"\n") and b"\r" in expected[int(number) - 1]
            return
        if "UTF-16" in reason:
            assert number == "1" and 4 * data.count(b"\0") >= len(data)
            return
        with pytest.raises(UnicodeDecodeError):
            expected[int(number) - 1].replace(b"\0", b"\xff").decode()
    else:
        assert len(inside) <= data.count(b"\n")
        assert [line.encode() for line in lines] == [re.sub(rb"\r+\Z", b"", line) for line in expected]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"one", ["one"]),
        (b"one\n", ["one"]),
        (b"one\ntwo", ["one", "two"]),
        (b"\n\n", ["", ""]),
        (b"one\r\ntwo\r\n", ["one", "two"]),
        (b"\xef\xbb\xbfone\n", ["one"]),
        (b"\xef\xbb\xbf", []),
        (b"\xef\xbb\xbf\n", [""]),
        (b"one\rtwo\n", ["one\rtwo"]),
        (b"one\r", ["one"]),
        (b"one\r\n\rtwo\nthree\r\n", ["one", "\rtwo", "three"]),
        (b"a\xc2\x85b\x0b\n\x0cc\xe2\x80\xa8d\xe2\x80\xa9\n", ["a\x85b\x0b", "\x0cc\u2028d\u2029"]),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_short_files_are_read_as_they_are(
    tmp_path: Path, data: bytes, lines: list[str], compressed: bool
) -> None:
    path = tmp_path / ("file.gz" if compressed else "file")
    path.write_bytes(gzip.compress(data) if compressed else data)
    assert list(read_lines(path)) == lines


def test_lines_longer_than_a_block_are_read_whole(tmp_path: Path) -> None:
    lines = ["x" * 700_000, "y" * 300_001, "", "z"]
    (tmp_path / "file").write_text("\n".join(lines))
    assert list(read_lines(tmp_path / "file")) == lines


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"good\nb\xe4d\n", r"file:2: not valid UTF-8: byte 0xe4 at byte 2 of the line; convert"),
        (b"good\n\nn\0l\n", r"file:3: holds a NUL"),
        (gzip.compress(b"good\n", mtime=0), r"file:1: .*name it \.gz"),
        ("good\n".encode("utf-16"), r"file:1: .*looks like UTF-16"),
        (b"x\n" + b"y" * (MAX_LINE_BYTES + 300_000), r"file:2: this line is longer than 1048576 bytes"),
        (b"x\n" + b"y" * (MAX_LINE_BYTES + 1) + b"\nz\n", r"file:2: this line is longer than 1048576 bytes"),
    ],
)
def test_what_is_not_text_is_refused_with_file_and_line(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(CorpusError, match=message):
        list(read_lines(tmp_path / "file"))


TEXT = "".join(f"line {i} {i * i % 977}\n" for i in range(20_000)).encode()
PACKED = gzip.compress(TEXT, mtime=0)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (PACKED[: len(PACKED) // 2], r"file\.gz:\d+: the compressed file ends too early"),
        (b"", r"file\.gz:1: the compressed file ends too early"),
        (PACKED[:5], r"file\.gz:1: the compressed file ends too early"),
        (PACKED + b"garbage", r"file\.gz:\d+: other bytes follow .* gzip -dc file\.gz \| gzip > NEW"),
        (b"plain text\n", r"file\.gz:1: not a sound gzip file"),
        (PACKED[:1000] + b"\xff" * 50 + PACKED[1050:], r"file\.gz:\d+: not a sound gzip file"),
        (gzip.compress(PACKED, mtime=0), r"file\.gz:1: .*once more"),
    ],
)
def test_a_damaged_gz_file_is_refused_with_file_and_line(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "file.gz").write_bytes(data)
    with pytest.raises(CorpusError, match=message):
        list(read_lines(tmp_path / "file.gz"))


@pytest.mark.parametrize(
    ("data", "number", "counts"),
    [
        (b"one\rtwo\rthree\r", 1, r"\(2\) than line feeds \(0\)"),
        (b"one\rtwo", 1, r"\(1\) than line feeds \(0\)"),
        (b"one\r\ntwo\rthree\rfour\r\n5\r6\r7\n", 2, r"\(4\) than line feeds \(3\)"),
        (b"zero\n" + b"a\tb\r" * 400_000, 2, r"than line feeds \(1\)"),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_line_ends_of_carriage_returns_alone_are_refused_with_a_command_that_converts_them(
    tmp_path: Path, data: bytes, number: int, counts: str, compressed: bool
) -> None:
    path = tmp_path / ("file.gz" if compressed else "file")
    path.write_bytes(gzip.compress(data) if compressed else data)
    command = r"gzip -dc file\.gz \| tr '\\r' '\\n' > NEW" if compressed else r"tr '\\r' '\\n' < file > NEW"
    with pytest.raises(
        CorpusError, match=rf"{path.name}:{number}: holds more carriage returns.*{counts}.*{command}"
    ):
        list(read_lines(path))


def test_carriage_returns_in_a_line_longer_than_a_block_are_not_counted_before_the_file_tells(
    tmp_path: Path,
) -> None:
    line = "a\rb" + "x" * 300_000
    (tmp_path / "file").write_text(f"{line}\nc\n", newline="")
    assert list(read_lines(tmp_path / "file")) == [line, "c"]


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        ("Männer\nund\n".encode("utf-16"), "looks like UTF-16; .* iconv -f UTF-16 -t UTF-8"),
        ("漢字\n文\n".encode("utf-16"), "looks like UTF-16; .* iconv -f UTF-16 -t UTF-8"),
        ("a\nb\n".encode("utf-32"), "looks like UTF-32; .* iconv -f UTF-32 -t UTF-8"),
        ("one two\nthree\n".encode("utf-16-le"), "iconv -f UTF-16LE -t UTF-8"),
        ("one two\nthree\n".encode("utf-16-be"), "iconv -f UTF-16BE -t UTF-8"),
        (bz2.compress(b"one\n"), "compressed by bzip2; decompress it: bunzip2"),
        (lzma.compress(b"one\n"), "compressed by xz; decompress it: unxz"),
        (b"\x28\xb5\x2f\xfd\0\0", "compressed by zstd; decompress it: unzstd"),
        (b"PK\x03\x04\0", "a zip archive; unpack it: unzip"),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_other_encodings_and_archives_are_refused_with_the_command_that_converts_them(
    tmp_path: Path, data: bytes, advice: str, compressed: bool
) -> None:
    path = tmp_path / ("file.gz" if compressed else "file")
    path.write_bytes(gzip.compress(data) if compressed else data)
    with pytest.raises(CorpusError, match=rf"{path.name}:1: .*{advice}"):
        list(read_lines(path))


def test_a_sentence_may_begin_like_an_archive(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("BZh is no word\nPK neither\n")
    assert list(read_lines(tmp_path / "file")) == ["BZh is no word", "PK neither"]


def test_several_archives_in_one_file_are_read_one_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "file.gz").write_bytes(
        gzip.compress(b"one\ntw") + gzip.compress(b"") + gzip.compress(b"o\nthree")
    )
    assert list(read_lines(tmp_path / "file.gz")) == ["one", "two", "three"]


@pytest.mark.parametrize("sentences", [1, 40])
def test_text_that_repeats_itself_is_read_however_small_its_archive(tmp_path: Path, sentences: int) -> None:
    line = [f"sentence {i * i} of a small corpus, seen many times\n" for i in range(sentences)]
    data = "".join(line).encode() * (100_000 // sentences)
    packed = gzip.compress(data, 9)
    assert len(data) > 100 * len(packed)
    (tmp_path / "file.gz").write_bytes(packed)
    assert sum(1 for _ in read_lines(tmp_path / "file.gz")) == 100_000


def test_the_refusal_of_a_bomb_says_the_limit_its_reason_and_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_files, "_SMALL", 1 << 20)
    (tmp_path / "file.gz").write_bytes(gzip.compress(b"a b c\n" * 200_000))
    with pytest.raises(CorpusError) as caught:
        list(read_lines(tmp_path / "file.gz"))
    for part in (
        "limit of 1,048,576 bytes",
        "25 times its own",
        "bomb",
        "gzip -dk file.gz",
        "2,147,483,648 bytes",
    ):
        assert part in str(caught.value)


def test_an_archive_may_hold_many_times_its_size_whatever_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_files, "_SMALL", 1)
    (tmp_path / "file.gz").write_bytes(PACKED)
    assert len(list(read_lines(tmp_path / "file.gz"))) == 20_000


@pytest.mark.parametrize(
    ("data", "lines", "notes"),
    [
        ("\ufeffa\nb\n", ["a", "b"], []),
        ("a\n\ufeffb\n\ufeff\n", ["a", "b", ""], ["byte order marks at the start of lines 2, 3, or behind a tab there, are removed"]),
        ("\ufeffa\t\ufeffb\n", ["a\tb"], ["byte order marks at the start of line 1, or behind"]),
        ("a\ufeffb\nc\n", ["a\ufeffb", "c"], ["byte order marks inside line 1 are kept; were files joined"]),
        ("a\rb\nc\nd\r\r\n", ["a\rb", "c", "d"], ["carriage returns inside line 1 are kept as text"]),
        ("\u200ea\u202c\nb\u2028c\n", ["\u200ea\u202c", "b\u2028c"], []),
    ],
)  # fmt: skip
def test_marks_and_carriage_returns_inside_a_file_are_removed_or_kept_with_a_note(
    tmp_path: Path, data: str, lines: list[str], notes: list[str]
) -> None:
    (tmp_path / "file").write_text(data, newline="")
    text = read_text(tmp_path / "file")
    assert text.lines == lines and len(text.notes) == len(notes)
    assert all(said.startswith(f"file: {note}") for said, note in zip(text.notes, notes, strict=True))


@pytest.mark.parametrize("filler", [b"\0", b"\n", b"a b c\n", b"a"])
def test_a_bomb_is_refused_before_it_fills_the_memory(
    tmp_path: Path, filler: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A sixteenth of the real limits, of the bomb and of what may be held, for speed.
    monkeypatch.setattr(text_files, "_SMALL", text_files._SMALL // 16)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(filler * (100_000_000 // 16 // len(filler)), 9))
    tracemalloc.start()
    with pytest.raises(
        CorpusError, match=r"bomb\.gz(: decompresses to more than the limit of|:1: .*(NUL|longer))"
    ):
        list(read_lines(tmp_path / "bomb.gz"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < (64 << 20) // 16 + (4 << 20)


def test_unequal_line_counts_are_refused_naming_both(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"train\.xx has 3 lines but .*train\.yy has 2;"):
        pair_of_files(tmp_path, b"a\nb\nc\n", b"a\nb\n").read()


@pytest.mark.parametrize(
    ("src", "tgt", "hint"),
    [
        (b"a\nb\nc\n", b"a\nb\n", r"no partner for line 3 of train\.xx\)"),
        (b"a\n", b"a\nb\nc\nd", r"no partner for lines 2 to 4 of train\.yy\)"),
        (b"a\n\n \n", b"a\n", r"no partner for lines 2 to 3 of train\.xx, without text, so remove what is empty at the end\)"),
        (b"a\nb\nc\nd\n", b"a\rb\nc\nd\n", r"train\.yy holds as many carriage returns inside lines, which end no line here\)"),
        (b"a\xe2\x80\xa8b\nc\n", b"a\nb\nc\n", r"train\.xx holds as many line separators U\+2028 inside lines"),
        (b"a\xc2\x85b\n", b"a\nb\n", r"train\.xx holds as many next lines U\+0085 inside lines"),
    ],
)  # fmt: skip
def test_unequal_line_counts_are_refused_with_the_lines_and_a_likely_reason(
    tmp_path: Path, src: bytes, tgt: bytes, hint: str
) -> None:
    with pytest.raises(CorpusError, match=hint):
        pair_of_files(tmp_path, src, tgt).read()


def test_a_missing_line_end_at_the_end_of_one_side_is_not_a_missing_line(tmp_path: Path) -> None:
    assert pair_of_files(tmp_path, b"a\nb", b"c\nd\n").read().pairs == [("a", "c"), ("b", "d")]


def test_a_line_is_located_on_its_side(tmp_path: Path) -> None:
    assert PairFiles((Path("a.de"), Path("a.en"))).locate(7, 1) == "a.en:7"
    assert PairFiles((Path("a.tsv"),)).locate(7, 1) == "a.tsv:7"


def test_a_file_that_cannot_be_opened_is_a_corpus_error(tmp_path: Path) -> None:
    for reader in (hash_corpus_file, lambda path: list(read_lines(path))):
        with pytest.raises(CorpusError, match="cannot be read"):
            reader(tmp_path / "nowhere")
