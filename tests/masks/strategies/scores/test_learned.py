"""Learned strategies: gates on pairs, heads, the memory and the vocabulary scores, and the mask as an input channel."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from helpers import (
    HEADS,
    TABLE,
    TRAIN,
    VOCAB,
    causal,
    facts,
    placement,
    plan,
    request,
    sizes,
    tiny_batch,
    tiny_model,
)
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from maskbench.data.batches import Batch
from maskbench.masks.base import Strategy
from maskbench.masks.clock import Clock
from maskbench.masks.context import TokenInput
from maskbench.masks.plan import MaskPlan
from maskbench.masks.strategies.scores.gate_functions import clamp_straight_through, log_gate
from maskbench.model.transformer import EncoderDecoder

SETTINGS: list[tuple[str, str, dict[str, Any]]] = [
    ("transform", "encoder_self", {"base": "full", "side": "right"}),
    ("transform", "decoder_self", {"base": "causal", "side": "right"}),
    ("transform", "cross", {"map": "convolution", "activation": "tanh"}),
    ("transform", "encoder_self", {"base": "window", "activation": "gelu", "hidden": 3}),
    ("dman", "encoder_self", {}),
    ("dman", "decoder_self", {"max_distance": 2}),
    ("dman", "encoder_self", {"query_term": False}),
    ("adaptive_span", "decoder_self", {"ramp": 3}),
    ("learned_full", "encoder_self", {}),
    ("learned_full", "decoder_self", {"weight": 0.0}),
    ("learned_full", "cross", {"budget": 1.0}),
    ("head_gate", "cross", {"cost": 0.0}),
    ("head_gate", "encoder_self", {}),
    ("concat_feature", "encoder_input", {}),
    ("concat_feature", "decoder_input", {}),
    ("learned_gate", "memory", {"per": "position", "rank": 2}),
    ("learned_gate", "memory", {"per": "feature", "rank": 3}),
    ("learned_gate", "logits", {"per": "position", "rank": 3}),
    ("learned_gate", "logits", {"per": "feature", "rank": 2}),
]
every_setting = pytest.mark.parametrize(("name", "site", "options"), SETTINGS)


def logits(model: EncoderDecoder, batch: Batch, clock: Clock) -> Tensor:
    return model.masks.gate_logits(model(batch, clock), clock, batch.ids)


def only(arm: MaskPlan) -> Strategy:
    """The arm's one strategy, in float64."""
    return arm.placed[0].strategy.double()


def bias(arm: MaskPlan, q_len: int, kv_len: int, layer: int = 0) -> Tensor:
    found = arm.decide_attention(arm.placed[0].site, layer, request(q_len, kv_len)).bias
    assert found is not None
    return found


def fresh(arm: MaskPlan) -> tuple[EncoderDecoder, EncoderDecoder]:
    """A random model whose masks are as they start, and the same model without masks."""
    start = {k: v.clone() for k, v in arm.state_dict().items()}
    model, plain = tiny_model(arm), tiny_model(plan())
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("masks.")})
    arm.load_state_dict(start)
    return model, plain


@every_setting
@pytest.mark.parametrize("phase", ["train", "eval"])
def test_step_zero_is_the_model_without_it_bit_for_bit(name, site, options, phase):
    model, plain = fresh(plan(placement(site, name, **options)))
    clock, batch = Clock(phase, 0, 10), tiny_batch()
    assert torch.equal(logits(model, batch, clock), logits(plain, batch, clock))


@every_setting
def test_every_parameter_has_gradient_within_two_steps(name, site, options):
    arm = plan(placement(site, name, **options))
    model, _ = fresh(arm)
    optimiser = torch.optim.SGD(arm.parameters(), lr=0.1)
    rounding = 1e-12
    moved: set[str] = set()
    for step in range(2):
        optimiser.zero_grad()
        loss = logits(model, tiny_batch(), Clock("train", step, 10)).square().mean()
        penalty = arm.penalty()
        (loss if penalty is None else loss + penalty).backward()
        moved |= {
            k
            for k, p in arm.named_parameters()
            if p.grad is not None and p.grad.abs().max().item() > rounding
        }
        optimiser.step()
    assert moved == {k for k, _ in arm.named_parameters()}


@given(st.floats(-3, 3), st.floats(-8, 8))
def test_a_log_gate_is_a_power_of_the_sigmoid_at_most_one(amount, z):
    found = log_gate(torch.tensor([amount], dtype=torch.float64), torch.tensor([z], dtype=torch.float64))
    expected = max(amount, 0.0) * -math.log1p(math.exp(-z))
    assert found.item() == pytest.approx(expected, abs=1e-12) and found.item() <= 0


