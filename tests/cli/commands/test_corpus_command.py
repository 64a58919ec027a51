"""`maskbench corpus`: the list, one corpus in numbers and pairs, files of it, and what it refuses."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict
from rich.console import Console
from typer.testing import CliRunner, Result

import maskbench.data
from maskbench.cli.main import app
from maskbench.cli.terminal import ASCII
from maskbench.cli.views.corpus_samples import sample
from maskbench.cli.views.corpus_table import corpus_numbers
from maskbench.data.corpora.copying import CopyingOptions, ReverseCorpus
from maskbench.data.corpora.files import FilesCorpus, FilesOptions
from maskbench.data.corpus import Corpus, CorpusBuilder, assemble_corpus, encode_split
from maskbench.data.generation.annotations import annotate_split
from maskbench.data.generation.noise import NOISE_SPLITS
from maskbench.data.statistics import compute_statistics
from maskbench.data.vocabulary import WordVocabulary
from maskbench.registry import CORPORA

SMALL = ("--set", "pairs=100", "--set", "valid=6", "--set", "test=7")
BACKWARDS = ReverseCorpus.build(CopyingOptions(pairs=100, valid=6, test=7))


def invoke(*arguments: object, env: dict[str, str] | None = None) -> Result:
    environment = {"COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1", **(env or {})}
    return CliRunner().invoke(app, ["corpus", *map(str, arguments)], env=environment)


class Nothing(BaseModel):
    """No options."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Known(CorpusBuilder):
    """A corpus of one pair of which everything is known, beside text that could steer a terminal.

    This paragraph is not for the list.
    """

    Options = Nothing
    source, target = "the cat the [red] um sees", "die Katze sieht \x1b[31mrot"

    @classmethod
    def split_names(cls, options: Nothing) -> list[str]:
        return ["valid", "test"]

    @classmethod
    def annotations(cls, options: Nothing) -> frozenset[str]:
        return frozenset({"junk", "links", "deps", "tags"})

    @classmethod
    def tags(cls, options: Nothing) -> tuple[str, ...]:
        return ("end", "verb", "noun", "rest")

    @classmethod
    def build(cls, options: Nothing) -> Corpus:
        vocabulary = WordVocabulary(["the", "cat", "um", "sees", *cls.target.split()])
        splits = []
        for name in ("train", "valid", "test"):
            pairs = [(cls.source, cls.target)] + [("um um um um um um", "die die die die")] * (
                name == "train"
            )
            split = encode_split(name, pairs, vocabulary)
            # die: the first `the`; Katze: cat; sieht: sees, and hangs on cat; the last word: nothing.
            links = [[0, 8, 19]] * len(pairs)
            deps = [[0, 8, 15, 19]] * len(pairs)
            marked = annotate_split(split, links, deps=deps, tags=[[3, 2, 1, 3]] * len(pairs), junk=True)
            assert marked.junk is not None
            marked.junk.values[4] = 1
            splits.append(marked)
        return assemble_corpus("known", vocabulary, splits, ["a \x1b]0;note\x07"], cls.tags(options))


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CORPORA, "_entries", {**CORPORA._entries, "known": Known})


def test_the_list_names_every_corpus_with_its_options_in_eighty_columns() -> None:
    result = invoke()
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert set(CORPORA.names()) <= set(lines)
    assert lines[lines.index("known") + 1 : lines.index("known") + 3] == [
        "  A corpus of one pair of which everything is known, beside text that could",
        "  steer a terminal.",
    ]
    assert "not for the list" not in result.stdout
    assert "tasks required" in result.stdout and "symbols 50" in result.stdout


def test_the_list_as_json_has_every_option() -> None:
    found = {entry["name"]: entry for entry in json.loads(invoke("--json").stdout)}
    assert sorted(found) == CORPORA.names()
    symbols = next(option for option in found["copy"]["options"] if option["name"] == "symbols")
    assert symbols == {
        "name": "symbols",
        "required": False,
        "default": 50,
        "takes": "1 to 10,000",
        "description": "different symbols",
    }
    required = {option["name"] for option in found["files"]["options"] if option["required"]}
    assert required == {"path"}


@pytest.mark.parametrize("name", ["copy", "denoise", "files", "toydeen"])
def test_options_are_explained_without_building(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CORPORA.lookup(name), "build", None)
    result = invoke(name, "--options")
    assert result.exit_code == 0 and max(map(len, result.stdout.splitlines())) <= 80
    assert all(option in result.stdout for option in CORPORA.lookup(name).Options.model_fields)


