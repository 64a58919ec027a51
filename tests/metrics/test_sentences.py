"""What single sentences add to the metrics: the sums give the run's metrics back."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from tiny_runs import TOKENS, config

from maskbench.config.schema.metrics import find_metric, metric_names
from maskbench.data import load_corpus
from maskbench.masks.clock import Clock
from maskbench.metrics.measure import count_sentences
from maskbench.metrics.model_outputs import ModelOutputs
from maskbench.metrics.translation_scores import Bleu, Chrf
from maskbench.runs.directory import RunDirectory
from maskbench.training.job import RunJob
from maskbench.training.loop import train_run
from maskbench.training.trainer import make_trainer

CLOCK = Clock.evaluation(0, 12)
METRICS = ["nll", "token_accuracy", "exact_match", "bleu", "chrf", "ece"]
SETTINGS = config(
    masks=[TOKENS | {"phases": ["train", "eval"]}],
    under={"none": []},
    evaluate={"splits": ["test", "valid"], "metrics": METRICS, "masks": ["own", "none"], "by": ["length"]},
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> RunDirectory:
    """A finished run whose masks act in evaluation, measured on two splits with and without them."""
    directory = tmp_path_factory.mktemp("runs") / "arm" / "seed-5"
    train_run(RunJob("demo", None, "arm", 5, SETTINGS, directory, cache), lambda progress: None)
    return RunDirectory(directory)


def lines(run: RunDirectory, split: str) -> list[dict[str, Any]]:
    return run.sentences(split).read()


def total(rows: list[dict[str, Any]], metric: str) -> list[float]:
    return [math.fsum(column) for column in zip(*(row[metric] for row in rows), strict=True)]


@pytest.mark.parametrize(("split", "pairs"), [("test", 7), ("valid", 9), ("test@none", 7), ("valid@none", 9)])
def test_sums_over_sentences_are_the_runs_metrics(run: RunDirectory, split: str, pairs: int) -> None:
    found, result = lines(run, split), run.result()
    assert result is not None
    assert [row["id"] for row in found] == list(range(pairs))
    assert all(list(row) == ["id", *METRICS[:-1]] for row in found)
    for metric in ("nll", "token_accuracy", "exact_match"):
        counted, of = total(found, metric)
        assert counted / of == pytest.approx(result["metrics"][f"{split}/{metric}"], rel=1e-12)
    for metric, scorer in (("bleu", BLEU(force=True)), ("chrf", CHRF())):
        sums = [int(x) for x in total(found, metric)]
        assert scorer._compute_score_from_stats(sums).score == result["metrics"][f"{split}/{metric}"]


def test_a_run_is_done_only_when_its_sentences_are_there(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs: list[bool] = []
    monkeypatch.setattr(
        RunDirectory, "write_result", lambda run, _: outputs.append(run.sentences("test").path.exists())
    )
    train_run(RunJob("demo", None, "arm", 5, config(), tmp_path / "seed-5", cache), lambda progress: None)
    assert outputs == [True]


def test_other_masks_have_sentences_of_their_own(run: RunDirectory) -> None:
    names = sorted(path.name for path in (run.path / "sentences").iterdir())
    assert names == ["test.jsonl", "test@none.jsonl", "valid.jsonl", "valid@none.jsonl"]
    assert lines(run, "valid") != lines(run, "valid@none")


def test_what_a_sentence_adds_is_what_it_has_alone(cache: Path) -> None:
    trainer = make_trainer(config(), corpus := load_corpus(config().corpus, cache), 3)
    outputs = ModelOutputs(trainer.model, corpus, CLOCK)
    found = count_sentences(
        outputs, "valid", [name for name in metric_names() if find_metric(name).sentence_numbers]
    )
    forced, said, rest = outputs.teacher_forced("valid"), outputs.translations("valid"), 0
    assert len({row["nll"][1] for row in found}) > 2, "sentences of one length would hide a mistake"
    for row, gold in zip(found, corpus.splits["valid"].tgt.rows(), strict=True):
        here = range(rest, rest := rest + len(gold))
        assert row["nll"] == [pytest.approx(math.fsum(forced.nll[t] for t in here)), len(gold)]
        assert row["token_accuracy"] == [sum(forced.predicted[t] == forced.gold[t] for t in here), len(gold)]
        hypothesis, reference = said.hypotheses[row["id"]], said.references[row["id"]]
        assert row["exact_match"] == [int(hypothesis == reference), 1]
        alone = BLEU(force=True).corpus_score([hypothesis], [[reference]])
        assert row["bleu"] == [alone.sys_len, alone.ref_len, *alone.counts, *alone.totals]


def test_case_counts_as_the_metric_is_told() -> None:
    said, meant = ["A man a Plan", "canal panama"], ["a man a plan", "Canal Panama ."]
    for metric, scorer in ((Bleu(), BLEU), (Chrf(), CHRF)):
        mixed, lower = (metric.count_texts(said, meant, lowercase) for lowercase in (False, True))
        assert mixed != lower
        for lowercase, rows in ((False, mixed), (True, lower)):
            sums = [sum(column) for column in zip(*rows, strict=True)]
            expected = scorer(lowercase=lowercase).corpus_score(said, [meant]).score
            assert scorer()._compute_score_from_stats(sums).score == expected


def test_by_hand() -> None:
    assert Bleu().count_texts(["b a b", "c"], ["a b a b", "d c"]) == [
        [3, 4, 3, 2, 1, 0, 3, 2, 1, 0],
        [1, 2, 1, 0, 0, 0, 1, 0, 0, 0],
    ]
    assert Bleu().count_texts([], []) == []


def test_only_what_was_measured_is_kept(cache: Path) -> None:
    trainer = make_trainer(config(), corpus := load_corpus(config().corpus, cache), 3)
    outputs = ModelOutputs(trainer.model, corpus, CLOCK)
    assert count_sentences(outputs, "test", ["ece", "aer"]) == []
    assert set(count_sentences(outputs, "test", ["ece", "token_accuracy"])[0]) == {"id", "token_accuracy"}
    assert outputs.hypotheses == {}, "nothing was translated for it"


def test_a_repetition_writes_the_same_bytes(run: RunDirectory, cache: Path, tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "arm" / "seed-5")
    train_run(RunJob("demo", None, "arm", 5, SETTINGS, directory.path, cache), lambda progress: None)
    for file in (run.path / "sentences").iterdir():
        assert (directory.path / "sentences" / file.name).read_bytes() == file.read_bytes()