@given(st.floats(-2, 3))
def test_what_is_held_stays_in_its_range_and_keeps_its_gradient(value):
    raw = torch.tensor([value], requires_grad=True)
    found = clamp_straight_through(raw, 0.0, 1.0)
    found.sum().backward()
    assert found.item() == min(max(raw.item(), 0.0), 1.0)
    assert raw.grad is not None and raw.grad.item() == 1.0


def test_dman_is_the_published_gate_at_amount_one():
    arm = plan(placement("encoder_self", "dman", max_distance=2))
    strategy = only(arm)
    with torch.no_grad():
        strategy.amount.fill_(1.0)
        strategy.distance[1] = torch.tensor([0.5, -1.0, 2.0, 3.0])  # ahead by 2, by 1; behind by 1, by 2
        strategy.head[1] = torch.tensor([0.1, -0.2, 0.7])
        strategy.query[1] = torch.linspace(-1, 1, 12)
    asked = request(4, 6)
    found = arm.decide_attention("encoder_self", 1, asked).bias
    terms = {-2: 0.5, -1: -1.0, 0: 0.0, 1: 2.0, 2: 3.0}
    for b in range(2):
        for h, of_head in enumerate((0.1, -0.2, 0.7)):
            for i in range(4):
                query = sum(x * w for x, w in zip(asked.x[b, i], torch.linspace(-1, 1, 12), strict=True))
                for j in range(6):
                    z = float(query) + terms[max(-2, min(2, i - j))] + of_head
                    assert found[b, h, i, j].item() == pytest.approx(-math.log1p(math.exp(-z)), rel=1e-6)


def test_dman_without_input_is_what_its_picture_shows():
    arm = plan(placement("decoder_self", "dman", max_distance=3, query_term=False, strength=0.5))
    strategy = only(arm)
    with torch.no_grad():
        strategy.amount.fill_(0.8)
        strategy.distance.copy_(torch.linspace(-2, 2, 12).reshape(2, 6))
    picture = strategy.picture(arm.placed[0].options, 1, 5)
    torch.testing.assert_close(picture.log()[None], bias(arm, 5, 5, layer=1))
    assert bool((picture <= 1).all()) and picture.shape == (HEADS, 5, 5)


def test_a_span_fades_over_the_ramp_and_hides_what_lies_beyond():
    arm = plan(placement("encoder_self", "adaptive_span", longest=4, ramp=2))
    with torch.no_grad():
        only(arm).share[1] = torch.tensor([0.0, 0.3, 1.0])
    decision = arm.decide_attention("encoder_self", 1, request(6, 9))
    assert decision.bias is not None
    for h, reach in enumerate((0.0, 1.2, 4.0)):
        for i in range(6):
            for j in range(9):
                gate = min(1.0, max(0.0, (2 + reach - abs(i - j)) / 2))
                assert bool(decision.keep[:, h, i, j].all()) == (gate > 0)
                if gate > 0:
                    assert decision.bias[0, h, i, j].exp().item() == pytest.approx(gate, rel=1e-6)


def test_a_closed_span_leaves_every_position_itself_and_finite_gradients():
    arm = plan(placement("encoder_self", "adaptive_span", ramp=1))
    model, batch = tiny_model(arm), tiny_batch()
    strategy = arm.placed[0].strategy
    with torch.no_grad():
        strategy.share.fill_(-0.5)
    decision = arm.decide_attention("encoder_self", 0, request(7, 7))
    assert torch.equal(decision.keep[0, 0], torch.eye(7, dtype=torch.bool))
    for share in (-0.5, 0.13, 0.2):
        with torch.no_grad():
            strategy.share.fill_(share)
        model.zero_grad()
        found = model(batch, TRAIN)
        found.square().sum().backward()
        assert bool(found.isfinite().all())
        assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)
    assert bool((strategy.share.grad != 0).any())


def test_the_span_cost_is_the_mean_share_and_nothing_below_zero():
    arm = plan(placement("decoder_self", "adaptive_span", cost=0.6))
    assert arm.penalty().item() == pytest.approx(0.6)
    with torch.no_grad():
        only(arm).share.copy_(torch.tensor([[0.5, -2.0, 0.0], [1.0, 0.25, -0.1]]))
    assert arm.penalty().item() == pytest.approx(0.6 * 1.75 / 6)
    assert arm.placed[0].strategy.starts_as_identity
    assert not only(plan(placement("decoder_self", "adaptive_span", longest=3))).starts_as_identity


def test_the_span_picture_shows_hard_zeros():
    arm = plan(placement("decoder_self", "adaptive_span", longest=2, ramp=2))
    with torch.no_grad():
        only(arm).share[0] = torch.tensor([1.0, 0.5, 0.0])
    picture = only(arm).picture(arm.placed[0].options, 0, 5)
    assert picture[0, 0].tolist() == [1, 1, 1, 0.5, 0]
    assert picture[1, 0].tolist() == [1, 1, 0.5, 0, 0]
    assert picture[2, 4].tolist() == [0, 0, 0, 0.5, 1]


