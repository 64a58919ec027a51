"""How a plan combines answers: every kind, layers, heads, phases, order, keys."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import (
    HEAD_DIM,
    HEADS,
    TRAIN,
    causal,
    logit_context,
    losses_of,
    placement,
    plan,
    request,
    sizes,
    tiny_batch,
)
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from maskbench.errors import ConfigError
from maskbench.masks.base import (
    ATTENTION_SITES,
    HeadGate,
    InputFeature,
    LossMask,
    ScoreBias,
    StrategyOptions,
    TensorGate,
    WeightMask,
)
from maskbench.masks.clock import Clock
from maskbench.masks.context import AttentionContext, GateContext, LossContext, TokenInput
from maskbench.masks.random_draws import MaskSampler
from maskbench.registry import MASKS, Registry


class Amount(StrategyOptions):
    amount: float = 0.5


class Feature(InputFeature):
    sites = frozenset({"encoder_input"})
    source = "test"
    Options = Amount

    def feature(self, options: Amount, x: Tensor, tokens: TokenInput) -> Tensor:
        return torch.full_like(x, options.amount)


class Heads(HeadGate):
    sites = ATTENTION_SITES
    source = "test"
    Options = Amount

    def head_gate(self, options: Amount, ctx: AttentionContext) -> Tensor:
        return torch.full((1, ctx.n_heads), options.amount)


class Gate(TensorGate):
    sites = frozenset({"memory", "logits"})
    source = "test"
    Options = Amount

    def gate(self, options: Amount, tensor: Tensor, ctx: GateContext) -> Tensor:
        return torch.full_like(tensor[:1, :1], options.amount)


class Weights(LossMask):
    sites = frozenset({"loss"})
    source = "test"
    Options = Amount

    def weights(self, options: Amount, ctx: LossContext) -> Tensor:
        return ctx.real * options.amount


class Halved(WeightMask):
    sites = ATTENTION_SITES
    source = "test"
    Options = Amount

    def factors(self, options: Amount, ctx: AttentionContext) -> Tensor:
        return torch.full((1, HEADS, len(ctx.request.q_idx), len(ctx.request.kv_idx)), options.amount)


class Flat(ScoreBias):
    sites = ATTENTION_SITES
    source = "test"
    cacheable = False
    Options = Amount

    def bias(self, options: Amount, ctx: AttentionContext) -> Tensor:
        return torch.full((1, HEADS, len(ctx.request.q_idx), len(ctx.request.kv_idx)), options.amount)

    def penalty(self, acts: Tensor) -> Tensor:
        return torch.tensor(2.5)


@pytest.fixture(autouse=True)
def _more_strategies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enter the strategies above beside the built-in ones, for these tests only."""
    registry: Registry[Any] = Registry("mask strategy")
    for name in MASKS.names():
        registry.register(name)(MASKS.lookup(name))
    for cls in (Feature, Heads, Gate, Weights, Halved, Flat):
        registry.register(cls.__name__.lower())(cls)
    monkeypatch.setattr("maskbench.masks.placement.MASKS", registry)


def test_an_empty_plan_leaves_everything_as_it_is():
    arm, asked = plan(), request(4, 4, legal=causal(4, 4))
    decision = arm.decide_attention("decoder_self", 0, asked)
    assert torch.equal(decision.keep, asked.legal)
    assert decision.bias is None and decision.normaliser is None and decision.head_gate is None
    x = torch.randn(2, 3, 5)
    examples, real = torch.arange(2), torch.ones(2, 3, dtype=torch.bool)
    assert arm.gate_memory(x, TRAIN, examples) is x
    assert arm.gate_logits(x, TRAIN, examples) is x
    assert arm.mask_logits(x, logit_context(tiny_batch(), TRAIN), None, examples) is x
    assert arm.loss_weights(real, examples, TRAIN, lambda: losses_of(real)) is None
    assert arm.penalty() is None


@given(st.integers(1, 7), st.integers(0, 4), st.integers(1, 4))
def test_masks_at_a_site_are_anded_in_either_order(n, radius, size):
    window, block = placement("cross", "window", radius=radius), placement("cross", "block_local", size=size)
    answers = [
        plan(*arm).decide_attention("cross", 0, request(n, n)).keep
        for arm in ((window, block), (block, window))
    ]
    single = [plan(one).decide_attention("cross", 0, request(n, n)).keep for one in (window, block)]
    assert torch.equal(answers[0], answers[1])
    assert torch.equal(answers[0], single[0] & single[1])


