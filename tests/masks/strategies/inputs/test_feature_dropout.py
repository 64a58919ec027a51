"""Zeroed numbers, tokens, spans and channels of an embedding or of the memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import TRAIN, placement, plan, tiny_batch, tiny_model
from pydantic import ValidationError
from torch import Tensor

from maskbench.masks.clock import Clock
from maskbench.masks.context import GateContext
from maskbench.masks.plan import MaskPlan
from maskbench.masks.strategies.inputs.features import FeatureDropout, FeatureDropoutOptions

WIDTH = 10


def gate(
    examples: int, n: int, start: int = 0, site: str = "encoder_input", ratio: Any = 0.3, **options: Any
) -> Tensor:
    placed = plan(placement(site, "feature_dropout", ratio=0.3, **options)).placed[0]
    strategy = placed.strategy
    assert isinstance(strategy, FeatureDropout)
    current = FeatureDropoutOptions(ratio=0.3, **options).model_copy(update={"ratio": ratio})
    context = GateContext(torch.arange(start, start + n), placed.draws(TRAIN, torch.arange(examples)))
    return strategy.gate(current, torch.ones(examples, n, WIDTH, dtype=torch.float64), context).expand(
        examples, n, WIDTH
    )


@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.7, 1.0])
@pytest.mark.parametrize("granularity", ["feature", "token", "channel", "span"])
def test_the_share_of_zeros_is_the_ratio(granularity, ratio):
    examples, n = 900, 7
    zeros = (gate(examples, n, granularity=granularity, ratio=ratio) == 0).double().mean().item()
    # Independent draws: a number, a token, a column of a sentence, or a sentence's spans at worst.
    draws = {"feature": examples * n * WIDTH, "token": examples * n, "channel": examples * WIDTH}
    bound = 4 * (ratio * (1 - ratio) / draws.get(granularity, examples)) ** 0.5
    assert zeros == pytest.approx(ratio, abs=bound)


def test_a_feature_mask_draws_every_number_by_itself():
    kept = gate(60, 8).bool()
    assert len({tuple(column) for column in kept.flatten(0, 1).T.tolist()}) == WIDTH
    assert len({tuple(row) for row in kept[:, :, 0].tolist()}) > 30
    assert not kept.all(-1).any(-1).all() and kept.any(-1).all()


def test_a_token_mask_makes_whole_rows_zero_and_a_channel_mask_whole_columns():
    rows = gate(40, 6, granularity="token")
    assert torch.equal(rows, rows[:, :, :1].expand_as(rows)) and len(rows.unique()) == 2
    columns = gate(40, 6, granularity="channel")
    assert torch.equal(columns, columns[:, :1].expand_as(columns)) and len(columns.unique()) == 2


def test_a_span_mask_makes_runs_zero():
    spans = {"lengths": "fixed", "mean": 3}
    fallen = gate(400, 20, granularity="span", span=spans, ratio=0.2)[:, :, 0] == 0
    inner = ["".join("x" if f else " " for f in row).strip("x").split() for row in fallen.tolist()]
    runs = [len(run) for row in inner for run in row]
    # A run that touches no end is one span or several that overlap: never shorter than three.
    assert min(runs) == 3 and runs.count(3) > len(runs) / 2


@pytest.mark.parametrize("granularity", ["feature", "token"])
def test_rescaling_keeps_the_mean(granularity):
    n = 900 * 7 * (WIDTH if granularity == "feature" else 1)
    scaled = gate(900, 7, granularity=granularity, ratio=0.36, rescale=True)
    assert sorted(scaled.unique().tolist()) == pytest.approx([0.0, 1 / 0.64])
    assert scaled.mean().item() == pytest.approx(1.0, abs=4 * (0.36 / 0.64 / n) ** 0.5)


def test_rescaling_what_falls_entirely_gives_zeros():
    assert gate(3, 4, ratio=1.0, rescale=True).tolist() == torch.zeros(3, 4, WIDTH).tolist()


@pytest.mark.parametrize("granularity", ["feature", "token", "channel", "span"])
def test_every_example_may_have_a_ratio_of_its_own(granularity):
    each = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    together = gate(3, 9, granularity=granularity, ratio=each, rescale=True)
    for i, ratio in enumerate(each.tolist()):
        alone = gate(3, 9, granularity=granularity, ratio=ratio, rescale=True)
        assert torch.equal(together[i], alone[i])


@pytest.mark.parametrize("granularity", ["feature", "token", "channel", "span"])
def test_a_position_knows_neither_length_nor_start(granularity):
    whole = gate(5, 11, granularity=granularity)
    assert torch.equal(gate(5, 4, granularity=granularity), whole[:, :4])
    assert torch.equal(gate(5, 7, start=4, granularity=granularity), whole[:, 4:])
    assert torch.equal(gate(2, 11, granularity=granularity), whole[:2])


def test_evaluation_is_left_alone():
    batch, clock = tiny_batch(), Clock.evaluation(100, 100)
    for site in ("encoder_input", "decoder_input", "memory"):
        arm = plan(placement(site, "feature_dropout", ratio=0.9, rescale=True))
        assert torch.equal(tiny_model(arm)(batch, clock), tiny_model(plan())(batch, clock))


def test_a_memory_that_falls_entirely_makes_the_source_unknown():
    def scores(arm: MaskPlan, shift: int) -> Tensor:
        batch = tiny_batch()
        moved = torch.where(batch.src > 4, 5 + (batch.src + shift) % 18, batch.src)
        answer: Tensor = tiny_model(arm)(type(batch)(**{**vars(batch), "src": moved}), TRAIN)
        return answer

    blind = plan(placement("memory", "feature_dropout", ratio=1.0))
    assert torch.equal(scores(blind, 0), scores(blind, 7))
    assert not torch.equal(scores(plan(), 0), scores(plan(), 7))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"span": {"mean": 2}}, "granularity"),
        ({"granularity": "span", "span": {"of": "word"}}, "no words"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, reason):
    with pytest.raises(ValidationError, match=reason):
        FeatureDropoutOptions.model_validate({"ratio": 0.1, **options})