def test_a_full_gate_is_a_sigmoid_of_its_own_logit():
    arm = plan(placement("cross", "learned_full"))
    strategy = only(arm)
    table = torch.linspace(-4, 4, 2 * HEADS * TABLE * TABLE, dtype=torch.float64)
    with torch.no_grad():
        strategy.logits.copy_(table.reshape(2, HEADS, TABLE, TABLE))
        strategy.amount.fill_(1.0)
    found = bias(arm, 4, 6, layer=1)
    for h in range(HEADS):
        for i in range(4):
            for j in range(6):
                z = table[((HEADS + h) * TABLE + i) * TABLE + j].item()
                assert found[0, h, i, j].exp().item() == pytest.approx(1 / (1 + math.exp(-z)), rel=1e-9)
    picture = strategy.picture(arm.placed[0].options, 1, 4)
    torch.testing.assert_close(picture, found[0, :, :, :4].exp())


@pytest.mark.parametrize("site", ["encoder_self", "decoder_self", "cross"])
def test_the_budget_counts_pairs_as_often_as_sentences_have_them(site):
    src, tgt = (side.lengths.tolist() for side in facts().pairs())
    count = [[0] * TABLE for _ in range(TABLE)]
    for s, t in zip(src, tgt, strict=True):
        for i in range(s if site == "encoder_self" else t):
            for j in range(t if site == "decoder_self" else s):
                count[i][j] += 1 if site != "decoder_self" or j <= i else 0
    whole = sum(map(sum, count))
    arm = plan(placement(site, "learned_full", budget=0.4, weight=3.0))
    strategy = only(arm)
    with torch.no_grad():
        strategy.amount.fill_(1.0)
        strategy.logits.fill_(-50.0)
        strategy.logits[1, 2] = torch.linspace(-1, 3, TABLE * TABLE).reshape(TABLE, TABLE)
    gates = torch.sigmoid(strategy.logits[1, 2])
    mean = sum(count[i][j] * gates[i, j].item() for i in range(TABLE) for j in range(TABLE)) / whole
    assert mean > 0.4
    assert arm.penalty().item() == pytest.approx(3.0 * (mean - 0.4) ** 2 / 6, rel=1e-5)


def test_the_budget_of_an_unknown_corpus_counts_every_legal_pair_once():
    from dataclasses import replace

    from maskbench.masks.strategies.scores.learned_position_gates import pair_frequency

    unknown = replace(sizes(), facts=replace(facts(), pairs=None))
    legal = causal(TABLE, TABLE)[0, 0]
    expected = legal.float() / (TABLE * (TABLE + 1) / 2)
    torch.testing.assert_close(pair_frequency(unknown, "decoder_self"), expected)


def test_open_gates_cost_until_the_budget_is_met():
    arm = plan(placement("encoder_self", "learned_full", budget=0.3, weight=2.0))
    assert arm.penalty().item() == pytest.approx(2.0 * 0.7**2, rel=1e-5)
    with torch.no_grad():
        only(arm).amount.fill_(1.0)
        only(arm).logits.fill_(math.log(0.29 / 0.71))
    assert arm.penalty().item() == 0.0


def test_a_head_gate_multiplies_its_head_and_reaches_both_ends():
    arm = plan(placement("cross", "head_gate", cost=0.3))
    with torch.no_grad():
        only(arm).open[1] = torch.tensor([-0.2, 0.4, 1.7])
    gate = arm.decide_attention("cross", 1, request()).head_gate
    assert gate is not None and gate.tolist() == [[0.0, pytest.approx(0.4), 1.0]]
    assert arm.penalty().item() == pytest.approx(0.3 * (3 + 0.4 + 1.7) / 6)


def test_a_closed_head_keeps_its_gradient_and_costs_nothing():
    arm = plan(placement("encoder_self", "head_gate", cost=5.0))
    model = tiny_model(arm)
    opened = arm.placed[0].strategy.open
    with torch.no_grad():
        opened.fill_(-0.1)
    arm.penalty().backward()
    assert bool((opened.grad == 0).all())
    model(tiny_batch(), TRAIN).square().sum().backward()
    assert bool((opened.grad != 0).all())