def test_biases_are_summed_and_head_gates_multiplied():
    arm = plan(
        placement("cross", "flat", amount=0.25),
        placement("cross", "flat", amount=0.5),
        placement("cross", "heads", amount=0.5),
        placement("cross", "heads", amount=0.5),
    )
    decision = arm.decide_attention("cross", 1, request())
    assert decision.bias is not None and bool((decision.bias == 0.75).all())
    assert decision.head_gate is not None and bool((decision.head_gate == 0.25).all())
    assert arm.penalty() == 5.0
    assert not arm.cacheable


def test_gates_multiply_memory_and_logits():
    arm = plan(placement("memory", "gate", amount=0.5), placement("logits", "gate", amount=0.25))
    x = torch.randn(2, 3, 5)
    assert torch.equal(arm.gate_memory(x, TRAIN, torch.arange(2)), x * 0.5)
    assert torch.equal(arm.gate_logits(x, TRAIN, torch.arange(2)), x * 0.25)


def test_input_features_are_added():
    arm = plan(
        placement("encoder_input", "feature", amount=0.5), placement("encoder_input", "feature", amount=2.0)
    )
    x = torch.randn(2, 3, HEADS * HEAD_DIM)
    torch.testing.assert_close(
        arm.modify_embeddings(
            "encoder_input", x, TokenInput(torch.ones(2, 3).long()), TRAIN, torch.arange(2)
        ),
        x + 2.5,
    )


def test_loss_weights_are_multiplied():
    arm = plan(placement("loss", "weights", amount=0.5), placement("loss", "weights", amount=0.5))
    real = torch.tensor([[True, True, False]])
    weights = arm.loss_weights(real, torch.arange(1), TRAIN, lambda: losses_of(real))
    assert weights is not None and weights.tolist() == [[0.25, 0.25, 0.0]]


def test_a_placement_acts_in_its_layers_and_heads_only():
    where = placement("cross", "window", radius=0).model_copy(update={"layers": (1,), "heads": (0, 2)})
    first, second = (plan(where).decide_attention("cross", n, request(5, 5)).keep for n in (0, 1))
    assert bool(first.all())
    diagonal = torch.eye(5, dtype=torch.bool)
    assert torch.equal(second[0, 0], diagonal) and torch.equal(second[0, 2], diagonal)
    assert bool(second[0, 1].all())


@pytest.mark.parametrize(
    ("mask", "answer", "untouched"),
    [("flat", "bias", 0.0), ("heads", "head_gate", 1.0), ("halved", "factors", 1.0)],
)
def test_heads_a_placement_does_not_act_on_get_what_changes_nothing(mask, answer, untouched):
    where = placement("cross", mask, amount=0.75).model_copy(update={"heads": (0, 2)})
    found = getattr(plan(where).decide_attention("cross", 0, request(5, 7)), answer)
    for head, expected in enumerate([0.75, untouched, 0.75]):
        assert bool((found[:, head] == expected).all())


def test_a_normaliser_leaves_the_other_heads_their_softmax():
    where = placement("cross", "topk", k=1).model_copy(update={"heads": (1,)})
    asked = request(4, 6)
    decision, scores = plan(where).decide_attention("cross", 0, asked), asked.query @ asked.key.mT
    assert decision.normaliser is not None
    weights = decision.normaliser(scores, asked.legal)
    for head in (0, 2):
        torch.testing.assert_close(weights[:, head], scores[:, head].softmax(-1))
    assert bool(((weights[:, 1] > 0).sum(-1) == 1).all())


def test_factors_on_the_weights_are_multiplied():
    arm = plan(placement("cross", "halved", amount=0.5), placement("cross", "halved", amount=0.25))
    factors = arm.decide_attention("cross", 0, request()).factors
    assert factors is not None and bool((factors == 0.125).all())


def test_a_placement_acts_in_its_phases_only():
    where = placement("cross", "window", radius=0).model_copy(update={"phases": ("eval",)})
    trained = plan(where).decide_attention("cross", 0, request(5, 5)).keep
    tested = plan(where).decide_attention("cross", 0, request(5, 5, clock=Clock.evaluation(1, 2))).keep
    assert bool(trained.all()) and not bool(tested.all())


