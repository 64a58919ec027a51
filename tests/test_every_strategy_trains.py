"""Every strategy and preset trains on the toy corpus at every site it declares: no number stops being finite."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import maskbench.masks  # noqa: F401  registers the strategies
from maskbench.config.schema.experiment import RunConfig
from maskbench.data import load_corpus
from maskbench.masks.catalogue import example_arm
from maskbench.masks.clock import Clock
from maskbench.metrics.teacher_forcing import score_teacher_forced
from maskbench.registry import MASKS, PRESETS
from maskbench.training.trainer import make_trainer

STEPS = 60
OPTIONS = {"document": {"separator": ","}}
"""Where the example names a word the corpus does not have."""
CASES = [(name, site) for name in MASKS.names() for site in sorted(MASKS.lookup(name).sites)]
CASES += [(name, site) for name, preset in PRESETS.items() for site in sorted(preset.sites)]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "site"), CASES)
def test_a_strategy_trains(name: str, site: str, cache: Path) -> None:
    config = RunConfig.model_validate(
        {
            "corpus": {"name": "toydeen", "options": {"pairs": 400}},
            "model": {"d_model": 32, "n_heads": 4, "d_ff": 64, "encoder_layers": 2, "decoder_layers": 2},
            "train": {"steps": STEPS, "batch_tokens": 512, "lr": 3e-3, "warmup_steps": 10},
            "masks": example_arm(name, site, **OPTIONS.get(name, {})),
        }
    )
    corpus = load_corpus(config.corpus, cache)
    trainer = make_trainer(config, corpus, seed=0)
    start = {n: p.detach().clone() for n, p in trainer.model.masks.named_parameters()}
    reports = [trainer.update(*trainer.batch(step)) for step in range(STEPS)]
    assert all(math.isfinite(x) for r in reports for x in (r.loss, r.nll, r.grad_norm))
    assert sum(r.nll for r in reports[-10:]) < sum(r.nll for r in reports[:10])
    unmoved = [n for n, p in trainer.model.masks.named_parameters() if torch.equal(p, start[n])]
    assert not unmoved
    measured = score_teacher_forced(trainer.model, corpus.splits["valid"], Clock.evaluation(STEPS, STEPS))
    assert measured.nll.size and all(map(math.isfinite, measured.nll))
