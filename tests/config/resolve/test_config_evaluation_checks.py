"""What a file wants measured: slices and metrics that need the corpus to know something, refused before any run."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_helpers import complaint, load

WANTED = """\
name: tiny
corpus: {{name: pairs, noise: [10, 30]}}
evaluate: {{splits: [{splits}], metrics: [{metrics}], by: [{by}]}}
compare: {{metric: "{metric}"}}
arms: {{none: []}}
"""


def text(metric: str, *, splits: str = "test", metrics: str = "nll, token_accuracy", by: str = "") -> str:
    return WANTED.format(metric=metric, splits=splits, metrics=metrics, by=by)


@pytest.mark.parametrize(
    "wanted",
    [
        text("test/nll[tag:noun]", by="tag"),
        text("test/nll[tag:end]", by="length, tag"),
        text("test/token_accuracy[length:6-10]", by="length"),
        text("test/token_accuracy[length:21+]", by="length"),
        text("test/nll[distance:7]", by="distance"),
        text("test/nll[distance:11-15]", by="distance"),
        text("noise-drop-30/interference", splits="test, noise-drop-30", metrics="nll, interference"),
        text("test/attention_entropy[site:cross]", metrics="attention_entropy"),
        text("test/exact_match[length:1-5]", metrics="exact_match", by="length, tag"),
    ],
)
def test_what_the_corpus_knows_can_be_measured(tmp_path: Path, wanted: str) -> None:
    assert load(tmp_path, wanted).compare.metric in wanted


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (text("test/nll[tag:noun]"), "compare.metric 'test/nll[tag:noun]' needs tag in evaluate.by"),
        (
            text("test/nll[tag:nuon]", by="tag"),
            "there is no tag 'nuon'; did you mean 'noun'? (there are: end, noun)",
        ),
        (text("test/nll[length:6-11]", by="length"), "there is no length '6-11'"),
        (text("test/nll[distance:16]", by="distance"), "there is no distance '16'"),
        (text("test/nll[site:cross]"), "nll has no slices by 'site' (it has: tag, length, distance)"),
        (text("test/nll[cross]"), "nll has no slices by 'cross'"),
        (
            text("test/exact_match[tag:noun]", metrics="exact_match", by="tag"),
            "exact_match has no slices by 'tag' (it has: length)",
        ),
        (
            text("test/attention_entropy[site:decoder]", metrics="attention_entropy"),
            "there is no site 'decoder'",
        ),
        (text("test/nll", by="tags"), "evaluate.by[0] must be 'tag', 'length' or 'distance'"),
        (text("test/nll", by="tag, tag"), "evaluate.by names 'tag' twice"),
        (
            text("test/nll", metrics="nll, interference"),
            "interference needs a split that is an altered copy of another (of pairs: noise-drop-10, noise-drop-30)",
        ),
        (
            text("test/interference", splits="test, noise-drop-10", metrics="interference"),
            "compare.metric 'test/interference': test is no altered copy of another split",
        ),
        (
            text("test/nll", metrics="nll, distractor_mass"),
            "distractor_mass needs marks of meaningless words, which the corpus pairs does not have",
        ),
        (text("test@window/nll"), "needs the masks of 'window' to be evaluated (evaluate.masks: own)"),
    ],
)
def test_what_it_does_not_know_is_refused_where_it_is_asked_for(
    tmp_path: Path, wanted: str, message: str
) -> None:
    assert message in complaint(tmp_path, wanted)


@pytest.mark.parametrize(
    "select", ["valid/interference", "valid/nll[length:1-5]", "valid@none/nll", "test/nll"]
)
def test_a_checkpoint_is_picked_by_what_every_validation_measures(tmp_path: Path, select: str) -> None:
    found = complaint(tmp_path, f'{text("test/nll")}train: {{select: "{select}"}}\n')
    assert "train.select must be" in found
