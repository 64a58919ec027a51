"""The corpus cache: built once, never stale, never half read."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from maskbench.data.cache import load_corpus
from maskbench.data.corpora.copying import CopyCorpus, CopyingOptions
from maskbench.data.corpora.toydeen.corpus import ToydeenCorpus
from maskbench.data.corpus import Corpus, Ragged
from maskbench.errors import ConfigError, ResourceError


@dataclass(frozen=True)
class Choice:
    """What an experiment file says about its corpus."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


COPY = Choice("copy", {"pairs": 60, "valid": 5, "test": 7, "symbols": 9})


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[CopyingOptions]:
    """Every call of `CopyCorpus.build`."""
    calls: list[CopyingOptions] = []
    original = CopyCorpus.build

    def counted(cls: type[CopyCorpus], options: CopyingOptions) -> Corpus:
        calls.append(options)
        return original(options)

    monkeypatch.setattr(CopyCorpus, "build", classmethod(counted))
    return calls


def as_rows(ragged: Ragged | None) -> list[list[int]] | None:
    return None if ragged is None else list(ragged.rows())


def equal(a: Corpus, b: Corpus) -> bool:
    return (a.name, a.sha256, a.max_length, a.notes, a.vocabulary.to_json(), list(a.splits)) == (
        b.name,
        b.sha256,
        b.max_length,
        b.notes,
        b.vocabulary.to_json(),
        list(b.splits),
    ) and all(
        split.sources == b.splits[name].sources
        and split.references == b.splits[name].references
        and split.src.values.tolist() == b.splits[name].src.values.tolist()
        and split.tgt.offsets.tolist() == b.splits[name].tgt.offsets.tolist()
        and as_rows(split.junk) == as_rows(b.splits[name].junk)
        and as_rows(split.links) == as_rows(b.splits[name].links)
        for name, split in a.splits.items()
    )


def only_entry(cache: Path) -> Path:
    (entry,) = cache.iterdir()
    return entry


def test_a_second_load_reads_what_the_first_one_built(tmp_path: Path, builds: list[CopyingOptions]) -> None:
    first, second = (
        load_corpus(COPY, tmp_path / "new" / "cache"),
        load_corpus(COPY, tmp_path / "new" / "cache"),
    )
    assert len(builds) == 1 and equal(first, second)
    assert equal(first, CopyCorpus.build(CopyingOptions.model_validate(COPY.options)))


def test_defaults_left_out_and_written_out_are_one_entry(
    tmp_path: Path, builds: list[CopyingOptions]
) -> None:
    load_corpus(COPY, tmp_path)
    load_corpus(Choice("copy", CopyingOptions.model_validate(COPY.options).model_dump(mode="json")), tmp_path)
    assert len(builds) == 1


def test_another_option_is_another_entry(tmp_path: Path, builds: list[CopyingOptions]) -> None:
    a, b = load_corpus(COPY, tmp_path), load_corpus(Choice("copy", {**COPY.options, "seed": 1}), tmp_path)
    assert len(builds) == 2 and a.sha256 != b.sha256


def test_annotations_are_read_from_disk_as_they_were_built(tmp_path: Path) -> None:
    choice = Choice("toydeen", {"pairs": 100, "valid": 5, "test": 6, "distractors": 1})
    built = ToydeenCorpus.build(ToydeenCorpus.Options.model_validate(dict(choice.options)))
    first, second = load_corpus(choice, tmp_path), load_corpus(choice, tmp_path)
    assert equal(built, first) and equal(built, second)
    assert 1 in built.splits["train"].junk.values  # type: ignore[union-attr]
    (tmp_path / "f").mkdir()
    for stem in ("train", "valid", "test"):
        for language in ("de", "en"):
            (tmp_path / "f" / f"{stem}.{language}").write_text("a b\n")
    plain = load_corpus(Choice("files", {"path": str(tmp_path / "f"), "src": "de", "tgt": "en"}), tmp_path)
    assert all(split.junk is None and split.links is None for split in plain.splits.values())


def test_a_new_version_of_the_builder_builds_anew(
    tmp_path: Path, builds: list[CopyingOptions], monkeypatch: pytest.MonkeyPatch
) -> None:
    load_corpus(COPY, tmp_path)
    monkeypatch.setattr(CopyCorpus, "version", CopyCorpus.version + 1)
    load_corpus(COPY, tmp_path)
    assert len(builds) == 2


def test_a_changed_input_file_builds_anew(tmp_path: Path) -> None:
    for stem in ("train", "valid", "test"):
        for language in ("de", "en"):
            (tmp_path / f"{stem}.{language}").write_text("a b\n")
    choice = Choice("files", {"path": str(tmp_path), "src": "de", "tgt": "en"})
    before = load_corpus(choice, tmp_path / "cache")
    (tmp_path / "test.en").write_text("a c\n")
    os.utime(tmp_path / "test.en", (0, 0))
    after = load_corpus(choice, tmp_path / "cache")
    assert (before.splits["test"].references, after.splits["test"].references) == (["a b"], ["a c"])
    assert before.sha256 != after.sha256


def test_notes_come_back_from_the_cache(tmp_path: Path) -> None:
    for name, text in {"train": "a\n\n", "valid": "b\n", "test": "c c\n"}.items():
        (tmp_path / f"{name}.de").write_text(text)
        (tmp_path / f"{name}.en").write_text(text)
    choice = Choice("files", {"path": str(tmp_path), "src": "de", "tgt": "en", "tokenizer": "word"})
    loaded = [load_corpus(choice, tmp_path / "cache").notes for _ in range(2)]
    assert loaded[0] == loaded[1] and "left out of train: 1 pair with an empty side (line 2)" in loaded[0]


@pytest.mark.parametrize("name", ["arrays.npz", "corpus.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["delete", "truncate", "flip", "empty"])
def test_a_damaged_entry_is_built_anew(
    tmp_path: Path, builds: list[CopyingOptions], name: str, damage: str
) -> None:
    first = load_corpus(COPY, tmp_path)
    file = only_entry(tmp_path) / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    contents = {"truncate": bytes(data[: len(data) // 2]), "flip": bytes(data), "empty": b""}
    file.unlink() if damage == "delete" else file.write_bytes(contents[damage])
    again = load_corpus(COPY, tmp_path)
    load_corpus(COPY, tmp_path)
    assert len(builds) == 2 and equal(first, again)
    assert len(list(tmp_path.iterdir())) == 1


def test_builders_that_race_agree_and_leave_one_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everyone = threading.Barrier(4)
    original = CopyCorpus.build

    def together(cls: type[CopyCorpus], options: CopyingOptions) -> Corpus:
        corpus = original(options)
        everyone.wait(timeout=30)
        return corpus

    monkeypatch.setattr(CopyCorpus, "build", classmethod(together))
    loaded: list[Corpus] = []
    threads = [threading.Thread(target=lambda: loaded.append(load_corpus(COPY, tmp_path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loaded) == 4 and all(equal(loaded[0], corpus) for corpus in loaded)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_builder_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ResourceError, match=r"cannot write the corpus cache .*No space left"):
        load_corpus(COPY, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_corpus_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'toydeen'"):
        load_corpus(Choice("toyden"), tmp_path)
