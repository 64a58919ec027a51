"""Two masked views of a batch, drawn towards each other."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_runs import TOKENS, config
from torch import Tensor

from maskbench.data import load_corpus
from maskbench.model.dropout import Dropout
from maskbench.training.objective import symmetric_kl, view_clocks
from maskbench.training.trainer import Trainer, make_trainer


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def trainer_of(cache: Path, **changes: Any) -> Trainer:
    """A trainer in float32 without dropout and without smoothing."""
    chosen = config(precision="float32", label_smoothing=0.0, **changes)
    trainer = make_trainer(chosen, load_corpus(chosen.corpus, cache), 3)
    for module in trainer.model.modules():
        if isinstance(module, Dropout):
            module.p = 0.0
    return trainer


def by_hand(first: list[float], second: list[float]) -> float:
    """KL(1 || 2) + KL(2 || 1), term by term."""
    p, q = ([math.exp(x) / sum(map(math.exp, row)) for x in row] for row in (first, second))
    one = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    return one + sum(b * math.log(b / a) for a, b in zip(p, q, strict=True))


rows = st.lists(st.lists(st.floats(-4, 4), min_size=5, max_size=5), min_size=3, max_size=3)


@given(rows, rows)
def test_consistency_is_the_mean_of_both_divergences(first, second):
    expected = sum(by_hand(a, b) for a, b in zip(first, second, strict=True)) / 3
    found = symmetric_kl(torch.tensor(first), torch.tensor(second)).item()
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_a_run_without_it_has_one_view(cache: Path) -> None:
    clock = trainer_of(cache).batch(0)[1]
    assert view_clocks(clock, config().train) == [clock]
    assert view_clocks(clock, config(rdrop=1.0).train) == [clock, replace(clock, view=1)]


def test_equal_views_cost_nothing(cache: Path) -> None:
    plain, double = (trainer_of(cache, masks=[], rdrop=rdrop) for rdrop in (0.0, 5.0))
    batch, clock = plain.batch(0)
    one, two = plain.objective.backward(batch, clock), double.objective.backward(batch, clock)
    assert [x.item() for x in two] == pytest.approx([x.item() for x in one], rel=1e-6)
    for a, b in zip(plain.model.parameters(), double.model.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("refresh", [{"per": "example"}, {"per": "example", "variants": 1}])
def test_the_loss_is_half_of_the_papers(cache: Path, refresh: dict[str, Any]) -> None:
    trainer = trainer_of(cache, masks=[{**TOKENS, "refresh": refresh}], rdrop=3.0)
    batch, clock = trainer.batch(0)
    loss, nll = trainer.objective.backward(batch, clock)
    logs: list[Tensor] = []
    real = torch.arange(batch.tgt_out.shape[1]) < batch.tgt_lengths[:, None]
    with torch.no_grad():
        for view in (clock, replace(clock, view=1)):
            logs.append(trainer.model(batch, view)[real].log_softmax(-1))
    gold = batch.tgt_out[real]
    losses = [-log[torch.arange(len(gold)), gold].mean().item() for log in logs]
    p, q = (log.exp() for log in logs)
    divergences = ((p * (logs[0] - logs[1])).sum() + (q * (logs[1] - logs[0])).sum()) / len(gold)
    assert divergences > 1e-4  # the two views hid different words
    assert nll.item() == pytest.approx(sum(losses) / 2, rel=1e-5)
    assert loss.item() == pytest.approx(sum(losses) / 2 + 3.0 / 4 * divergences.item(), rel=1e-5)


def test_a_training_step_never_bans_the_gold_token(cache: Path) -> None:
    trainer = trainer_of(
        cache, masks=[{"site": "logits", "mask": "drop_vocabulary", "options": {"ratio": 1.0}}]
    )
    loss, _ = trainer.objective.backward(*trainer.batch(0))
    assert bool(loss.isfinite())
