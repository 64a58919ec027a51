"""The real Multi30k text, where it is at hand: set MASKBENCH_MULTI30K to its folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from maskbench.data import Corpus, load_corpus
from maskbench.data.batches import collate, plan_batches, plan_evaluation_batches
from maskbench.data.corpora.public_corpora import Multi30kCorpus, Multi30kOptions
from maskbench.statistics.split_overlap import Overlap

REPOSITORY = Path(__file__).resolve().parents[3]
FOLDER = Path(os.environ.get("MASKBENCH_MULTI30K", REPOSITORY.parent / "shared" / "data" / "multi30k"))

pytestmark = pytest.mark.skipif(
    not (FOLDER / "train.de.gz").is_file(),
    reason=f"the Multi30k text is not in {FOLDER}; set MASKBENCH_MULTI30K to the folder of train.de.gz",
)


@dataclass(frozen=True)
class Choice:
    """What an experiment file says about its corpus."""

    name: str
    options: dict[str, Any]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    names = {"train": "train", "valid": "val", "test": ["test_2016_flickr"]}
    choice = Choice("files", {"path": str(FOLDER), "src": "de", "tgt": "en", **names})
    return load_corpus(choice, tmp_path_factory.mktemp("cache"))


def test_the_recipe_pins_this_very_text() -> None:
    for src, tgt in (("de", "en"), ("en", "de")):
        pinned, here = (Multi30kOptions(src=src, tgt=tgt, path=path) for path in (None, str(FOLDER)))
        assert Multi30kCorpus.inputs(pinned) == Multi30kCorpus.inputs(here)
    for remote in Multi30kCorpus.remote_files(Multi30kOptions()):
        assert (FOLDER / remote.name).stat().st_size == remote.size


@pytest.mark.slow
def test_the_recipe_reads_the_same_text(corpus: Corpus) -> None:
    texts = Multi30kCorpus.read_texts(Multi30kOptions(src="de", tgt="en"), FOLDER)
    for name in ("train", "valid", "test_2016_flickr"):
        split = corpus.splits[name]
        assert texts[name].pairs == list(zip(split.sources, split.references, strict=True))


@pytest.mark.slow
def test_every_line_is_read(corpus: Corpus) -> None:
    sizes = [len(corpus.splits[name]) for name in ("train", "valid", "test_2016_flickr", "noise-swap-20")]
    assert sizes == [29_000, 1_014, 1_000, 1_000] and len(corpus.notes) == 1


@pytest.mark.slow
def test_what_its_splits_have_in_common_is_counted(corpus: Corpus) -> None:
    lines = {name: corpus.splits[name].sources for name in ("train", "valid", "test_2016_flickr")}
    known = set(lines["train"])
    assert [sum(line in known for line in lines[name]) for name in ("valid", "test_2016_flickr")] == [1, 0]
    assert corpus.notes == (
        "1 of 1014 sources of valid are also in train, word for word, with another target; 1 more target with another source",
    )
    assert corpus.overlaps.between("test_2016_flickr", "valid") == Overlap("test_2016_flickr", "valid")
    assert corpus.overlaps.repeated("train") == Overlap("train", "train", sources=25, targets=9, pairs=3)


@pytest.mark.slow
def test_every_line_comes_back_from_its_subwords(corpus: Corpus) -> None:
    for name in ("train", "valid", "test_2016_flickr"):
        split = corpus.splits[name]
        for rows, lines in ((split.src, split.sources), (split.tgt, split.references)):
            assert [corpus.vocabulary.decode(rows[i].tolist()) for i in range(len(rows))] == lines


@pytest.mark.slow
def test_most_of_a_batch_is_real_tokens(corpus: Corpus) -> None:
    for batches, split, least in (
        (plan_batches(corpus.splits["train"], 4096, 0), corpus.splits["train"], 0.87),
        (plan_evaluation_batches(corpus.splits["valid"], 4096), corpus.splits["valid"], 0.75),
    ):
        padded = real = 0
        for ids in batches:
            batch = collate(split, ids)
            padded += batch.src.numel() + batch.tgt_out.numel()
            real += int(batch.src_lengths.sum()) + batch.n_tokens
        assert real / padded > least
