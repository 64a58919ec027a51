"""Scores from counts are sacreBLEU's, and what is wrong with a file of counts is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from maskbench.config.schema.metrics import find_metric, metric_name, metric_names
from maskbench.errors import RunDirectoryError
from maskbench.records.sentences import SentenceReader, read_counts, score_counts, score_sentences
from maskbench.runs.directory import ExperimentDirectory, RunDirectory

WORDS = st.lists(st.sampled_from(["a", "ab", "abc", "d", "dab", "."]), max_size=7).map(" ".join)
TEXTS = st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4)


@given(TEXTS)
def test_bleu_and_chrf_are_sacrebleus(texts: list[tuple[str, str]]) -> None:
    said, meant = [text for text, _ in texts], [text for _, text in texts]
    for metric, scorer in (("bleu", BLEU(force=True)), ("chrf", CHRF())):
        counts = np.array(scorer._extract_corpus_statistics(said, [meant]), dtype=float)
        assert score_counts(metric, counts.sum(0)) == pytest.approx(
            scorer.corpus_score(said, [meant]).score, abs=1e-9
        )
    alone = BLEU(force=True, effective_order=True)
    counts = np.array(alone._extract_corpus_statistics(said, [meant]), dtype=float)
    expected = [alone.sentence_score(text, [other]).score for text, other in texts]
    assert score_sentences("bleu", counts) == pytest.approx(expected, abs=1e-9)


def test_a_batch_of_sums_is_scored_sum_by_sum() -> None:
    sums = np.array(
        [[9, 8, 7, 5, 3, 0, 9, 7, 5, 3], [4, 8, 4, 3, 2, 1, 4, 3, 2, 1], [2, 2, 0, 0, 0, 0, 2, 1, 0, 0]]
    )
    one_by_one = [float(score_counts("bleu", row)) for row in sums.astype(float)]
    assert score_counts("bleu", sums.reshape(3, 1, 10).astype(float)).ravel().tolist() == one_by_one
    assert one_by_one[1] == pytest.approx(100 * np.exp(-1)) and one_by_one[2] == 0
    assert score_counts("nll", np.array([[3.0, 2.0], [5.0, 20.0]])).tolist() == [1.5, 0.25]


def test_every_metric_with_parts_can_be_read_and_scored() -> None:
    parts = {name for name in metric_names() if (found := metric_name(f"test/{name}")) and _is_kept(found)}
    assert parts == {"nll", "token_accuracy", "exact_match", "bleu", "chrf"}
    assert all(find_metric(name).sentence_numbers for name in parts)


def _is_kept(name: object) -> bool:
    from maskbench.records.sentences import is_additive

    return is_additive(name)  # type: ignore[arg-type]


def write(root: Path, text: str, split: str = "test") -> RunDirectory:
    run = RunDirectory(root / "arm" / "seed-4")
    file = run.path / "sentences" / f"{split}.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="utf-8")
    return run


def name(text: str):  # type: ignore[no-untyped-def]
    found = metric_name(text)
    assert found is not None
    return found


LINES = '{"id": 0, "nll": [1.5, 3]}\n{"id": 1, "nll": [0.25, 2]}\n{"id": 2, "nll": [4, 9]}\n'


def test_counts_come_in_the_order_of_the_sentences(tmp_path: Path) -> None:
    found = read_counts(write(tmp_path, LINES), name("test/nll"))
    assert found is not None and found.tolist() == [[1.5, 3], [0.25, 2], [4, 9]]


@pytest.mark.parametrize(
    "metric", ["test/token_accuracy", "test/ece", "valid/nll", "test@none/nll", "test/nll[tag:x]"]
)
def test_what_was_not_kept_is_none(tmp_path: Path, metric: str) -> None:
    assert read_counts(write(tmp_path, LINES), name(metric)) is None


def test_other_masks_are_another_file(tmp_path: Path) -> None:
    assert read_counts(write(tmp_path, LINES, "test@none"), name("test@none/nll")) is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"id": 0, "nll": [1.5, 3]}\n{"id": 0, "nll": [1, 2]}\n', "its ids should be 0 to 1, in order"),
        ('{"id": 0, "nll": [1.5, 3]}\n{"id": 1, "nll": [1]}\n', "inhomogeneous"),
        ('{"id": 0, "nll": [1.5, 3, 4]}\n', "nll should be 2 finite numbers a sentence"),
        ('{"id": 0, "nll": [Infinity, 3]}\n', "nll should be 2 finite numbers a sentence"),
        ('{"id": 0, "nll": ["a", 3]}\n', "could not convert"),
        ('{"nll": [1, 3]}\n', "'id'"),
        ('{"id": 0, "nll": [1.5, 3]}\nnonsense\n', "test.jsonl:2 is damaged"),
        ("[1, 2]\n", "a line should be a JSON object"),
    ],
)
def test_damage_is_said(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RunDirectoryError, match=message) as raised:
        read_counts(write(tmp_path, text), name("test/nll"))
    assert "test.jsonl" in str(raised.value)


def test_counts_that_do_not_add_up_to_the_metric_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, LINES)
    reader = SentenceReader(ExperimentDirectory(tmp_path), "test/nll")
    assert reader.counts("arm", 4, 5.75 / 14) is not None and reader.remarks == []
    other = SentenceReader(ExperimentDirectory(tmp_path), "test/nll")
    assert other.counts("arm", 4, 0.42) is None
    assert other.remarks == [
        "the numbers of single sentences of arm, seed 4, are left out: they do not add up to the run's test/nll"
    ]


def test_runs_of_other_lengths_are_no_pair(tmp_path: Path) -> None:
    for arm, count in (("a", 2), ("b", 3)):
        folder = tmp_path / arm / "seed-1" / "sentences"
        folder.mkdir(parents=True)
        rows = [{"id": i, "exact_match": [1, 1]} for i in range(count)]
        (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    reader = SentenceReader(ExperimentDirectory(tmp_path), "test/exact_match")
    assert reader.paired("a", "b", {1: (1.0, 1.0)}) is None
    same = reader.paired("a", "a", {1: (1.0, 1.0)})
    assert same is not None and same[0].shape == (1, 2, 2)


def test_a_folder_in_place_of_the_file_is_left_out_like_garbage(tmp_path: Path) -> None:
    (tmp_path / "arm" / "seed-4" / "sentences" / "test.jsonl").mkdir(parents=True)
    reader = SentenceReader(ExperimentDirectory(tmp_path), "test/nll")
    assert reader.counts("arm", 4, 0.4) is None
    (remark,) = reader.remarks
    assert "are left out" in remark and "test.jsonl" in remark
