"""What a table says of metrics without a value, of remarks, and of translations that were cut."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fake_runs import FakeRun, experiment, scored, write

from maskbench.cli.comparison.render import as_text
from maskbench.comparison.results import Comparison, ComparisonOptions
from maskbench.comparison.table import compare
from maskbench.comparison.text.json_document import to_json
from maskbench.config.schema.metrics import find_metric
from maskbench.errors import ConfigError
from maskbench.metrics.base import TranslationMetric
from maskbench.registry import METRICS

EMPTY = "all 4 references are empty"


def runs(also: Any = None, n: int = 3) -> list[FakeRun | None]:
    return [scored(0.5 + seed / 10).with_(also=also or {}) for seed in range(n)]


def compared(root: Path, metric: str | None = None, **arms: Sequence[FakeRun | None]) -> Comparison:
    (found,) = compare([write(root, experiment(list(arms), 3), arms)], ComparisonOptions(metric=metric))
    return found


def test_without_anything_to_say_nothing_is_said(tmp_path: Path) -> None:
    assert compared(tmp_path, none=runs(), other=runs()).warnings == ()


def test_metrics_without_a_value_for_one_reason_share_a_sentence(tmp_path: Path) -> None:
    also = {"undefined": {"long/bleu": EMPTY, "long/chrf": EMPTY, "long/chrf[length:1-5]": EMPTY}}
    found = compared(tmp_path, none=runs(also), other=runs(also))
    assert found.warnings == (f"undefined: long/bleu, long/chrf: {EMPTY}",)
    assert found.warnings[0] in " ".join(as_text([found]).split())
    assert json.loads(to_json([found]))["warnings"] == list(found.warnings)


def test_the_runs_are_named_where_they_are_not_all(tmp_path: Path) -> None:
    also = {
        "undefined": {"noise-1/relative_drop": "nothing of test is translated right"},
        "remarks": {"test/bleu": ["0 because no translation has 4 tokens"]},
    }
    found = compared(tmp_path, none=runs(), other=[*runs(also, 2), scored(0.9)])
    assert found.warnings == (
        "undefined: noise-1/relative_drop: nothing of test is translated right (other, seeds 0-1)",
        "test/bleu: 0 because no translation has 4 tokens (other, seeds 0-1)",
    )


def test_cut_translations_are_one_sentence_with_means_over_all_runs_of_an_arm(tmp_path: Path) -> None:
    cut = {"cut_off": {"test": {"cut": 12, "sentences": 400}, "long": {"cut": 1, "sentences": 7}}}
    found = compared(tmp_path, none=runs(), other=[*runs(cut, 2), scored(0.9)])
    (warning,) = found.warnings
    assert "test (other 8 of 400 sentences); long (other 0.667 of 7 sentences)" in warning
    assert "decode.max_length_ratio" in warning


def test_to_compare_what_no_run_has_is_refused_with_the_reason(tmp_path: Path) -> None:
    also = {"undefined": {"test/bleu": EMPTY}}
    empty = [FakeRun({"test/chrf": 50.0}, "a", "b").with_(also=also)] * 3
    with pytest.raises(ConfigError, match=f"test/bleu is undefined in every run: {EMPTY}; compare another"):
        compared(tmp_path, "test/bleu", none=empty, other=empty)


def test_a_run_without_the_compared_metric_says_why(tmp_path: Path) -> None:
    also = {"undefined": {"test/exact_match": EMPTY}}
    lacking = FakeRun({"test/nll": 1.0}, "a", "b").with_(also=also)
    found = compared(tmp_path, none=runs(), other=[lacking, *runs(n=2)])
    assert any(f"no test/exact_match, which is undefined there: {EMPTY}" in said for said in found.warnings)


@pytest.mark.parametrize(
    "also",
    [{"undefined": 3}, {"remarks": ["a"]}, {"cut_off": {"test": {"cut": "many"}}}, {"cut_off": {"test": 1}}],
)
def test_damaged_entries_make_a_run_unusable_and_nothing_else(tmp_path: Path, also: dict[str, Any]) -> None:
    found = compared(tmp_path, none=runs(), other=[*runs(also, 1), *runs(n=2)])
    assert [row.counts.failed for row in found.rows] == [0, 1]


def test_bleu_of_other_tokenisers_is_not_compared(tmp_path: Path) -> None:
    metric = find_metric("bleu")
    assert isinstance(metric, TranslationMetric)
    plain, chinese = ({"bleu": metric.with_tokenizer(name).signature()} for name in ("13a", "zh"))
    arms = {
        name: [run and run.with_(signatures=signatures) for run in runs()]
        for name, signatures in (("none", plain), ("other", chinese))
    }
    with pytest.raises(ConfigError, match="computed in different ways") as refused:
        compared(tmp_path / "refused", "test/bleu", **arms)
    assert "tok:13a" in str(refused.value) and "tok:zh" in str(refused.value)
    found = compared(tmp_path, **arms)
    assert "test/bleu" in found.warnings[0] and "test/bleu" not in found.rows[1].other_metrics


def test_accuracies_with_and_without_unknown_words_as_right_are_not_compared(tmp_path: Path) -> None:
    assert "token_accuracy" in METRICS
    old = [FakeRun({"test/token_accuracy": 0.9}, "a", "b")] * 3
    new = [run.with_(signatures={"token_accuracy": "unk:wrong"}) for run in old]
    with pytest.raises(ConfigError, match="computed in different ways"):
        compared(tmp_path, "test/token_accuracy", none=old, other=new)
