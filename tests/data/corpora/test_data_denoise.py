"""A corpus as its own reconstruction task, and a run on it continued on the corpus itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import TOKENS, config

from maskbench.config.load import load_experiment
from maskbench.config.schema.experiment import CorpusConfig, PlacementConfig, RunConfig
from maskbench.data.cache import load_corpus
from maskbench.data.corpora.denoise import DenoiseCorpus, DenoiseOptions
from maskbench.data.corpora.toydeen.corpus import ToydeenCorpus, ToydeenOptions
from maskbench.data.corpus import Corpus
from maskbench.data.generation.noise import NOISE_SPLITS
from maskbench.data.vocabulary import MASK
from maskbench.errors import ConfigError, CorpusError
from maskbench.training.job import RunJob
from maskbench.training.loop import train_run
from maskbench.training.warm_start import vocabulary_sha256

OF = {"name": "reverse", "pairs": 60, "valid": 9, "test": 7, "symbols": 10, "min_length": 4, "max_length": 6}


def build(**options: Any) -> Corpus:
    return DenoiseCorpus.build(DenoiseOptions.model_validate({"of": OF, **options}))


def inner() -> Corpus:
    return load("reverse", {k: v for k, v in OF.items() if k != "name"})


def load(name: str, options: dict[str, Any]) -> Corpus:
    from maskbench.registry import CORPORA

    builder = CORPORA.lookup(name)
    built: Corpus = builder.build(builder.Options(**options))
    return built


@pytest.fixture(scope="module")
def plain() -> Corpus:
    return build()


@pytest.mark.parametrize("side", ["source", "target", "both"])
def test_every_line_is_to_be_said_again(side: str) -> None:
    corpus, other = build(side=side), inner()
    for name in ("train", "valid", "test"):
        split = corpus.splits[name]
        assert split.sources == split.references
        assert split.src.values.tolist() == split.tgt.values.tolist()
        sources = set(other.splits[name].sources) if side != "target" else set()
        targets = set(other.splits[name].references) if side != "source" else set()
        assert set(split.sources) <= sources | targets
    # Tests are whole: what several splits have is left out of the others.
    test = other.splits["test"]
    whole = {"source": set(test.sources), "target": set(test.references)}
    assert set(corpus.splits["test"].sources) == whole.get(side, whole["source"] | whole["target"])


def test_lines_of_both_sides_come_pair_by_pair() -> None:
    lines, other = build().splits["train"].sources, inner().splits["train"]
    assert lines[:4] == [other.sources[0], other.references[0], other.sources[1], other.references[1]]


def test_no_line_is_there_twice_and_what_is_left_out_is_counted() -> None:
    # Three symbols: a line backwards is another line of the corpus, often.
    few = {**OF, "symbols": 3, "min_length": 1, "max_length": 4, "pairs": 50}
    corpus = build(of=few)
    lines = [line for name in ("train", "valid", "test") for line in corpus.splits[name].sources]
    assert len(lines) == len(set(lines))
    (note,) = [note for note in corpus.notes if note.startswith("left out of train")]
    assert (
        note == f"left out of train: {100 - len(corpus.splits['train'])} of 100 lines, blank or there already"
    )
    assert build(of=few, side="source").notes == ()


def test_the_tests_do_not_depend_on_how_much_there_is_to_train_on() -> None:
    few, many = build(of={**OF, "pairs": 20}), build(of={**OF, "pairs": 200})
    for name in ("valid", "test", *NOISE_SPLITS[3:6]):
        assert few.splits[name].sources == many.splits[name].sources
    assert many.splits["train"].sources[: len(few.splits["train"])] == few.splits["train"].sources


def test_the_vocabulary_is_that_of_the_other_corpus(plain: Corpus) -> None:
    assert vocabulary_sha256(plain.vocabulary) == vocabulary_sha256(inner().vocabulary)


@pytest.mark.parametrize("kind", ["mask", "drop", "swap", "replace"])
def test_noise_touches_the_sources_of_train_and_valid_alone(plain: Corpus, kind: str) -> None:
    corpus = build(noise=kind, percent=30)
    for name in ("train", "valid"):
        clean, noisy = plain.splits[name], corpus.splits[name]
        assert noisy.references == clean.references and noisy.sources != clean.sources
        assert noisy.name == name and noisy.origin is None and noisy.touched is None
    assert corpus.splits["train"].links is not None
    for name in ("test", *NOISE_SPLITS):
        assert corpus.splits[name].sources == plain.splits[name].sources


def test_the_share_of_masked_words_is_the_one_asked_for() -> None:
    few, many = (build(noise="mask", percent=percent).splits["train"] for percent in (15, 60))
    words = sum(few.tgt.lengths - 1)
    shares = [split.src.values.tolist().count(MASK) / words for split in (few, many)]
    # Rounded up or down for every line of 4 to 6 words, exact in expectation.
    assert shares == pytest.approx([0.15, 0.6], abs=0.03)
    assert all("<mask>" in line for line in many.sources)


def test_train_and_valid_are_corrupted_at_other_places() -> None:
    # Lines of one length, the n-th of train and the n-th of valid: the same places would mean the same draws.
    corpus = build(of={**OF, "min_length": 6, "valid": 60}, side="source", noise="mask", percent=34)
    places = [
        [[word == "<mask>" for word in line.split()] for line in corpus.splits[name].sources[:40]]
        for name in ("train", "valid")
    ]
    assert sum(a == b for a, b in zip(*places, strict=True)) < 20


def test_words_belong_to_themselves(plain: Corpus) -> None:
    assert DenoiseCorpus.annotations(DenoiseOptions.model_validate({"of": OF})) == {"links", "deps"}
    split = plain.splits["test"]
    assert split.links is not None
    for row, size in zip(split.links.rows(), split.src.lengths.tolist(), strict=True):
        assert [divmod(link, size) for link in row] == [(t, t) for t in range(size)]
    assert split.junk is None and split.tags is None


def test_the_splits_are_those_that_are_promised(plain: Corpus) -> None:
    options = DenoiseOptions.model_validate({"of": OF})
    assert DenoiseCorpus.split_names(options) == ["valid", "test", *NOISE_SPLITS]
    assert set(plain.splits) == {"train", "valid", "test", *NOISE_SPLITS}
    origins = {name: split.origin for name, split in plain.splits.items() if split.origin}
    assert DenoiseCorpus.origins(options) == origins == dict.fromkeys(NOISE_SPLITS, "test")


def test_of_toydeen_both_languages_are_taken_and_junk_is_not_junk_here() -> None:
    of = {"name": "toydeen", "pairs": 100, "valid": 5, "test": 6, "distractors": 1}
    corpus = build(of=of)
    other = ToydeenCorpus.build(ToydeenOptions(pairs=100, valid=5, test=6, distractors=1))
    assert set(corpus.splits["test"].sources) == {
        *other.splits["test"].sources,
        *other.splits["test"].references,
    }
    assert corpus.splits["train"].junk is None and corpus.splits["train"].links is not None


def write_files(folder: Path, valid: str = "d 1\nd 2\n") -> dict[str, Any]:
    folder.mkdir()
    for stem, text in (("train", "a 1\n\nb 2\n"), ("valid", valid), ("test", "e 1\n\nf 2\n")):
        for side in ("de", "en"):
            (folder / f"{stem}.{side}").write_text(text.replace(" ", f" {side} "), encoding="utf-8")
    return {"name": "files", "path": str(folder), "src": "de", "tgt": "en", "vocab_size": 300}


def test_files_are_taken_with_their_subwords_and_without_blank_lines(tmp_path: Path) -> None:
    corpus = build(of=write_files(tmp_path / "a"))
    assert corpus.splits["test"].sources == ["e de 1", "e en 1", "f de 2", "f en 2"]
    assert [corpus.vocabulary.decode(ids) for ids in corpus.splits["test"].src.rows()] == corpus.splits[
        "test"
    ].sources
    assert corpus.splits["test"].links is None
    assert "left out of test: 2 of 6 lines, blank or there already" in corpus.notes


def test_lines_of_invisible_characters_are_left_out_as_blank_ones_are(tmp_path: Path) -> None:
    files = write_files(tmp_path / "a", valid="d 1\n\u200b\n")
    (tmp_path / "a" / "test.de").write_text("e 1\n\u2060\u200e\n")
    (tmp_path / "a" / "test.en").write_text("f 1\n\ufe0f\n")
    corpus = build(of=files)
    assert corpus.splits["test"].sources == ["e 1", "f 1"]
    assert "\u200b" not in corpus.splits["valid"].sources


def test_a_split_of_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    files = write_files(tmp_path / "a", valid="e 1\n")
    with pytest.raises(
        CorpusError, match=r"each of the \d+ lines? of valid is blank, or the same as a line of test .* give"
    ):
        build(of=files)


def test_the_cache_notices_other_files(tmp_path: Path) -> None:
    files = write_files(tmp_path / "a")
    corpus = CorpusConfig(name="denoise", options={"of": files})
    before = load_corpus(corpus, tmp_path / "cache")
    (tmp_path / "a" / "train.de").write_text("other 1\n\nother 2\n", encoding="utf-8")
    assert load_corpus(corpus, tmp_path / "cache").sha256 != before.sha256


@pytest.mark.parametrize(
    ("corpus", "said"),
    [
        ("{name: denoise}", "missing key 'of' in corpus"),
        ("{name: denoise, of: copy}", "corpus.of must be a mapping, got 'copy'"),
        ("{name: denoise, of: {name: denoise, of: {name: copy}}}", "corpus.of.name: denoise cannot stand inside"),
        ("{name: denoise, of: {name: mixture}}", "corpus.of.name: mixture cannot stand inside"),
        ("{name: denoise, of: {name: toydeen, paris: 3}}", "corpus.of.paris: unknown key 'paris' of toydeen; did you mean"),
        ("{name: denoise, of: {name: copy}, noise: maks}", "did you mean 'mask'?"),
        ("{name: denoise, of: {name: copy}, percent: 0}", "corpus.percent must be at least 1, got 0"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_at_its_place(tmp_path: Path, corpus: str, said: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(f"name: x\narms: {{none: []}}\ncorpus: {corpus}", encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_experiment(file)
    assert said in str(error.value)


def train(tmp_path: Path, experiment: str, settings: RunConfig) -> dict[str, Any]:
    path = tmp_path / experiment / "none" / "seed-0"
    train_run(RunJob(experiment, None, "none", 0, settings, path, tmp_path / "cache"), lambda p: None)
    found: dict[str, Any] = json.loads((path / "result.json").read_text())["metrics"]
    return found


def run_on(name: str, options: dict[str, Any], **changes: Any) -> RunConfig:
    masks = tuple(PlacementConfig.model_validate(mask) for mask in changes.pop("masks", []))
    corpus = CorpusConfig(name=name, options=options)
    return config(masks=[]).model_copy(update={"corpus": corpus, "masks": masks, **changes})


def test_a_run_on_it_goes_on_on_the_corpus_itself(tmp_path: Path) -> None:
    """Pre-train under token masks drawn anew, and start the translation from those weights."""
    options = {key: value for key, value in OF.items() if key != "name"}
    train(tmp_path, "first", run_on("denoise", {"of": OF}, masks=[TOKENS]))
    start = str(tmp_path / "first" / "none")
    train(tmp_path, "then", run_on("reverse", options, init_from=start))
    lines = (tmp_path / "then" / "none" / "seed-0" / "metrics.jsonl").read_text().splitlines()
    warm = next(row["start/valid/nll"] for row in map(json.loads, lines) if "start/valid/nll" in row)
    assert 0 < warm < 20
    record = json.loads((tmp_path / "then" / "none" / "seed-0" / "run.json").read_text())
    assert record["identity"]["init_sha256"]
    first = json.loads((tmp_path / "first" / "none" / "seed-0" / "run.json").read_text())
    assert first["vocabulary_sha256"] == record["vocabulary_sha256"]


def test_a_corpus_with_other_words_cannot_start_from_it(tmp_path: Path) -> None:
    train(tmp_path, "first", run_on("denoise", {"of": OF}))
    start = str(tmp_path / "first" / "none")
    options = {key: value for key, value in OF.items() if key != "name"} | {"symbols": 11}
    with pytest.raises(ConfigError, match="was trained with another vocabulary"):
        train(tmp_path, "then", run_on("reverse", options, init_from=start))