def test_a_scheduled_radius_follows_the_clock():
    arm = plan(placement("cross", "window", radius={"step": [[0, 0], [0.5, 2]]}))
    sums = [
        arm.decide_attention("cross", 0, request(6, 6, clock=Clock("train", s, 10))).keep.sum().item()
        for s in (4, 5)
    ]
    assert sums == [6, 6 + 2 * 5 + 2 * 4]


@pytest.mark.parametrize(("key", "value"), [("apply", "raw"), ("legality", "no_causal")])
def test_a_placement_that_leaks_is_refused_unless_it_says_so(key, value):
    where = placement("cross", "window", radius=1).model_copy(update={key: value})
    with pytest.raises(
        ConfigError, match=f"window at cross: {key}: {value} lets hidden positions have an influence"
    ):
        plan(where)
    assert plan(where.model_copy(update={"unsafe": True})).is_unsafe


def test_two_normalisers_at_a_site_are_refused():
    with pytest.raises(ConfigError, match="cross has a normaliser already, topk at cross; at most one can"):
        plan(placement("cross", "topk", k=1), placement("cross", "topk", k=2))


def test_a_strategy_at_a_site_it_has_no_meaning_at_is_refused():
    with pytest.raises(ConfigError, match="alibi does not act at cross"):
        plan(placement("cross", "alibi"))


def test_equal_placements_draw_different_masks_and_parameters_of_their_own():
    arm = plan(
        placement("encoder_self", "random_sparse", density=0.5),
        placement("encoder_self", "random_sparse", density=0.5),
        placement("encoder_self", "transform"),
        placement("encoder_self", "transform"),
    )
    first, second = (p.draws(TRAIN, torch.arange(2)) for p in arm.placed[:2])
    assert first is not None and second is not None and first.key != second.key
    assert len(dict(arm.named_parameters())) == 4


def test_equals_at_two_sites_and_two_strategies_at_one_site_draw_on_their_own():
    arm = plan(
        placement("encoder_self", "random_sparse", density=0.5),
        placement("cross", "random_sparse", density=0.5),
        placement("encoder_self", "bigbird"),
    )
    keys = [draws.key for p in arm.placed if (draws := p.draws(TRAIN, torch.arange(2))) is not None]
    assert len(set(keys)) == 3


def test_a_value_for_each_example_is_drawn_anew_at_every_visit():
    arm = plan(placement("encoder_input", "tokens", ratio={"sample_per_example": [0.1, 0.9]}))
    times = [
        Clock("train", 2, 100, epoch=0),
        Clock("train", 7, 100, epoch=0),
        Clock("train", 60, 100, epoch=1),
    ]
    one, same_visit, next_visit = (arm.placed[0].options_at(t, 0, torch.arange(50)).ratio for t in times)
    assert torch.equal(one, same_visit)
    assert not bool((one == next_visit).any())


def test_what_else_an_arm_holds_changes_no_draw():
    tokens = placement("encoder_input", "tokens", ratio=0.4)
    ids, lengths, examples = torch.randint(5, 20, (4, 9)), torch.full((4,), 9), torch.arange(4)
    alone, among = plan(tokens), plan(placement("cross", "random_sparse", density=0.5), tokens)
    picks = [arm.corrupt("encoder_input", ids, lengths, examples, TRAIN).ids for arm in (alone, among)]
    assert torch.equal(picks[0], picks[1])


@pytest.mark.parametrize(
    ("per", "variants", "steps_and_epochs", "expected"),
    [
        ("example", 1, [(0, 0), (9, 1), (30, 7)], [0, 0, 0]),
        ("example", "unlimited", [(0, 0), (9, 1), (30, 7)], [0, 1, 7]),
        ("example", 3, [(0, 0), (9, 1), (30, 7)], [0, 1, 1]),
        ("epoch", 2, [(0, 0), (9, 1), (30, 7)], [0, 1, 1]),
        ("step", "unlimited", [(0, 0), (9, 1), (30, 7)], [0, 9, 30]),
        ("step", 4, [(0, 0), (9, 1), (30, 7)], [0, 1, 2]),
        ("run", "unlimited", [(0, 0), (9, 1), (30, 7)], [0, 0, 0]),
    ],
)
def test_a_refresh_says_which_variant_is_in_force(per, variants, steps_and_epochs, expected):
    refresh = placement("cross", "random_sparse", {"per": per, "variants": variants}, density=0.5).refresh
    assert refresh is not None
    refresher = MaskSampler(0, "a", "cross", "random_sparse", 0, refresh)
    assert [refresher.variant(Clock("train", s, 100, e)) for s, e in steps_and_epochs] == expected
    assert refresher.variant(Clock.evaluation(30, 100)) == 0


