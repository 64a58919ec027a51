"""What is dropped at random while training: weights, pairs, keys, heads, source words."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from helpers import HEADS, TRAIN, causal, placement, plan, request, sizes, tiny_batch, tiny_model
from torch import Tensor

from maskbench.config.schema.experiment import ModelConfig
from maskbench.masks.clock import Clock
from maskbench.masks.context import Annotations, AttentionDecision
from maskbench.masks.plan import MaskPlan
from maskbench.masks.strategies.attention_dropout import DropHead, DropOptions
from maskbench.registry import PRESETS

DROPS: list[tuple[str, str, dict[str, Any]]] = [
    ("attention_dropout", "decoder_self", {}),
    ("drop_attention", "encoder_self", {}),
    ("drop_attention", "decoder_self", {"unit": "column", "span": 2}),
    ("drop_head", "cross", {}),
    ("memory_dropout", "cross", {}),
]
every_drop = pytest.mark.parametrize(("name", "site", "options"), DROPS)


def decision(
    arm: MaskPlan,
    q_len: int = 6,
    kv_len: int = 9,
    batch: int = 200,
    layer: int = 0,
    clock: Clock = TRAIN,
    lengths: Tensor | None = None,
) -> AttentionDecision:
    site = arm.placed[0].site
    return arm.decide_attention(
        site, layer, replace(request(q_len, kv_len, batch, clock=clock), src_lengths=lengths)
    )


def dropped(found: AttentionDecision, shape: tuple[int, ...]) -> Tensor:
    """True on pairs that are dropped, by whatever way the strategy has."""
    if found.factors is not None:
        return (found.factors == 0).expand(shape)
    if found.head_gate is not None:
        return (found.head_gate == 0)[:, :, None, None].expand(shape)
    return (~found.keep).expand(shape)


def share_is(values: Tensor, expected: float, independent: int) -> bool:
    """Whether a share of True is within four standard errors of a Bernoulli mean."""
    error = (expected * (1 - expected) / independent) ** 0.5
    return abs(values.double().mean().item() - expected) < 4 * error


@pytest.mark.parametrize("rate", [0.1, 0.4])
def test_weights_are_dropped_at_the_rate_and_the_others_scaled_up(rate):
    factors = decision(plan(placement("cross", "attention_dropout", rate=rate))).factors
    assert factors is not None and factors.shape == (200, HEADS, 6, 9)
    assert factors.unique().tolist() == [0.0, pytest.approx(1 / (1 - rate))]
    assert share_is(factors == 0, rate, factors.numel())
    spread = (rate / (1 - rate) / factors.numel()) ** 0.5
    assert abs(factors.mean().item() - 1) < 4 * spread


@pytest.mark.parametrize("site", ["encoder_self", "decoder_self", "cross"])
@pytest.mark.parametrize("n_heads", [3, 5])
def test_heads_layers_examples_and_pairs_are_drawn_independently(site, n_heads):
    arm = plan(placement(site, "attention_dropout", rate=0.5), of=sizes(n_heads=n_heads))
    asked = request(6, 9, 300)
    asked = replace(
        asked,
        query=torch.zeros(300, n_heads, 6, 4, dtype=torch.float64),
        keys=torch.zeros(300, n_heads, 9, 4, dtype=torch.float64),
        x=torch.zeros(300, 6, 4 * n_heads, dtype=torch.float64),
    )
    first, second = (arm.decide_attention(site, layer, asked).factors for layer in (0, 1))
    assert first is not None and second is not None and first.shape == (300, n_heads, 6, 9)
    drops = torch.cat([first, second], 1) == 0
    pairs = [(drops[:, a], drops[:, b]) for a in range(2 * n_heads) for b in range(a)]
    pairs += [(drops[1:], drops[:-1]), (drops[:, :, 1:], drops[:, :, :-1]), (drops[..., 1:], drops[..., :-1])]
    pairs += [(drops[:, :, :, 1:][:, :, :-1], drops[:, :, 1:][:, :, :, :-1])]
    for one, other in pairs:
        assert share_is(one == other, 0.5, one.numel())


@every_drop
def test_what_is_dropped_does_not_depend_on_lengths_or_batch_mates(name, site, options):
    arm = plan(placement(site, name, rate=0.4, **options))
    large = dropped(decision(arm, 7, 11, 5), (5, HEADS, 7, 11))
    small = dropped(decision(arm, 4, 8, 3), (3, HEADS, 4, 8))
    assert torch.equal(small, large[:3, :, :4, :8])
    asked = request(7, 11, 5)
    row = replace(
        asked,
        query=asked.query[2:3, :, 3:4],
        keys=asked.keys[2:3],
        x=asked.x[2:3, 3:4],
        q_idx=asked.q_idx[3:4],
        legal=asked.legal[:, :, 3:4],
        examples=asked.examples[2:3],
        src_lengths=None,
        src_ids=None,
        tgt_ids=None,
        annotations=Annotations(),
    )
    alone = dropped(arm.decide_attention(site, 0, row), (1, HEADS, 1, 11))
    assert torch.equal(alone, large[2:3, :, 3:4])


@every_drop
def test_every_visit_draws_anew_and_a_static_pattern_stays(name, site, options):
    fresh = plan(placement(site, name, rate=0.4, **options))
    static = plan(placement(site, name, {"per": "example", "variants": 1}, rate=0.4, **options))
    seen = [
        [
            dropped(decision(arm, batch=20, clock=Clock("train", 3, 9, epoch=e)), (20, HEADS, 6, 9))
            for e in (0, 1)
        ]
        for arm in (fresh, static)
    ]
    assert not torch.equal(*seen[0]) and torch.equal(*seen[1])


@every_drop
def test_evaluation_has_no_randomness(name, site, options):
    arm = plan(placement(site, name, rate=0.5, **options))
    clock, batch = Clock.evaluation(5, 10), tiny_batch()
    assert torch.equal(tiny_model(arm)(batch, clock), tiny_model(plan())(batch, clock))
    assert not torch.equal(tiny_model(arm)(batch, TRAIN), tiny_model(plan())(batch, TRAIN))


@every_drop
def test_at_rate_zero_nothing_happens(name, site, options):
    arm = plan(placement(site, name, rate=0.0, **options))
    assert torch.equal(tiny_model(arm)(tiny_batch(), TRAIN), tiny_model(plan())(tiny_batch(), TRAIN))


@every_drop
def test_a_rate_of_one_is_refused(name, site, options):
    with pytest.raises(ValueError, match=r"at most 0\.95"):
        plan(placement(site, name, rate=1.0, **options))


@pytest.mark.parametrize("span", [1, 2, 5])
@pytest.mark.parametrize("unit", ["element", "column"])
def test_a_key_is_dropped_at_the_rate_whatever_the_span(unit, span):
    arm = plan(placement("encoder_self", "drop_attention", rate=0.3, unit=unit, span=span))
    drops = dropped(decision(arm, batch=600), (600, HEADS, 6, 9))
    rows = 600 * HEADS * (6 if unit == "element" else 1)
    for j in range(9):
        assert share_is(drops[..., j], 0.3, rows)
    assert bool((drops == drops[:, :, :1]).all()) == (unit == "column")


def test_spans_are_at_least_as_long_as_they_say():
    arm = plan(placement("encoder_self", "drop_attention", rate=0.2, unit="column", span=3))
    runs = []
    for row in dropped(decision(arm, 1, 16, 300), (300, HEADS, 1, 16)).reshape(-1, 16).tolist():
        edges = [0, *(i for i, (a, b) in enumerate(pairwise(row), 1) if a != b), 16]
        inner = [(a, b) for a, b in pairwise(edges) if row[a] and a > 0 and b < 16]
        runs += [b - a for a, b in inner]
    assert min(runs) == 3 and len(runs) > 100


def test_dropping_pairs_before_the_softmax_is_dropping_weights_and_dividing():
    arm = plan(placement("decoder_self", "drop_attention", rate=0.4))
    asked = request(7, 7, legal=causal(7, 7))
    keep = arm.decide_attention("decoder_self", 0, asked).keep
    scores = (asked.query @ asked.key.mT).masked_fill(~asked.legal, -torch.inf)
    some = keep.any(-1, keepdim=True)
    before = scores.masked_fill(~keep, -torch.inf).masked_fill(~some, 0.0).softmax(-1) * some
    after = scores.softmax(-1) * keep
    after = after / after.sum(-1, keepdim=True).masked_fill(~some, 1.0)
    torch.testing.assert_close(before, after)
    assert bool((~some).any()) and bool((keep <= asked.legal).all())


def test_drop_key_is_a_name_for_dropping_pairs_less_and_less():
    preset = PRESETS["drop_key"]
    arm = plan(placement("encoder_self", preset.mask, **preset.options))
    first, last = (dropped(decision(arm, layer=n), (200, HEADS, 6, 9)) for n in (0, 1))
    assert share_is(first, 0.2, first.numel()) and not bool(last.any())


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.95])
def test_heads_that_stay_make_up_for_those_that_are_dropped(rate):
    gate = decision(plan(placement("cross", "drop_head", rate=rate)), batch=900).head_gate
    assert gate is not None and gate.shape == (900, HEADS)
    for row in gate.tolist():
        stays = sum(value > 0 for value in row)
        assert stays >= 1
        assert sorted(row) == [0.0] * (HEADS - stays) + [pytest.approx(HEADS / stays)] * stays
    # A head is dropped with probability rate, unless all are and it is the one of three that is spared.
    expected = rate - rate**HEADS / HEADS
    for h in range(HEADS):
        assert share_is(gate[:, h] == 0, expected, 900)
        assert abs(gate[:, h].mean().item() - 1) < 4 * gate[:, h].std().item() / 30


def test_dropped_heads_differ_between_layers():
    arm = plan(placement("encoder_self", "drop_head", rate=0.5))
    first, second = (decision(arm, layer=n).head_gate for n in (0, 1))
    assert first is not None and second is not None and not torch.equal(first, second)


def test_heads_cannot_be_dropped_among_a_few_of_them():
    few = placement("cross", "drop_head").model_copy(update={"heads": (0,)})
    with pytest.raises(ValueError, match="among all heads"):
        DropHead.check("cross", DropOptions(), few, ModelConfig())


def test_hidden_source_words_are_hidden_from_all_queries_heads_and_layers():
    arm = plan(placement("cross", "memory_dropout", rate=0.3))
    first, second = (dropped(decision(arm, batch=400, layer=n), (400, HEADS, 6, 9)) for n in (0, 1))
    assert torch.equal(first, second) and bool((first == first[:, :1, :1]).all())
    for j in range(9):
        assert share_is(first[:, 0, 0, j], 0.3, 400)


def test_a_source_is_never_hidden_as_a_whole():
    arm = plan(placement("cross", "memory_dropout", rate=0.6))
    lengths = torch.arange(600) % 3 + 1
    keep = decision(arm, 4, 5, 600, lengths=lengths).keep[:, 0, 0]
    real = torch.arange(5) < lengths[:, None]
    kept = (keep & real).sum(-1)
    assert bool((kept >= 1).all())
    for n in (1, 2, 3):
        # All of n are hidden with probability 0.6^n and then all are kept: so n stay with 0.4^n + 0.6^n.
        mine = kept[lengths == n]
        assert bool((mine == 1).all()) if n == 1 else share_is(mine == n, 0.4**n + 0.6**n, 200)
        density = arm.placed[0].strategy.density(arm.placed[0].options, 4, n)
        assert density is not None
        assert abs(mine.double().mean().item() / n - density) <= 4 * (0.25 / 200) ** 0.5


@pytest.mark.parametrize("name", ["drop_attention", "memory_dropout"])
def test_a_row_that_loses_everything_reads_nothing_and_has_finite_gradients(name):
    model, batch = tiny_model(plan(placement("cross", name, rate=0.9))), tiny_batch()
    found = model(batch, TRAIN)
    found.square().sum().backward()
    assert bool(found.isfinite().all())
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)
