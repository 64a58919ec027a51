"""Files that are there in a format that is not read are named, with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskbench.data.corpora.files import locate_pair_files
from maskbench.data.text.pair_files import find_pair_files
from maskbench.data.text.unread_files import find_unread_files
from maskbench.errors import CorpusError


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("train.de.bz2", "unpack it: bunzip2 -k train.de.bz2"),
        ("train.tsv.xz", "unpack it: unxz -k train.tsv.xz"),
        ("train.jsonl.zst", "unpack it: unzstd train.jsonl.zst"),
        ("train.zip", "unpack it: unzip train.zip"),
        ("train.csv", "write it as a table with tabs"),
        ("train.json", "write one object a line"),
        ("train.TSV", "rename it to train.tsv"),
        ("Train.de.GZ", "rename it to train.de.gz"),
    ],
)
def test_a_file_in_another_format_is_named_with_the_way_out(tmp_path: Path, name: str, advice: str) -> None:
    (tmp_path / name).touch()
    source, looked_for = find_pair_files(tmp_path, "train", "de", "en")
    assert source is None
    (found,) = find_unread_files(tmp_path, "train", looked_for)
    assert found.startswith(f"{name} ({advice}")
    with pytest.raises(CorpusError, match="no files for 1 of 1 splits") as caught:
        locate_pair_files(tmp_path, {"train": "train"}, "de", "en")
    assert f"there is, in a format that is not read: {found}" in str(caught.value)


def test_other_files_are_not_named(tmp_path: Path) -> None:
    for name in ("train.de", "train.fr", "training.csv", "test.csv", "train", "train.csv.bak"):
        (tmp_path / name).touch()
    _, looked_for = find_pair_files(tmp_path, "train", "de", "en")
    assert find_unread_files(tmp_path, "train", looked_for) == []
    assert find_unread_files(tmp_path / "nowhere", "train", looked_for) == []