def test_seeds_and_streams_have_draws_of_their_own():
    where = placement("cross", "random_sparse", density=0.5)
    arms = [plan(where), plan(where, seed=1), plan(where, streams="b")]
    patterns = [arm.decide_attention("cross", 0, request(8, 8)).keep for arm in arms]
    assert not torch.equal(patterns[0], patterns[1]) and not torch.equal(patterns[0], patterns[2])


def test_a_plan_touches_no_global_random_state():
    before = torch.get_rng_state()
    arm = plan(
        placement("encoder_input", "tokens", ratio=0.4),
        placement("cross", "random_sparse", density=0.5),
        of=sizes(),
    )
    arm.corrupt(
        "encoder_input",
        torch.randint(5, 20, (4, 9), generator=torch.Generator()),
        torch.full((4,), 9),
        torch.arange(4),
        TRAIN,
    )
    arm.decide_attention("cross", 0, request())
    assert torch.equal(before, torch.get_rng_state())


def test_options_that_do_not_move_are_resolved_once_for_a_layer():
    (placed,) = plan(placement("encoder_self", "window", radius={"per_layer": [1, 3]})).placed
    early, late = (Clock("train", step, 10) for step in (1, 9))
    assert placed.options_at(early, 1) is placed.options_at(late, 1)
    assert [placed.options_at(late, layer).radius for layer in (0, 1)] == [1, 3]


def test_options_that_move_are_resolved_once_a_step():
    (placed,) = plan(placement("encoder_self", "window", radius={"linear": [0, 10]})).placed
    clocks = [Clock("train", step, 10) for step in (0, 4, 4, 10, 4)]
    found = [placed.options_at(clock, layer) for clock in clocks for layer in (0, 1)]
    assert [options.radius for options in found] == [0, 0, 4, 4, 4, 4, 10, 10, 4, 4]
    assert found[2] is found[4]


@pytest.mark.parametrize("radius", [2, {"per_layer": [1, 3]}])
def test_a_forward_pass_does_not_look_for_schedules(radius, monkeypatch):
    arm = plan(placement("encoder_self", "window", radius=radius))
    before = arm.decide_attention("encoder_self", 1, request(6, 6)).keep
    monkeypatch.setattr(StrategyOptions, "schedules", None)
    monkeypatch.setattr(StrategyOptions, "resolve", None)
    assert torch.equal(arm.decide_attention("encoder_self", 1, request(6, 6)).keep, before)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (placement("cross", "window", radius=1, refresh={"per": "run"}), "window draws nothing at random"),
        (
            placement("cross", "window", radius=1).model_copy(update={"heads": (9,)}),
            "there is no head 9 at cross",
        ),
        (
            placement("encoder_input", "tokens", ratio=0.1).model_copy(update={"apply": "raw"}),
            "has no attention",
        ),
    ],
)
def test_a_plan_built_by_a_program_obeys_the_rules_of_the_file(where, message):
    with pytest.raises(ConfigError, match=message):
        plan(where)


def test_a_fill_reaches_every_layer_of_its_site():
    small = placement("decoder_self", "window", radius=1)
    small = small.model_copy(update={"apply": "small_fill", "unsafe": True})
    for fill, used in ((None, -1e4), (-1e-12, -1e-12), (-0.0, 0.0)):
        arm = plan(placement("decoder_self", "alibi"), small.model_copy(update={"fill": fill}))
        decision = arm.decide_attention("decoder_self", 1, request(4, 4))
        assert (decision.apply, decision.fill) == ("small_fill", used)


def test_placements_that_set_their_site_differently_are_refused():
    unsafe = placement("cross", "window", radius=1).model_copy(update={"unsafe": True})
    raw, filled = (unsafe.model_copy(update={"apply": value}) for value in ("raw", "small_fill"))
    with pytest.raises(ConfigError, match="apply holds for all of cross, where window at cross says raw"):
        plan(raw, filled)
