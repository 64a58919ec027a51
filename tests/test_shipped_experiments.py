"""Every shipped experiment opens with its question, loads, and has seeds enough for a verdict or says it has none."""

from __future__ import annotations

from pathlib import Path

import pytest

import maskbench.data
import maskbench.masks  # noqa: F401  (fills the registries)
from maskbench.comparison.statistics import least_seeds
from maskbench.config.load import load_experiment

SHIPPED = sorted((Path(__file__).parent.parent / "experiments").glob("*.yaml"))
by_name = pytest.mark.parametrize("path", SHIPPED, ids=[p.stem for p in SHIPPED])


@by_name
def test_it_loads_under_its_own_name_and_opens_with_a_question(path):
    experiment = load_experiment(path)
    assert experiment.name == path.stem.replace("_", "-")
    assert "?" in experiment.question


@by_name
def test_it_has_the_seeds_a_verdict_needs_or_says_that_it_gives_none(path):
    experiment = load_experiment(path)
    others = max(len(panel.arms) for panel in experiment.panels) - 1
    enough = others > 0 and len(experiment.seeds) >= least_seeds(others, experiment.compare.alpha)
    assert enough or "no verdict" in experiment.question


@by_name
def test_its_quick_form_loads_too(path):
    assert load_experiment(path, quick=True).name in (
        path.stem.replace("_", "-"),
        path.stem.replace("_", "-") + "-quick",
    )


def test_the_quickstart_asks_the_question_of_the_articles():
    (path,) = (p for p in SHIPPED if p.stem == "quickstart")
    experiment = load_experiment(path)
    (panel,) = experiment.panels
    assert [arm.name for arm in panel.arms] == ["static", "dynamic", "none"]
    assert (panel.baseline, len(experiment.seeds)) == ("static", 8)
    assert experiment.compare.metric == "noise-mask-20/token_accuracy"
    masks = {arm.name: arm.config.masks for arm in panel.arms}
    assert masks["static"][0].model_copy(update={"refresh": None}) == masks["dynamic"][0].model_copy(
        update={"refresh": None}
    )
    assert masks["static"][0].options["ratio"] == 0.15