def test_a_corpus_is_shown_in_eighty_columns_with_its_numbers() -> None:
    result = invoke("toydeen", *SMALL)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    rows = {line.split()[0]: line.split() for line in lines if line.strip()}
    assert {"train", "valid", "test", *NOISE_SPLITS} <= set(rows)
    assert rows["train"][1] == "100" and rows["test"][1] == "7"
    heading = lines.index("5 of 7 pairs of test")
    assert [line.split()[0] for line in lines[heading:] if line[:1].isdigit()] == ["5", *"01234"]


def test_pairs_are_shown_as_they_are() -> None:
    result = invoke("reverse", *SMALL, "--set", "max_length=6")
    lines = result.stdout.splitlines()
    split = ReverseCorpus.build(CopyingOptions(pairs=100, valid=6, test=7, max_length=6)).splits["test"]
    for i in range(5):
        start = lines.index(f"{i} {split.sources[i]}")
        assert lines[start + 1] == f"  {split.references[i]}"


def test_numbers_are_those_of_the_lines() -> None:
    document = json.loads(invoke("reverse", *SMALL, "--json").stdout)
    assert document["options"]["pairs"] == 100 and document["sha256"] == BACKWARDS.sha256
    assert set(document["splits"]) == set(BACKWARDS.splits)
    split = BACKWARDS.splits["test"]
    for side, lines in (("source", split.sources), ("target", split.references)):
        numbers = document["splits"]["test"][side]
        lengths = sorted(len(line.split()) for line in lines)
        assert numbers["tokens"] == sum(lengths) and numbers["longest"] == lengths[-1]
        assert numbers["mean"] == pytest.approx(sum(lengths) / 7)
        # Nine of ten of seven lines are seven.
        assert numbers["p90"] == lengths[6]
        assert numbers["types"] == len({word for line in lines for word in line.split()})
        assert numbers["unknown"] == 0
    assert document["splits"]["noise-drop-30"]["origin"] == "test"


def test_repetitions_overlaps_unknown_words_and_tags_are_counted() -> None:
    document = json.loads(invoke("known", "--json").stdout)
    test, train = document["splits"]["test"], document["splits"]["train"]
    # One of six source words, [red], is not in the vocabulary.
    assert test["source"]["unknown"] == pytest.approx(1 / 6) and test["source"]["types"] == 4
    assert (test["sources_in_train"], test["pairs_in_train"], test["repeated"]) == (1, 1, 0)
    assert (train["sources_in_train"], train["pairs"]) == (0, 2)
    assert test["tags"] == {"rest": 2, "noun": 1, "verb": 1} and list(test["tags"]) == [
        "rest",
        "noun",
        "verb",
    ]
    assert test["junk"] == pytest.approx(1 / 6) and train["junk"] == pytest.approx(1 / 12)


def test_what_splits_have_in_common_is_a_table_and_json() -> None:
    document = json.loads(invoke("known", "--json").stdout)
    counts = {"sources": 1, "targets": 1, "pairs": 1, "unknown_sources": 0, "unknown_pairs": 0}
    assert {"split": "test", "other": "train", **counts} in document["overlaps"]
    only = json.loads(invoke("known", "--split", "valid", "--json").stdout)["overlaps"]
    assert only == [one for one in document["overlaps"] if one["split"] == "valid"]
    result = invoke("known", "--samples", "0")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["split", "also", "in", "sources", "targets", "pairs", "unknown"] in lines
    assert ["test", "train", "1", "1", "1", "0"] in lines
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "also in" not in invoke("reverse", *SMALL, "--samples", "0").stdout


def test_a_pair_is_shown_word_by_word_with_what_is_known() -> None:
    result = invoke("known")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["0", "the", "cat", "the", "[red]", "~um", "sees"] in lines
    assert ["die", "<-", "the(0)", "rest"] in lines
    assert ["Katze", "<-", "cat", "noun"] in lines
    assert ["sieht", "<-", "sees", "verb", "+", "cat"] in lines
    assert ["[31mrot", "<-", "–", "rest"] in lines
    assert "tags of test: rest 2 (50.0 %), noun 1 (25.0 %), verb 1 (25.0 %)" in result.stdout
    assert "junk in test: 16.7 % of the source words" in result.stdout


def test_text_cannot_steer_the_terminal() -> None:
    for arguments in ((), ("--json",)):
        result = invoke("known", *arguments)
        assert result.exit_code == 0 and "\x1b" not in result.stdout and "\x07" not in result.stdout
    assert "note: a ]0;note" in invoke("known").stdout


