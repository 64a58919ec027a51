from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskbench.errors import ResourceError, RunDirectoryError
from maskbench.files import write_atomically
from maskbench.runs.json_files import canonical_json, read_json, write_json
from maskbench.runs.jsonl import JsonLines, encode_json_line

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_canonical_json_reads_back_to_the_same_value(value: object) -> None:
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(st.text(max_size=3), st.integers(), max_size=4))
def test_canonical_json_does_not_depend_on_the_order_of_keys(value: dict[str, int]) -> None:
    assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)


def test_a_json_file_never_holds_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_a_missing_json_file_reads_as_none(tmp_path: Path) -> None:
    assert read_json(tmp_path / "none.json") is None


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b"\xff\xfe"])
def test_a_damaged_json_file_is_named(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "run.json").write_bytes(text)
    with pytest.raises(RunDirectoryError, match=r"run\.json is damaged"):
        read_json(tmp_path / "run.json")


def test_a_failed_write_leaves_the_old_file_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"x": 1})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        ResourceError, match=r"cannot write .*a\.json: No space left on device \(\d+ MB free there\)"
    ):
        write_json(path, {"x": 2})
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert read_json(path) == {"x": 1}


def test_a_place_that_is_no_directory_is_a_resource_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="cannot write"):
        write_atomically(tmp_path / "file" / "a.json", b"")


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5))
def test_lines_keep_every_bit_of_a_float(values: list[float]) -> None:
    assert [json.loads(encode_json_line({"x": v}))["x"] for v in values] == values


def test_a_torn_last_line_is_dropped_by_the_reader(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path / "m.jsonl")
    lines.append({"step": 1})
    lines.path.write_bytes(lines.path.read_bytes() + b'{"step": 2, "x"')
    assert lines.read() == [{"step": 1}]


def test_a_torn_last_line_is_cut_off_before_the_next_is_written(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"step": 1}\n{"st')
    JsonLines(path).append({"step": 2})
    assert path.read_bytes() == b'{"step": 1}\n{"step": 2}\n'


def test_a_damaged_line_in_the_middle_is_named_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"step": 1}\noops\n{"step": 3}\n')
    with pytest.raises(RunDirectoryError, match=r"m\.jsonl:2 is damaged"):
        JsonLines(path).read()


def test_truncating_to_more_than_there_is_says_that_lines_are_lost(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path / "m.jsonl")
    lines.append({"step": 1})
    with pytest.raises(RunDirectoryError, match="holds 12 bytes where 13 were logged"):
        lines.truncate(13)
