"""What `maskbench run` does with an arm that leaks, before anything is trained."""

from __future__ import annotations

import random
from pathlib import Path

import broken_strategies as broken
import numpy as np
import pytest
import torch

import maskbench.data
import maskbench.masks
from maskbench.audit.arms import pick_sentences
from maskbench.audit.gate import check_before_training
from maskbench.config.load import load_experiment
from maskbench.config.schema.experiment import Experiment
from maskbench.errors import ConfigError, LeakError
from maskbench.experiment.preparation import make_dry_run
from maskbench.experiment.progress_events import NullReporter
from maskbench.experiment.run import run_experiment

FILE = """
name: trial
seeds: [0]
baseline: none
corpus: {{name: copy, pairs: 64, valid: 8, test: 8, symbols: 7, max_length: 5}}
model: {{d_model: 12, n_heads: 3, encoder_layers: 1, decoder_layers: 1, d_ff: 20}}
train: {{steps: 2}}
arms: {{none: [], other: [{arm}]}}
"""


def load(tmp_path: Path, arm: str) -> Experiment:
    file = tmp_path / "trial.yaml"
    file.write_text(FILE.format(arm=arm), encoding="utf-8")
    return load_experiment(file)


@pytest.mark.parametrize(
    ("cls", "what"),
    [
        (broken.SeesTheFuture, "target tokens move predictions that come before them"),
        (broken.DropsTheMaskWhenFast, "target tokens move predictions that come before them"),
    ],
)
def test_a_leaking_plug_in_is_refused_and_nothing_is_trained(tmp_path: Path, cls: type, what: str) -> None:
    with broken.registered("broken", cls):
        experiment = load(tmp_path, "{site: decoder_self, mask: broken}")
        with pytest.raises(LeakError, match="arm other leaks and was not trained") as caught:
            run_experiment(experiment, tmp_path / "runs")
    assert what in str(caught.value) and "broken at decoder_self" in str(caught.value)
    assert caught.value.exit_code == 3
    assert not list((tmp_path / "runs").rglob("run.json"))


@pytest.mark.parametrize(
    ("cls", "generator"),
    [
        (broken.RandomInEvaluation, "torch's generator"),
        (broken.DrawsFromNumPy, "NumPy's generator"),
        (broken.DrawsFromPython, "Python's random module"),
        (broken.SeedsItselfAnew, "a generator of its own"),
    ],
)
@pytest.mark.parametrize("site", ["encoder_self", "decoder_self", "cross"])
def test_a_mask_with_random_numbers_of_its_own_is_told_so_and_not_that_it_leaks(
    tmp_path: Path, cls: type, generator: str, site: str
) -> None:
    with broken.registered("broken", cls):
        experiment = load(tmp_path, f"{{site: {site}, mask: broken}}")
        with pytest.raises(LeakError, match=f"arm other draws random numbers from {generator}") as caught:
            make_dry_run(experiment, tmp_path / "runs")
    assert "leak" not in str(caught.value) and "`ctx.draws`" in str(caught.value)
    assert f"broken at {site}" in str(caught.value)


def test_what_the_gate_draws_is_given_back(tmp_path: Path) -> None:
    for cls in (broken.RandomInEvaluation, broken.DrawsFromNumPy, broken.DrawsFromPython):
        with broken.registered("broken", cls):
            (panel,) = load(tmp_path, "{site: cross, mask: broken}").panels
            corpus = maskbench.data.load_corpus(panel.arms[1].config.corpus, tmp_path / "cache")
            before = [torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())]
            with pytest.raises(LeakError):
                check_before_training(panel.arms[1], corpus, 0)
        assert before == [torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())]


def test_a_leak_that_is_declared_is_measured_and_let_through(tmp_path: Path) -> None:
    experiment = load(tmp_path, "{site: decoder_self, mask: window, radius: 1, apply: raw, unsafe: true}")
    make_dry_run(experiment, tmp_path / "runs")
    (panel,) = experiment.panels
    corpus = maskbench.data.load_corpus(panel.arms[0].config.corpus, tmp_path / "cache")
    none, leaking = (check_before_training(arm, corpus, 0) for arm in panel.arms)
    assert none is None
    assert leaking is not None and leaking.startswith("arm other leaks, as its `unsafe: true` admits")
    assert "by up to 0." in leaking


@pytest.mark.parametrize("mask", ["none, legality: no_causal", "window, radius: 1, apply: raw"])
def test_a_warning_says_each_kind_of_leak_once(tmp_path: Path, mask: str) -> None:
    experiment = load(tmp_path, f"{{site: decoder_self, mask: {mask}, unsafe: true}}")
    arm = experiment.panels[0].arms[1]
    warning = check_before_training(arm, maskbench.data.load_corpus(arm.config.corpus, tmp_path), 0)
    assert warning is not None
    told = [part.partition(" (")[0] for part in warning.partition(": true` admits: ")[2].split("; ")]
    assert len(told) == len(set(told)) >= 2


def test_the_published_fill_of_next_to_nothing_is_an_arm_that_is_found_to_leak(tmp_path: Path) -> None:
    placement = "{site: decoder_self, mask: none, apply: small_fill, fill: -1.0e-12"
    with pytest.raises(ConfigError, match="add unsafe: true"):
        load(tmp_path, placement + "}")
    arm = load(tmp_path, placement + ", unsafe: true}").panels[0].arms[1]
    assert arm.config.masks[0].fill == -1e-12
    corpus = maskbench.data.load_corpus(arm.config.corpus, tmp_path / "cache")
    warning = check_before_training(arm, corpus, 0)
    assert warning is not None and "target tokens move predictions that come before them" in warning


def test_a_plug_in_that_is_declared_unsafe_is_let_through(tmp_path: Path) -> None:
    with broken.registered("broken", broken.SeesTheFuture):
        experiment = load(tmp_path, "{site: decoder_self, mask: broken, unsafe: true}")
        arm = experiment.panels[0].arms[1]
        corpus = maskbench.data.load_corpus(arm.config.corpus, tmp_path / "cache")
        warning = check_before_training(arm, corpus, 0)
    assert warning is not None and "target tokens move predictions" in warning


def test_the_sentences_differ_in_length_and_are_comfortable(tmp_path: Path) -> None:
    experiment = load(tmp_path, "{site: encoder_self, mask: window, radius: 1}")
    corpus = maskbench.data.load_corpus(experiment.panels[0].arms[0].config.corpus, tmp_path / "cache")
    train = corpus.splits["train"]
    chosen = pick_sentences(train)
    lengths = train.src.lengths[chosen].tolist()
    assert len(lengths) == 3 and lengths == sorted(lengths, reverse=True) and lengths[0] > lengths[-1] >= 2


class Hearer(NullReporter):
    """A reporter that remembers what it was warned of."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def warned(self, warning: str) -> None:
        self.heard.append(warning)


def test_a_declared_leak_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    experiment = load(tmp_path, "{site: decoder_self, mask: none, legality: no_causal, unsafe: true}")
    hearer = Hearer()
    make_dry_run(experiment, tmp_path / "runs", hearer)
    (warning,) = hearer.heard
    assert "arm other leaks" in warning


def test_an_arm_that_reads_the_length_of_the_target_is_refused(tmp_path: Path) -> None:
    with broken.registered("broken", broken.ReadsTargetLength):
        experiment = load(tmp_path, "{site: decoder_self, mask: broken}")
        with pytest.raises(LeakError, match="where the target ends"):
            make_dry_run(experiment, tmp_path / "runs")