def test_where_words_have_nothing_but_a_translation_the_alignment_is_a_paragraph() -> None:
    lines = invoke("reverse", *SMALL, "--set", "max_length=4", "--set", "symbols=6", "--samples", 1)
    *_, source, target, alignment = lines.stdout.splitlines()
    words = source.split()[1:]
    assert target.split() == words[::-1]
    named = [word if words.count(word) == 1 else f"{word}({i})" for i, word in enumerate(words)]
    assert alignment.split() == [f"{word}<-{name}" for word, name in zip(words, named, strict=True)][::-1]


def test_a_split_and_other_pairs_can_be_asked_for() -> None:
    result = invoke("reverse", *SMALL, "--split", "noise-drop-30", "--samples", 2)
    assert "2 of 7 pairs of noise-drop-30, an altered copy of test" in result.stdout
    assert "noise-swap-10" not in result.stdout
    first, drawn, again = (
        invoke("reverse", *SMALL, "--split", "train", *more).stdout
        for more in ((), ("--seed", 3), ("--seed", 3))
    )
    assert drawn == again != first
    assert "pairs of" not in invoke("reverse", *SMALL, "--samples", 0).stdout


def test_looking_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke("copy", *SMALL).exit_code == 0
    assert list(tmp_path.iterdir()) == []


