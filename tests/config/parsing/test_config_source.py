from __future__ import annotations

import codecs
import os
from pathlib import Path

import pytest
from config_helpers import MINIMAL, complaint, complaints, load, load_path

from maskbench.errors import ConfigError


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_path(path)
    return str(caught.value)


def test_a_byte_order_mark_of_utf_8_is_dropped(tmp_path: Path) -> None:
    assert load(tmp_path, codecs.BOM_UTF8 + MINIMAL.encode()) == load(tmp_path, MINIMAL)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_wide_encodings_are_named(encoding: str, tmp_path: Path) -> None:
    message = complaint(tmp_path, MINIMAL.encode(encoding))
    assert "UTF-16" in message or "UTF-32" in message
    assert message.endswith(("save it as UTF-8", "save it as UTF-8 text"))


def test_latin_1_is_refused_at_the_first_foreign_byte(tmp_path: Path) -> None:
    text = "# ä\n" + MINIMAL + "# für\n"
    data = text.encode().replace("ü".encode(), b"\xfc")
    assert complaint(tmp_path, data) == "exp.yaml:5:4: error: byte 0xfc is not UTF-8; save the file as UTF-8"


@pytest.mark.parametrize("bad", [b"\xed\xa0\x80", b"\xff", b"\xc3"])
def test_bytes_that_are_no_utf_8_are_refused(bad: bytes, tmp_path: Path) -> None:
    assert "is not UTF-8" in complaint(tmp_path, MINIMAL.encode() + b"# " + bad)


@pytest.mark.parametrize("bad", ["\0", "\x1b", "\x07", "\x7f", "\x9f", "\ufffe", "\ufeff"])
def test_control_characters_are_refused_with_line_and_column(bad: str, tmp_path: Path) -> None:
    message = complaint(tmp_path, MINIMAL + f"# {bad}\n")
    assert message == f"exp.yaml:4:3: error: control character U+{ord(bad):04X} is not allowed"


def test_escapes_of_control_characters_and_of_half_pairs_do_not_reach_the_terminal(tmp_path: Path) -> None:
    for name in ('"\\e[31m"', '"\\0"', '"\\ud800"', '"a\\nb"'):
        with pytest.raises(ConfigError) as caught:
            load(tmp_path, MINIMAL.replace("tiny", name))
        assert "\x1b" not in str(caught.value) and str(caught.value).count("\n") == 2


def test_a_missing_file_suggests_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "quickstart.yaml").touch()
    assert refusal(tmp_path / "quikstart.yaml").endswith("no such file; did you mean 'quickstart.yaml'?")
    assert refusal(tmp_path / "nowhere" / "x.yaml").endswith("no such file")


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path).endswith("error: this is a directory; name the experiment file in it")


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in refusal(tmp_path / "pipe")


def test_a_device_is_refused() -> None:
    assert "not a regular file" in refusal(Path("/dev/zero"))


def test_a_path_with_a_null_character_is_refused() -> None:
    assert "cannot be read" in refusal(Path("a\0b"))


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    experiment = load(tmp_path, MINIMAL)
    (tmp_path / "link.yaml").symlink_to(tmp_path / "exp.yaml")
    assert load_path(tmp_path / "link.yaml") == experiment


def test_two_mebibytes_are_refused_and_one_is_not(tmp_path: Path) -> None:
    assert "larger than 1 MiB" in complaint(tmp_path, MINIMAL + "#" * 2**21)
    load(tmp_path, MINIMAL + "#" * (2**20 - len(MINIMAL)))


def test_an_excerpt_of_a_very_long_line_shows_the_part_around_the_caret(tmp_path: Path) -> None:
    path = tmp_path / "exp.yaml"
    path.write_text(MINIMAL + "train: {" + " " * 5000 + "stepz: 1}\n")
    _, excerpt, caret = refusal(path).split("\n")
    assert len(excerpt) <= 102 and excerpt[caret.index("^") :].startswith("stepz")


def test_problems_are_shown_twenty_at_most_and_the_rest_is_counted(tmp_path: Path) -> None:
    lines = complaints(tmp_path, MINIMAL + "".join(f"key{i}: 1\n" for i in range(23)))
    assert len(lines) == 21
    assert lines[-1] == "exp.yaml: 3 more problems not shown"


def test_a_thousand_problems_end_the_search(tmp_path: Path) -> None:
    lines = complaints(tmp_path, MINIMAL + "".join(f"key{i}: 1\n" for i in range(2000)))
    assert (len(lines), lines[-1]) == (21, "exp.yaml: many more problems not shown")
