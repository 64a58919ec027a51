"""Every shipped experiment asks a question it can answer, and every shipped claim is about one of them."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest

import maskbench.data
import maskbench.masks  # noqa: F401  (fills the registries)
from maskbench.config.load import load_experiment
from maskbench.config.resolve.evaluation_checks import find_missing_for_comparison
from maskbench.config.schema.claims import STEP_TIME, Claim, Limit, load_claims
from maskbench.config.schema.experiment import CorpusConfig, Experiment, PanelConfig
from maskbench.config.schema.metrics import metric_name
from maskbench.data import load_corpus
from maskbench.data.corpus import Corpus
from maskbench.model.transformer import build_model
from maskbench.statistics.paired import least_seeds
from maskbench.training.warm_start import freeze_all_but

ROOT = Path(__file__).parent.parent
CLAIMS = load_claims(ROOT / "experiments" / "claims.yaml")
SHIPPED = sorted(path for path in (ROOT / "experiments").glob("*.yaml") if path.stem != "claims")
WITHOUT_QUICK = {"multi30k"}
"""One arm and one seed of a size that is known from the literature: smaller, it would answer nothing."""
by_name = pytest.mark.parametrize("path", SHIPPED, ids=[p.stem for p in SHIPPED])
by_claim = pytest.mark.parametrize("claim", CLAIMS.values(), ids=list(CLAIMS))


@functools.cache
def loaded(path: Path, *, quick: bool = False) -> Experiment:
    return load_experiment(path, quick=quick)


def work(experiment: Experiment) -> float:
    """Tokens trained on, with every arm and seed."""
    configs = [arm.config for panel in experiment.panels for arm in panel.arms]
    length = [
        config.train.steps if config.train.epochs is None else config.train.epochs for config in configs
    ]
    tokens = [n * config.train.batch_tokens for n, config in zip(length, configs, strict=True)]
    return len(experiment.seeds) * sum(tokens)


@by_name
def test_it_loads_under_its_own_name_and_opens_with_a_question(path):
    experiment = loaded(path)
    assert experiment.name == path.stem.replace("_", "-")
    question, *rest = experiment.question.split("\n\n")
    assert question.endswith("?") and rest


@by_name
def test_it_says_what_it_expects_or_that_it_gives_no_verdict(path):
    text = loaded(path).question
    assert re.search(r"\bexpected\b|no verdict", text, re.IGNORECASE) or path.stem == "quickstart"


@by_name
def test_it_has_the_seeds_a_verdict_needs_or_says_that_it_gives_none(path):
    experiment = loaded(path)
    others = max(len(panel.arms) for panel in experiment.panels) - 1
    enough = others > 0 and len(experiment.seeds) >= least_seeds(others, experiment.compare.alpha)
    assert enough or "no verdict" in experiment.question


@by_name
def test_its_quick_form_is_much_smaller_and_keeps_something_to_compare(path):
    full, quick = loaded(path), loaded(path, quick=True)
    if path.stem in WITHOUT_QUICK:
        assert quick.model_copy(update={"name": full.name}) == full
        return
    assert quick.name == f"{full.name}-quick"
    assert work(quick) <= work(full) / 3
    assert len(quick.panels) == 1 and len(quick.panels[0].arms) > 1


@by_name
def test_its_comment_counts_its_own_arms_and_seeds(path):
    experiment = loaded(path)
    said = re.search(r"(\d+) arms x (\d+) seeds(?: x (\d+) panels)?", experiment.question)
    if said:
        arms, seeds, panels = (int(number or 1) for number in said.groups())
        assert (arms, seeds, panels) == (
            len(experiment.panels[0].arms),
            len(experiment.seeds),
            len(experiment.panels),
        )


@by_name
def test_it_stands_in_the_list_of_experiments(path):
    listed = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    assert f"| `{path.stem}.yaml` |" in listed


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """Return small corpora with the vocabularies of the large ones, each built once."""
    folder = tmp_path_factory.mktemp("corpora")

    @functools.cache
    def build(text: str) -> Corpus:
        return load_corpus(CorpusConfig.model_validate_json(text), folder)

    def small(config: CorpusConfig) -> Corpus:
        sizes = {"pairs": 100, "valid": 10, "test": 10, "distractors": 0, "max_length": 12}
        options = {key: sizes.get(key, value) for key, value in config.options.items()}
        if config.name != "toydeen" and "max_length" in options:
            options["max_length"] = config.options["max_length"]
        return build(config.model_copy(update={"options": options}).model_dump_json())

    return small


@by_name
def test_every_arm_builds(path, corpora):
    for panel in loaded(path).panels:
        if panel.arms[0].config.corpus.name == "files" or path.stem.startswith("multi30k"):
            pytest.skip("its text is not shipped")
        for arm in panel.arms:
            model = build_model(arm.config, corpora(arm.config.corpus), 0)
            if arm.config.train_only is not None:
                freeze_all_but(model, arm.config.train_only)


def panel_of(claim: Claim) -> tuple[Experiment, PanelConfig]:
    experiment = loaded(ROOT / "experiments" / f"{claim.experiment.replace('-', '_')}.yaml")
    (panel,) = (panel for panel in experiment.panels if panel.name == claim.panel)
    return experiment, panel


@by_claim
def test_a_claim_names_arms_that_are_there_and_a_metric_that_is_measured(claim):
    _, panel = panel_of(claim)
    arms = {arm.name: arm for arm in panel.arms}
    assert claim.arm in arms and (claim.against or panel.baseline) in arms
    if claim.metric != STEP_TIME and metric_name(claim.metric).metric != "forced_gap":
        assert list(find_missing_for_comparison(claim.metric, arms[claim.arm].config.evaluate, None)) == []


@by_claim
def test_a_claim_can_be_decided_with_the_seeds_of_its_experiment(claim):
    experiment, panel = panel_of(claim)
    if not isinstance(claim.expects, Limit):
        assert claim.arm != (claim.against or panel.baseline)
        assert len(experiment.seeds) >= least_seeds(len(panel.arms) - 1, experiment.compare.alpha)


def test_claims_come_from_every_article():
    sources = " ".join(claim.source for claim in CLAIMS.values())
    assert len(CLAIMS) >= 15
    assert {number for number in "01234" if f"article {number}" in sources} == set("01234")


def test_the_quickstart_asks_the_question_of_the_articles():
    (path,) = (p for p in SHIPPED if p.stem == "quickstart")
    experiment = loaded(path)
    (panel,) = experiment.panels
    assert [arm.name for arm in panel.arms] == ["static", "dynamic", "none"]
    assert (panel.baseline, len(experiment.seeds)) == ("static", 8)
    assert experiment.compare.metric == "noise-mask-20/token_accuracy"
    masks = {arm.name: arm.config.masks for arm in panel.arms}
    assert masks["static"][0].model_copy(update={"refresh": None}) == masks["dynamic"][0].model_copy(
        update={"refresh": None}
    )
    assert masks["static"][0].options["ratio"] == 0.15