def test_the_corpus_of_an_experiment_file_is_shown_panel_by_panel(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(
        "name: x\narms: {none: []}\ncorpus: {name: copy, pairs: 30, valid: 5, test: 4}\n"
        "panels: {small: {corpus.pairs: 10}, large: {}}\nquick: {corpus.valid: 3}\n",
        encoding="utf-8",
    )

    def pairs(*arguments: str) -> dict[str, Any]:
        document = json.loads(invoke(file, "--json", *arguments).stdout)
        return {name: document["splits"][name]["pairs"] for name in ("train", "valid", "test")}

    assert pairs() == {"train": 10, "valid": 5, "test": 4}
    assert pairs("--panel", "large", "--set", "corpus.test=6") == {"train": 30, "valid": 5, "test": 6}
    assert pairs("--quick") == {"train": 10, "valid": 3, "test": 4}
    assert "the corpus of panel small" in invoke(file).stderr
    refused = invoke(file, "--panel", "smal")
    assert refused.exit_code == 2 and "did you mean 'small'?" in refused.stderr


@pytest.mark.parametrize("ending", ["tsv", "jsonl"])
def test_what_is_exported_is_read_back_by_the_corpus_files(tmp_path: Path, ending: str) -> None:
    for split in ("train", "valid", "test"):
        name = f"{split}.{ending}" + ".gz" * (split == "valid")
        result = invoke("reverse", *SMALL, "--split", split, "--export", tmp_path / name)
        assert result.exit_code == 0 and result.stdout == "", result.output
    assert "saved 7 pairs of test in" in result.stderr
    read = FilesCorpus.build(FilesOptions.model_validate({"path": str(tmp_path), "tokenizer": "word"}))
    for name in ("train", "valid", "test"):
        assert read.splits[name].sources == BACKWARDS.splits[name].sources
        assert read.splits[name].references == BACKWARDS.splits[name].references


def test_exported_json_lines_have_everything_that_is_known(tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl.gz"
    assert invoke("known", "--export", path).exit_code == 0
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode("utf-8").splitlines()]
    assert [row["split"] for row in rows] == ["train", "train", "valid", "test"]
    assert rows[-1] == {
        "split": "test",
        "src": Known.source,
        "tgt": Known.target,
        "align": [[0, 0], [1, 1], [5, 2]],
        "tags": ["rest", "noun", "verb", "rest"],
        "deps": [[0], [1], [1, 5], []],
        "junk": [0, 0, 0, 0, 1, 0],
    }


def test_exported_alignments_name_words_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    invoke("reverse", *SMALL, "--export", path)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == sum(len(split) for split in BACKWARDS.splits.values())
    for row in rows:
        assert set(row) == {"split", "src", "tgt", "align", "deps"}
        source, target = row["src"].split(), row["tgt"].split()
        assert row["deps"] == [[s for s, t in row["align"] if t == place] for place in range(len(target))]
        if row["split"] in ("train", "valid", "test"):
            assert [source[s] for s, _ in row["align"]] == target == source[::-1]


def test_the_same_export_is_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        invoke("copy", *SMALL, "--export", tmp_path / name)
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()


def test_a_file_is_replaced_by_force_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("mine", encoding="utf-8")
    arguments = ("copy", *SMALL, "--split", "test", "--export", path)
    refused = invoke(*arguments)
    assert refused.exit_code == 2 and "--force" in refused.stderr
    assert path.read_text(encoding="utf-8") == "mine"
    assert invoke(*arguments, "--force").exit_code == 0
    assert len(path.read_text(encoding="utf-8").splitlines()) == 7
    assert list(tmp_path.iterdir()) == [path]
    (tmp_path / "folder.tsv").mkdir()
    refused = invoke("copy", "--split", "test", "--export", tmp_path / "folder.tsv", "--force")
    assert refused.exit_code == 2 and "such a folder" in refused.stderr


@pytest.mark.parametrize(
    ("text", "said"), [("a\tb", "pair 1 of test has a tab in its target"), ("a\r", "carriage return")]
)
def test_a_table_that_could_not_be_read_back_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.setattr(Known, "target", f"die Katze sieht {text}".replace("sieht a\t", "a\t"))
    path = tmp_path / "x.tsv"
    refused = invoke("known", "--split", "test", "--export", path)
    assert refused.exit_code == 2 and said in refused.stderr and not path.exists()
    lines = tmp_path / "x.jsonl"
    assert invoke("known", "--split", "test", "--export", lines).exit_code == 0
    assert json.loads(lines.read_text(encoding="utf-8"))["tgt"] == Known.target


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["toydene"], "did you mean 'toydeen'?"),
        (["nowhere.yaml"], "no such file"),
        (["files"], "missing key 'path' in corpus"),
        (["copy", "--set", "pears=3"], "--set pears=3: error: unknown key 'pears' in corpus; did you mean 'pairs'?"),
        (["copy", "--set", "pairs=x"], "corpus.pairs must be a whole number, got 'x'"),
        (["copy", "--set", "pairs"], "KEY=VALUE"),
        (["copy", "--set", "name=reverse"], "give the name of the corpus as the argument"),
        (["mixture", "--set", "tasks.a.name=copi", "--set", "tasks.b.name=copy"], "did you mean 'copy'?"),
        (["copy", "--split", "tset"], "did you mean 'test'?"),
        (["copy", "--panel", "a"], "for experiment files"),
        (["copy", "--export", "x.csv"], "must end in .tsv or .jsonl"),
        (["copy", "--export", "x.tsv"], "name one with --split"),
        (["copy", "--export", "no/such/x.jsonl"], "no folder"),
        (["files", "--set", "path=nowhere", "--set", "src=a", "--set", "tgt=b"], "no files for 3 of 3 splits"),
        (["--set", "pairs=3"], "name it"),
        (["toydene", "--options"], "did you mean 'toydeen'?"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_message_and_exit_two(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output
    assert said in result.stderr and result.stdout == "" and "Traceback" not in result.stderr


def test_what_is_wrong_is_said_before_anything_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maskbench.data.CopyCorpus, "build", None)
    for arguments in (("--split", "x"), ("--export", "x.csv"), ("--set", "pairs=x")):
        assert invoke("copy", *arguments).exit_code == 2


def test_without_unicode_tables_are_ascii() -> None:
    corpus = CORPORA.lookup("copy").build(CORPORA.lookup("copy").Options(pairs=9, valid=3, test=2))
    console = Console(file=StringIO(), width=80)
    console.print(corpus_numbers(corpus, compute_statistics(corpus, ["train", "test"]), "test", ASCII))
    console.print(sample(corpus.splits["test"], 0, corpus.tags, ASCII))
    assert isinstance(console.file, StringIO) and console.file.getvalue().isascii()


def test_corpora_are_listed_and_shown_without_torch() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from maskbench.cli.main import app\n"
        "for rest in ([], ['copy', '--set', 'pairs=9', '--set', 'test=2', '--set', 'valid=2']):\n"
        "    assert CliRunner().invoke(app, ['corpus', *rest]).exit_code == 0\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_plug_in_brings_its_corpora(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskbench.plugins._loaded", {})
    file = tmp_path / "own.py"
    file.write_text(
        '"""A corpus."""\n'
        "from maskbench.data.corpora.copying import CopyCorpus\nfrom maskbench.registry import CORPORA\n\n"
        '@CORPORA.register("own")\nclass Own(CopyCorpus):\n    """Say it, once more."""\n',
        encoding="utf-8",
    )
    assert "Say it, once more." in invoke("--plugin", file).stdout
    assert invoke("own", *SMALL, "--plugin", file).exit_code == 0
