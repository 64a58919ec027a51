"""Reading parallel text: strict, located, and never shifted."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskbench.data.text import text_files
from maskbench.data.text.pair_files import PairFiles
from maskbench.data.text.text_files import MAX_LINE_BYTES, expand_folder, hash_corpus_file, read_lines
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
    try:
        lines = list(read_lines(path))
    except CorpusError as error:
        number = int(str(error).removeprefix(f"{path}:").split(":")[0])
        with pytest.raises(UnicodeDecodeError):
            expected[number - 1].replace(b"\0", b"\xff").decode()
    else:
        assert [line.encode() for line in lines] == [line.removesuffix(b"\r") for line in expected]


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
        (b"one\rtwo\n", ["one\rtwo"]),
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
        (PACKED + b"garbage", r"file\.gz:\d+: not a sound gzip file"),
        (b"plain text\n", r"file\.gz:1: not a sound gzip file"),
        (PACKED[:1000] + b"\xff" * 50 + PACKED[1050:], r"file\.gz:\d+: not a sound gzip file"),
        (gzip.compress(PACKED, mtime=0), r"file\.gz:1: .*once more"),
    ],
)
def test_a_damaged_gz_file_is_refused_with_file_and_line(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "file.gz").write_bytes(data)
    with pytest.raises(CorpusError, match=message):
        list(read_lines(tmp_path / "file.gz"))


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


def test_a_missing_line_end_at_the_end_of_one_side_is_not_a_missing_line(tmp_path: Path) -> None:
    assert pair_of_files(tmp_path, b"a\nb", b"c\nd\n").read().pairs == [("a", "c"), ("b", "d")]


def test_a_line_is_located_on_its_side(tmp_path: Path) -> None:
    assert PairFiles((Path("a.de"), Path("a.en"))).locate(7, 1) == "a.en:7"
    assert PairFiles((Path("a.tsv"),)).locate(7, 1) == "a.tsv:7"


def test_a_file_that_cannot_be_opened_is_a_corpus_error(tmp_path: Path) -> None:
    for reader in (hash_corpus_file, lambda path: list(read_lines(path))):
        with pytest.raises(CorpusError, match="cannot be read"):
            reader(tmp_path / "nowhere")
