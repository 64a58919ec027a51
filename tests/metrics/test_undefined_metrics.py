"""All metrics on splits where there is nothing to measure: a reason, never 0 or 100 percent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from maskbench.config.schema.metrics import find_metric
from maskbench.data.corpus import Corpus, Ragged, Split
from maskbench.data.vocabulary import EOS, UNK, WordVocabulary
from maskbench.metrics.alterations import interference
from maskbench.metrics.attention_statistics import AttentionStatistics, RunningMean
from maskbench.metrics.base import TranslationMetric
from maskbench.metrics.measure import count_sentences, measure
from maskbench.metrics.model_outputs import ModelOutputs
from maskbench.metrics.teacher_forcing import TeacherForcedScores
from maskbench.metrics.translation import TranslationResult
from maskbench.registry import METRICS

WORDS = WordVocabulary([f"w{i}" for i in range(7)])


def split(rows: Sequence[Sequence[int]], references: list[str], name: str = "test", **more: object) -> Split:
    """A split with these target rows; sources are one word, and nothing is junk, linked or touched."""
    tgt, n = Ragged.from_rows([[*row, EOS] for row in rows]), len(rows)
    src = Ragged.from_rows([[6, EOS]] * n)
    zeros = {
        key: Ragged.from_rows([[0] * len(r) for r in of.rows()]) for key, of in (("junk", src), ("tags", tgt))
    }
    none = {key: Ragged.from_rows([[]] * n) for key in ("links", "deps")}
    return Split(name, src, tgt, ["w1"] * n, references, **{**zeros, **none, **more})  # type: ignore[arg-type]


def with_copy(clean: Split, touched: int = 0) -> dict[str, Split]:
    """The split and an altered copy of it, in which every token is touched or none is."""
    sources = ["w2" for _ in clean.sources]
    marks = Ragged(np.full(len(clean.tgt.values), touched, np.int32), clean.tgt.offsets)
    return {
        "test": clean,
        "noise-1": replace(clean, name="noise-1", origin="test", touched=marks, sources=sources),
    }


class Known(ModelOutputs):
    """A model that ranks the gold token first everywhere, says nothing, and attends nowhere."""

    def __init__(self, splits: dict[str, Split], said: str = "") -> None:
        corpus = Corpus("tiny", WORDS, splits, "0" * 64, 9, tags=("end", "noun"))
        super().__init__(None, corpus, None, by=("length", "tag"))  # type: ignore[arg-type]
        self.said = said

    def teacher_forced(self, split: str) -> TeacherForcedScores:
        gold = self.split(split).tgt.values.astype(np.int64)
        return TeacherForcedScores(gold, gold, np.ones(len(gold)), np.ones(len(gold)))

    def translations(self, split: str) -> TranslationResult:
        n = len(self.split(split))
        return TranslationResult([self.said] * n, self.split(split).references, np.ones(n, bool))

    def attention(self, split: str) -> AttentionStatistics:
        nowhere = np.full((1, len(self.split(split).tgt.values)), -1)
        return AttentionStatistics(nowhere, {"cross": RunningMean()}, {"cross": RunningMean()})


EMPTY = with_copy(split([], []))
NO_TEXT = with_copy(split([[], []], ["", ""]))
NO_TEXT_TOUCHED = with_copy(split([[], []], ["", ""]), touched=1)
COMPUTED_FROM_THE_MODEL = {"effective_context"}
OF_COPIES = {name for name in METRICS if "origin" in find_metric(name).needs}


@pytest.mark.parametrize("metric", METRICS)
def test_on_no_sentences_no_metric_has_a_value(metric: str):
    on = "noise-1" if metric in OF_COPIES else "test"
    outputs = Known(EMPTY)
    assert measure(outputs, on, metric) == {}
    assert outputs.undefined == {f"{on}/{metric}": "there are no sentences"}
    assert count_sentences(outputs, on, [metric]) == []


REASONS = {
    "exact_match": "all 2 references are empty",
    "bleu": "all 2 references are empty",
    "chrf": "all 2 references are empty",
    "ece": "no target tokens besides end marks",
    "robustness": "test has no exact match: all 2 references are empty",
    "relative_drop": "test has no exact match: all 2 references are empty",
    "information_loss": "touches the evidence of no target token",
    "attention_entropy": "no query may attend to two keys",
    "distractor_mass": "no query attends to anything",
    "aer": "the gold alignment links no words",
}


@pytest.mark.parametrize("metric", sorted(set(METRICS) - COMPUTED_FROM_THE_MODEL))
def test_where_every_reference_is_empty_what_compares_words_has_no_value(metric: str):
    on = "noise-1" if metric in OF_COPIES else "test"
    outputs = Known(NO_TEXT)
    values = measure(outputs, on, metric)
    assert ("" in values) == (metric not in REASONS)
    assert all(math.isfinite(value) for value in values.values())
    if metric in REASONS:
        assert REASONS[metric] in outputs.undefined[f"{on}/{metric}"]
    if isinstance(find_metric(metric), TranslationMetric):
        # So do its slices.
        assert set(outputs.undefined) == {f"{on}/{metric}", f"{on}/{metric}[length:1-5]"}


def test_where_all_is_touched_nothing_is_interference():
    outputs = Known(NO_TEXT_TOUCHED)
    assert measure(outputs, "noise-1", "interference") == {}
    assert "of every target token" in outputs.undefined["noise-1/interference"]


@pytest.mark.parametrize("metric", sorted(OF_COPIES))
def test_a_copy_that_alters_nothing_costs_nothing_that_could_be_measured(metric: str):
    splits = with_copy(split([[5]], ["w0"]))
    splits["noise-1"] = replace(splits["noise-1"], sources=splits["test"].sources)
    outputs = Known(splits, said="w0")
    assert measure(outputs, "noise-1", metric) == {}
    assert outputs.undefined == {f"noise-1/{metric}": "the copy alters no source, so nothing can be lost"}


def test_who_gets_nothing_right_has_nothing_to_lose():
    outputs = Known(with_copy(split([[5], [6]], ["w0", "w1"])), said="w3")
    assert measure(outputs, "noise-1", "relative_drop") == {}
    assert outputs.undefined == {
        "noise-1/relative_drop": "nothing of test is translated right, so there is nothing to lose"
    }
    assert measure(outputs, "noise-1", "robustness") == {"": 0.0}


def test_an_alignment_without_links_between_words_is_no_perfect_one():
    # The only links are those of an end mark on either side, or on both: t * 2 + s.
    ends = Ragged.from_rows([[2, 3], [1]])
    outputs = Known(with_copy(split([[5], [6]], ["w0", "w1"], links=ends)))
    assert measure(outputs, "test", "aer") == {} and "test/aer" in outputs.undefined
    linked = Ragged.from_rows([[0], []])
    outputs = Known(with_copy(split([[5], [6]], ["w0", "w1"], links=linked)))
    assert measure(outputs, "test", "aer") == {"": 1.0} and outputs.undefined == {}


def test_a_share_of_attention_on_no_junk_is_said_to_be_nothing():
    outputs = Known(with_copy(split([[5]], ["w0"])))
    measure(outputs, "test", "distractor_mass")
    assert "no source token of the split is junk" in outputs.remarks["test/distractor_mass"][0]


def unknown() -> Known:
    """Three of five target tokens are unknown, and the model predicts the mark there."""
    return Known(with_copy(split([[UNK, 5, UNK], [UNK]], ["x w0 y", "z"])))


def test_an_unknown_word_is_never_right():
    outputs = unknown()
    # Of 6 tokens the word and both end marks are right.
    assert measure(outputs, "test", "token_accuracy") == {
        "": 0.5, "length:1-5": 0.5, "tag:end": 0.5,
    }  # fmt: skip
    assert outputs.signatures == {"token_accuracy": "unk:wrong"}
    assert count_sentences(outputs, "test", ["token_accuracy"]) == [
        {"id": 0, "token_accuracy": [2, 4]},
        {"id": 1, "token_accuracy": [1, 2]},
    ]
    (remark,) = outputs.remarks["test/token_accuracy"]
    assert remark.startswith("3 of 6 target tokens are words that the vocabulary does not have")
    assert measure(outputs, "test", "nll")[""] == 1.0
    assert outputs.remarks["test/nll"] == [remark] and "nll" not in outputs.signatures


def test_only_unknown_words_leave_the_end_marks():
    outputs = Known(with_copy(split([[UNK, UNK], [UNK]], ["x y", "z"])))
    assert measure(outputs, "test", "token_accuracy")[""] == 2 / 5


def test_what_an_alteration_costs_does_not_count_unknown_words_as_right():
    splits = with_copy(split([[UNK, 5], [UNK]], ["x w0", "z"]))
    outputs = Known(splits)
    clean = outputs.teacher_forced("test")
    lost = replace(clean, predicted=np.where(clean.gold == UNK, 5, clean.gold))
    assert interference(clean, lost, splits["noise-1"]) == 0.0
    measure(outputs, "noise-1", "interference")
    assert outputs.signatures == {"interference": "unk:wrong"}


def test_the_gap_between_forced_and_greedy_is_one_of_ids():
    # Greedy decoding says the mark too, and `right` compares ids: an unknown word is no leak.
    assert measure(unknown(), "test", "forced_gap") == {"": 0.0}


def test_without_unknown_words_nothing_is_said():
    outputs = Known(with_copy(split([[5, 6], [7]], ["w0 w1", "w2"])), said="w0 w1")
    for metric in ("nll", "token_accuracy", "exact_match", "chrf", "ece"):
        measure(outputs, "test", metric)
    assert outputs.undefined == {} and outputs.remarks == {}
    assert set(outputs.signatures) == {"exact_match", "chrf"}