def test_the_channel_is_one_where_a_word_is_shown():
    arm = plan(placement("encoder_input", "concat_feature"))
    weights = torch.arange(12.0) + 1
    with torch.no_grad():
        arm.placed[0].strategy.channel.copy_(weights)
    ids = torch.tensor([[7, 8, 9, 2], [5, 6, 2, 0]])
    picked = torch.tensor([[True, False, False, False], [False, False, False, False]])
    zeroed = torch.tensor([[False, False, False, False], [False, True, False, False]])
    x = torch.zeros(2, 4, 12)
    found = arm.modify_embeddings("encoder_input", x, TokenInput(ids, zeroed, picked), TRAIN, torch.arange(2))
    shown = torch.tensor([[0.0, 1, 1, 1], [1, 0, 1, 1]])
    assert found.shape == x.shape and torch.equal(found, shown[..., None] * weights)
    plain = arm.modify_embeddings(
        "encoder_input", x, TokenInput(ids), Clock.evaluation(1, 1), torch.arange(2)
    )
    assert torch.equal(plain, weights.expand(2, 4, -1))


def test_the_channel_tells_which_words_a_token_mask_hid():
    hiding = placement("encoder_input", "tokens", ratio=0.5, replace="keep")
    arm = plan(hiding, placement("encoder_input", "concat_feature"))
    model, batch = tiny_model(arm), tiny_batch()
    masked, _ = model.read(batch, TRAIN)
    assert torch.equal(masked.ids, batch.src)  # the tokens stay: only the channel can tell
    x = torch.zeros(3, 7, 12, dtype=torch.float64)
    found = arm.modify_embeddings("encoder_input", x, masked, TRAIN, batch.ids)
    assert torch.equal((found == 0).all(-1), masked.picked) and bool(masked.picked.any())


@pytest.mark.parametrize(("per", "out"), [("position", 1), ("feature", 12)])
def test_a_memory_gate_is_a_power_of_a_small_network(per, out):
    arm = plan(placement("memory", "learned_gate", per=per, rank=2))
    strategy = only(arm)
    with torch.no_grad():
        strategy.amount.fill_(0.7)
        strategy.up.copy_(torch.linspace(-1, 1, 2 * out).reshape(2, out))
        strategy.offset.copy_(torch.linspace(0.2, 0.4, out))
    memory = torch.linspace(-1, 2, 2 * 3 * 12, dtype=torch.float64).reshape(2, 3, 12)
    found = arm.gate_memory(memory, TRAIN, torch.arange(2))
    for b in range(2):
        for s in range(3):
            h = memory[b, s].tolist()
            middle = [
                math.tanh(sum(x * w for x, w in zip(h, row.tolist(), strict=True))) for row in strategy.down
            ]
            for d in range(12):
                o = d if out == 12 else 0
                phi = (
                    sum(m * strategy.up[r, o].item() for r, m in enumerate(middle))
                    + strategy.offset[o].item()
                )
                gate = math.exp(-0.7 * math.log1p(math.exp(phi)))
                assert found[b, s, d].item() == pytest.approx(h[d] * gate, rel=1e-6)


def test_the_gates_network_starts_from_orthogonal_rows():
    strategy = only(plan(placement("logits", "learned_gate", rank=5)))
    torch.testing.assert_close(
        strategy.down @ strategy.down.T, torch.eye(5, dtype=torch.float64), atol=1e-6, rtol=0
    )


def test_a_memory_that_is_gated_away_leaves_a_language_model():
    arm = plan(placement("memory", "learned_gate", per="position"))
    model, batch = tiny_model(arm), tiny_batch()
    strategy = arm.placed[0].strategy
    other = torch.where(batch.src > 4, 5 + (batch.src + 4) % 18, batch.src)
    changed = Batch(batch.ids, other, batch.src_lengths, batch.tgt_in, batch.tgt_out, batch.tgt_lengths)
    with torch.no_grad():
        for amount, same in ((0.5, False), (500.0, True)):
            strategy.amount.fill_(amount)
            strategy.offset.fill_(5.0)
            strategy.up.fill_(0.0)
            difference = (model(batch, TRAIN) - model(changed, TRAIN)).abs().max().item()
            assert (difference < 1e-12) == same


def test_a_gate_on_the_scores_cannot_do_what_conditioning_does():
    # The gated model is M(x) * g(x), g in [0, 1]: it changes no sign. A model that is given the mask as input does.
    arm = plan(
        placement("encoder_input", "tokens", ratio=0.9), placement("logits", "learned_gate", per="feature")
    )
    model, batch = tiny_model(arm), tiny_batch()
    with torch.no_grad():
        plain = model(batch, Clock("eval", 0, 10))
        gated = arm.gate_logits(plain, Clock("eval", 0, 10), batch.ids)
        conditioned = model(batch, TRAIN)
    assert not torch.equal(gated, plain) and torch.equal(gated.sign(), plain.sign())
    assert bool((gated.abs() <= plain.abs()).all())
    assert not torch.equal(conditioned.sign(), plain.sign())
    assert gated.shape[-1] == VOCAB
