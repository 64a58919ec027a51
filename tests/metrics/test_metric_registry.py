"""Metrics by name: each one described is computed and documented, and takes from a split what it should."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from maskbench.config.schema.experiment import ATTENTION_SITES
from maskbench.config.schema.metrics import DISTANCES, LENGTHS, SliceKind, bin_name, find_metric, metric_name
from maskbench.data.corpus import Corpus, Ragged, Split
from maskbench.data.vocabulary import EOS, WordVocabulary
from maskbench.metrics.base import Metric
from maskbench.metrics.measure import measure
from maskbench.metrics.model_outputs import ModelOutputs
from maskbench.metrics.teacher_forcing import TeacherForcedScores
from maskbench.metrics.translation import TranslationResult
from maskbench.registry import METRICS

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
WORDS = WordVocabulary([f"w{i}" for i in range(6)])
# Two pairs: two words and an end mark, one word and an end mark.
TGT = Ragged.from_rows([[5, 6, EOS], [7, EOS]])
CLEAN = Split("test", TGT, TGT, ["a b", "c"], ["w0 w1", "w2"], tags=Ragged.from_rows([[1, 2, 0], [1, 0]]))


def copy(name: str, *touched: int) -> Split:
    rows = Ragged(np.array(touched, np.int32), TGT.offsets)
    sources = [f"{line} {name}" for line in CLEAN.sources]
    return replace(CLEAN, name=name, origin="test", sources=sources, touched=rows)


CORPUS = Corpus(
    "tiny",
    WORDS,
    {
        "test": CLEAN,
        "noise-drop-30": copy("noise-drop-30", 1, 0, 1, 0, 0),
        "noise-drop-10": copy("noise-drop-10", 0, 0, 0, 0, 0),
    },
    "0" * 64,
    9,
    tags=("end", "noun", "verb"),
)
RIGHT = {"test": [1, 1, 1, 0, 1], "noise-drop-10": [1, 1, 1, 0, 1], "noise-drop-30": [0, 1, 1, 0, 0]}
SAID = {"test": ["w0 w1", "w2"], "noise-drop-10": ["w0 w1", "W2"], "noise-drop-30": ["w0", "w3"]}


class Seen(ModelOutputs):
    """A model of which everything is known beforehand; what is asked of it is written down."""

    def __init__(self, by: tuple[str, ...] = (), lowercase: bool = False) -> None:
        super().__init__(None, CORPUS, None, by=by, lowercase=lowercase)  # type: ignore[arg-type]
        self.asked: list[str] = []

    def teacher_forced(self, split: str) -> TeacherForcedScores:
        self.asked.append(f"forced {split}")
        right = np.array(RIGHT[split], bool)
        gold = TGT.values.astype(np.int64)
        # Words of `test` are said with the confidence 0.8, end marks with 0.5.
        return TeacherForcedScores(
            gold, np.where(right, gold, 3), np.arange(5) / 2, np.where(gold == EOS, 0.5, 0.8)
        )

    def translations(self, split: str) -> TranslationResult:
        self.asked.append(f"said {split}")
        right = [text == reference for text, reference in zip(SAID[split], CLEAN.references, strict=True)]
        return TranslationResult(SAID[split], CLEAN.references, np.array(right))


def values(split: str, metric: str, *by: str) -> Mapping[str, float]:
    return {part: pytest.approx(value) for part, value in measure(Seen(by), split, metric).items()}


def test_every_metric_that_is_described_is_computed():
    assert len(METRICS) >= 15 and all(isinstance(find_metric(name), Metric) for name in METRICS)


def test_likelihood_and_accuracy_by_tag_and_length():
    expected = {"": 1.0, "length:1-5": 1.0, "tag:end": 1.5, "tag:noun": 0.75, "tag:verb": 0.5}
    assert values("test", "nll", "tag", "length", "distance") == expected
    assert values("test", "token_accuracy", "tag") == {"": 0.8, "tag:end": 1, "tag:noun": 0.5, "tag:verb": 1}


def test_calibration_leaves_end_marks_to_their_own_slice():
    # Words: two of three right at 0.8; end marks: both right at 0.5.
    expected = {"": 0.8 - 2 / 3, "tag:end": 0.5, "tag:noun": 0.3, "tag:verb": 0.2}
    assert values("test", "ece", "tag", "length") == expected
    assert values("test", "ece") == {"": 0.8 - 2 / 3}


def test_translations_by_length_only():
    assert values("test", "exact_match", "tag", "length") == {"": 1.0, "length:1-5": 1.0}


def test_the_gap_of_a_split():
    # The first sentence is right given its gold prefix, the second is not; both are right in decoding.
    assert values("test", "forced_gap") == {"": -0.5}


def test_what_an_alteration_costs_is_measured_beside_its_origin():
    # Untouched: the 2nd, 4th and 5th token, of which the last is lost. Touched: the 1st and the 3rd, the 1st is lost.
    assert values("noise-drop-30", "interference") == {"": 1 / 3}
    assert values("noise-drop-30", "information_loss") == {"": 1 / 2}
    assert values("noise-drop-10", "interference") == {"": 0.0}
    assert values("noise-drop-10", "information_loss") == {}


@pytest.mark.parametrize("metric", ["robustness", "relative_drop", "interference", "information_loss"])
def test_a_copy_without_an_altered_source_has_no_value(metric: str):
    copy = CORPUS.splits["noise-drop-30"]
    same = replace(CORPUS, splits={**CORPUS.splits, copy.name: replace(copy, sources=CLEAN.sources)})
    outputs = Seen()
    assert measure(outputs, copy.name, metric) != {}
    outputs.corpus = same
    assert measure(outputs, copy.name, metric) == {}


def test_the_curve_of_a_split_begins_with_its_origin_and_ends_with_itself():
    # Exact match 1, 1/2 and 0 at 0, 10 and 30 percent: (7.5 + 5) / 30.
    assert values("noise-drop-30", "robustness") == {"": 12.5 / 30}
    assert values("noise-drop-10", "robustness") == {"": 0.75}
    assert values("noise-drop-10", "relative_drop") == {"": 0.5}
    assert values("noise-drop-30", "relative_drop") == {"": 1.0}


def test_robustness_is_of_the_exact_match_that_the_run_asks_for():
    outputs = Seen(lowercase=True)
    assert measure(outputs, "noise-drop-10", "robustness") == {"": 1.0}
    assert outputs.signatures == {"robustness": "case:lc"}
    assert outputs.asked == ["said test", "said noise-drop-10"]


@pytest.mark.parametrize("metric", [name for name in METRICS if "origin" in find_metric(name).needs])
def test_what_is_no_copy_has_lost_nothing_and_costs_no_pass(metric: str):
    outputs = Seen()
    assert measure(outputs, "test", metric) == {} and outputs.asked == []


@pytest.mark.parametrize("metric", METRICS)
def test_the_page_has_a_section_about_every_metric_with_what_it_is(metric: str):
    info = find_metric(metric)
    _, found, rest = PAGE.partition(f"\n### `{metric}`\n")
    assert found, "no section"
    section = rest.partition("\n#")[0]
    assert info.unit in section
    assert ("higher is better" if info.higher_is_better else "lower is better") in section
    for need in info.needs - {"origin"}:
        assert f"`{need}`" in section
    assert ("for altered copies only" in section.lower()) == ("origin" in info.needs)
    for kind in get_args(SliceKind):
        assert (f"`{kind}`" in section) == (kind in info.slices)
    assert ("`site`" in section) == info.sites


def test_the_page_names_all_slices():
    for name in [*(f"length:{bin_name(b)}" for b in LENGTHS), *(f"site:{site}" for site in ATTENTION_SITES)]:
        assert f"`{name}`" in PAGE, name
    for example in [f"distance:{bin_name(b)}" for b in (DISTANCES[0], *DISTANCES[-3:])] + ["tag:end"]:
        assert f"`{example}`" in PAGE, example


def test_the_names_on_the_page_are_names():
    named = [
        word for word in PAGE.replace("`", " ").split() if "/" in word and "[" in word and "://" not in word
    ]
    assert len(named) == 2
    for word in named:
        name = metric_name(word)
        assert name is not None and name.metric in METRICS and str(name) == word, word
