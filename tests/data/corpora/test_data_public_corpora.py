"""The public corpora by name, without a network: what they ask for, and what they make of a folder."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from maskbench.config.schema.experiment import CorpusConfig, RunConfig
from maskbench.data import load_corpus
from maskbench.data.corpora import public_corpora
from maskbench.data.corpora.public_corpora import (
    Multi30kCorpus,
    Multi30kOptions,
    TatoebaCorpus,
    TatoebaOptions,
)
from maskbench.data.corpus import Corpus
from maskbench.data.generation.noise import NOISE_SPLITS
from maskbench.data.text.download import RemoteFile
from maskbench.errors import CorpusError

PAIRS = [(f"Satz {i}", f"sentence {i}") for i in range(12)]


def captions(folder: Path, *stems: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for stem in stems:
        for side, language in enumerate(("de", "en")):
            data = "".join(f"{stem} {pair[side]}\n" for pair in PAIRS).encode()
            (folder / f"{stem}.{language}.gz").write_bytes(gzip.compress(data, mtime=0))


def multi30k(**more: Any) -> Multi30kOptions:
    return Multi30kOptions.model_validate({"vocab_size": 300, **more})


def tatoeba(**more: Any) -> TatoebaOptions:
    return TatoebaOptions.model_validate({"tokenizer": "word", "valid": 0.2, "test": 0.2, **more})


def no_download(remotes: list[RemoteFile], folder: Path) -> None:
    raise AssertionError(f"downloads {remotes}")


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("MASKBENCH_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def test_every_address_is_https_at_a_commit_and_every_content_is_pinned() -> None:
    tests = ["test_2017_mscoco", "test_2016_flickr", "test_2017_flickr"]
    wanted = [multi30k(src="fr", tgt="en", test=tests), multi30k(src="de", tgt="cs")]
    remotes = [remote for options in wanted for remote in Multi30kCorpus.remote_files(options)]
    assert len(remotes) == 16 and len({remote.sha256 for remote in remotes}) == 16
    for remote in [*remotes, *TatoebaCorpus.remote_files(tatoeba())]:
        *start, commit = remote.url.split("/")[:6]
        assert start[:3] == ["https:", "", "raw.githubusercontent.com"]
        assert len(commit) == 40 and len(remote.sha256) == 64 and int(remote.sha256, 16) and int(commit, 16)
        assert 8_000 < remote.size < 3_000_000


def test_the_files_of_multi30k_are_those_of_its_splits() -> None:
    names = [remote.name for remote in Multi30kCorpus.remote_files(multi30k(src="de", tgt="en"))]
    assert names == [
        "train.de.gz", "train.en.gz", "val.de.gz", "val.en.gz", "test_2016_flickr.de.gz", "test_2016_flickr.en.gz",
    ]  # fmt: skip


def test_the_hash_of_the_input_is_known_without_a_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_corpora, "fetch_all", no_download)
    hashes = Multi30kCorpus.inputs(multi30k(src="en", tgt="de"))
    assert hashes["val.de.gz"] == "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a"
    assert list(TatoebaCorpus.inputs(tatoeba())) == ["deu.txt"]


def test_what_is_downloaded_is_read_from_the_users_data_folder(
    monkeypatch: pytest.MonkeyPatch, own_folder: Path
) -> None:
    asked: list[tuple[list[RemoteFile], Path]] = []
    monkeypatch.setattr(public_corpora, "fetch_all", lambda *what: asked.append(what))
    captions(own_folder / "multi30k", "train", "val", "test_2016_flickr")
    corpus = Multi30kCorpus.build(multi30k(src="de", tgt="en"))
    assert asked == [(Multi30kCorpus.remote_files(multi30k(src="de", tgt="en")), own_folder / "multi30k")]
    assert corpus.splits["valid"].references == [f"val {tgt}" for _, tgt in PAIRS]


def folder_corpus(monkeypatch: pytest.MonkeyPatch, folder: Path, **more: Any) -> Corpus:
    monkeypatch.setattr(public_corpora, "fetch_all", no_download)
    return Multi30kCorpus.build(multi30k(path=str(folder), **more))


def test_a_folder_of_ones_own_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    captions(tmp_path / "own", "train", "val", "test_2016_flickr", "test_2017_flickr")
    tests = ["test_2017_flickr", "test_2016_flickr"]
    corpus = folder_corpus(monkeypatch, tmp_path / "own", src="en", tgt="de", test=tests)
    options = multi30k(src="en", tgt="de", test=tests)
    assert set(corpus.splits) == {"train", *Multi30kCorpus.split_names(options)}
    assert Multi30kCorpus.split_names(options) == ["valid", *tests, *NOISE_SPLITS]
    assert (
        corpus.splits["noise-swap-10"].origin
        == "test_2017_flickr"
        == Multi30kCorpus.origins(options)["noise-swap-10"]
    )
    assert corpus.splits["train"].sources[3] == "train sentence 3"
    assert "for research and education" in corpus.notes[0]


def test_the_input_of_a_folder_is_hashed_by_its_content(tmp_path: Path) -> None:
    captions(tmp_path / "own", "train", "val", "test_2016_flickr")
    options = multi30k(path=str(tmp_path / "own"))
    before = Multi30kCorpus.inputs(options)
    assert len(before) == 6
    assert (
        before["train.en.gz"] == hashlib.sha256((tmp_path / "own" / "train.en.gz").read_bytes()).hexdigest()
    )
    (tmp_path / "own" / "train.en.gz").write_bytes(gzip.compress(b"other\n" * 12))
    after = Multi30kCorpus.inputs(options)
    assert {name for name in before if before[name] != after[name]} == {"train.en.gz"}


def test_a_folder_without_the_files_is_refused_with_what_was_looked_for(tmp_path: Path) -> None:
    captions(tmp_path / "own", "train", "val")
    with pytest.raises(CorpusError, match=r"no files for 1 of 3 splits .*\n.*test_2016_flickr: .*\.en"):
        Multi30kCorpus.build(multi30k(path=str(tmp_path / "own")))
    with pytest.raises(
        CorpusError, match=r"there is no deu\.txt or deu\.txt\.gz in .*own; put the table there"
    ):
        TatoebaCorpus.inputs(tatoeba(path=str(tmp_path / "own")))


def test_where_the_files_lie_is_no_part_of_a_runs_identity(tmp_path: Path) -> None:
    def identity(**more: Any) -> Any:
        options = multi30k(**more).model_dump(mode="json")
        return RunConfig(corpus=CorpusConfig(name="multi30k", options=options)).identity()

    assert identity() == identity(path=str(tmp_path)) != identity(lowercase=True)


def test_a_corpus_that_was_built_needs_its_files_no_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own_folder: Path
) -> None:
    captions(own_folder / "multi30k", "train", "val", "test_2016_flickr")
    monkeypatch.setattr(public_corpora, "fetch_all", lambda remotes, folder: None)
    choice = CorpusConfig(name="multi30k", options=multi30k(src="de", tgt="en").model_dump(mode="json"))
    built = load_corpus(choice, tmp_path / "cache")
    monkeypatch.setattr(public_corpora, "fetch_all", no_download)
    assert load_corpus(choice, tmp_path / "cache").sha256 == built.sha256


def sentences(folder: Path, name: str = "deu.txt", head: str = "1\t2", last: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    rows = [head, *(f"go {i // 2}\tgeh {i}{last}" for i in range(100))]
    data = "".join(f"{row}\r\n" for row in rows).encode()
    (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return folder


def notes_on_reading(corpus: Corpus) -> list[str]:
    return [note for note in corpus.notes if not note.startswith(("unknown to", "longer than every"))]


def pairs_of(corpus: Corpus, *names: str) -> list[tuple[str, str]]:
    splits = [corpus.splits[name] for name in names or ("train", "valid", "test")]
    return [pair for split in splits for pair in zip(split.sources, split.references, strict=True)]


def test_tatoeba_is_dealt_so_that_no_source_is_in_two_splits(tmp_path: Path) -> None:
    corpus = TatoebaCorpus.build(tatoeba(path=str(sentences(tmp_path / "own"))))
    assert sorted(pairs_of(corpus)) == sorted((f"go {i // 2}", f"geh {i}") for i in range(100))
    dealt = [set(corpus.splits[name].sources) for name in ("train", "valid", "test")]
    assert sum(map(len, dealt)) == 50 and min(map(len, dealt)) >= 3
    assert "CC BY 2.0 FR" in corpus.notes[0] and corpus.notes[1].startswith("deu.txt:1 is taken for a header")
    assert len(notes_on_reading(corpus)) == 2


def test_tatoeba_can_be_turned_round(tmp_path: Path) -> None:
    own = str(sentences(tmp_path / "own"))
    corpus = TatoebaCorpus.build(tatoeba(path=own, src="de", tgt="en"))
    assert sorted(pairs_of(corpus)) == sorted((f"geh {i}", f"go {i // 2}") for i in range(100))


def test_a_newer_table_with_attributions_and_a_compressed_one_are_read_too(tmp_path: Path) -> None:
    first = TatoebaCorpus.build(tatoeba(path=str(sentences(tmp_path / "own"))))
    newer = sentences(tmp_path / "newer", "deu.txt.gz", head="go 0\tgeh 0\tCC-BY", last="\tCC-BY 2.0 #1")
    again = TatoebaCorpus.build(tatoeba(path=str(newer)))
    assert set(pairs_of(again)) == set(pairs_of(first))
    (_, third) = notes_on_reading(again)
    assert third.startswith("deu.txt.gz: the third column is ignored (line 1: 'CC-BY')")


@pytest.mark.parametrize(
    ("build", "wrong", "message"),
    [
        (multi30k, {"src": "de", "tgt": "de"}, "must be two languages"),
        (tatoeba, {"src": "de", "tgt": "de"}, "must be two languages"),
        (multi30k, {"src": "cs", "test": ["test_2017_flickr"]}, "test_2017_flickr does not exist in Czech"),
        (multi30k, {"test": ["test_2016_flickr"] * 2}, "no split twice"),
        (multi30k, {"test": []}, "at least 1"),
        (multi30k, {"src": "it"}, "'cs', 'de', 'en' or 'fr'"),
        (multi30k, {"path": ""}, "at least 1"),
        (tatoeba, {"valid": 0.0}, "greater than 0"),
        (tatoeba, {"train": "x"}, "xtra"),
    ],
)
def test_options_that_make_no_sense_are_refused(build: Any, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        build(**wrong)
