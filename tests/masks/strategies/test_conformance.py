"""What every registered strategy and preset owes, at every site it declares: a new one is tested by existing.

Nothing here knows `maskbench.audit`, which proves more of less: the two are each other's check.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any

import pytest
import torch
from helpers import (
    HEADS,
    VOCAB,
    logit_context,
    losses_of,
    placement,
    plan,
    request,
    row_of,
    sizes,
    tiny_batch,
    tiny_model,
    widened,
)
from torch import Tensor

import maskbench.masks  # noqa: F401  (fills the registry)
from maskbench.config.schema.experiment import PlacementConfig
from maskbench.data.batches import Batch
from maskbench.data.vocabulary import N_SPECIAL
from maskbench.masks.base import ATTENTION_SITES, AttentionMask, Strategy
from maskbench.masks.clock import Clock
from maskbench.masks.context import AttentionContext, AttentionDecision
from maskbench.masks.placement import PlacedStrategy
from maskbench.masks.plan import MaskPlan
from maskbench.model.cache import DecoderCache
from maskbench.model.transformer import EncoderDecoder
from maskbench.registry import MASKS, PRESETS

# Every strategy goes through the same model in many ways; one that calls all of it checks its shapes.
pytestmark = pytest.mark.shapes(checked=False)


# An arm is hashed as the object that it is: a model is kept for each.
@dataclass(frozen=True, eq=False)
class Arm:
    """A strategy at a site, with options, and what must stand beside it."""

    name: str
    mask: str
    site: str
    options: dict[str, Any]
    refresh: Any = None
    companions: tuple[PlacementConfig, ...] = field(default=())

    def placement(self) -> PlacementConfig:
        """The placement, acting in both phases."""
        placed = placement(self.site, self.mask, self.refresh, **self.options)
        return placed.model_copy(update={"phases": ("train", "eval")})

    def plan(self, **options: Any) -> MaskPlan:
        return plan(self.placement(), *self.companions, **options)

    def rest(self) -> MaskPlan:
        """The plan without it."""
        return plan(*self.companions)

    @property
    def strategy(self) -> type[Strategy]:
        return MASKS.lookup(self.mask)


def arms_of(name: str, mask: str, sites: frozenset[str], options: Any, refresh: Any = None) -> list[Arm]:
    companions = MASKS.lookup(mask).example_arm
    return [Arm(name, mask, site, options, refresh, companions) for site in sorted(sites)]


EXAMPLES = [
    arm
    for name in MASKS.names()
    for cls in [MASKS.lookup(name)]
    for arm in arms_of(name, name, cls.sites, cls.example.model_dump(mode="json"))
]
NAMED = [
    arm
    for name, preset in sorted(PRESETS.items())
    for arm in arms_of(name, preset.mask, preset.sites, dict(preset.options))
]
FURTHER: list[tuple[str, Any, dict[str, Any]]] = [
    ("transform", None, {"map": "convolution", "side": "right", "base": "full"}),
    ("transform", None, {"side": "right", "base": "window", "strength": {"linear": [0.5, 2.0]}}),
    ("tokens", "static", {"ratio": 0.4, "replace": {"mask": 0.4, "random": 0.4, "zero": 0.2}}),
    ("tokens", {"per": "step"}, {"ratio": {"sample": [0.1, 0.6]}, "count": "bernoulli", "replace": "random"}),
    ("random_sparse", "dynamic", {"density": {"per_layer": [0.3, 0.7]}, "per_head": True, "diagonal": False}),
    ("random_sparse", {"per": "epoch"}, {"density": 0.3, "per_layer": True}),
    ("window", None, {"left": 3, "right": 0, "dilation": 2}),
    ("topk", None, {"k": {"step": [[0, 1], [0.5, 3]]}}),
    ("entmax", None, {"alpha": {"per_layer": [1.0, 2.0]}}),
    ("gaussian", None, {"offsets": [2, -3], "sigma": {"linear": [0.5, 3.0]}}),
    ("inverted", None, {"renormalise": False}),
    ("selective", None, {"head": 2, "strength": 3.0}),
    ("strided", None, {"stride": {"linear": [2, 5]}}),
    ("fixed_factorised", None, {"block": 4, "summary": 3}),
    ("block_local", None, {"size": 3, "overlap": 1}),
    ("sink_window", None, {"left": 2, "right": 0, "sinks": 2}),
    ("global_tokens", None, {"first": 3}),
    ("bigbird", "dynamic", {"radius": 0, "random": 2, "per_head": True}),
    (
        "bigbird",
        {"per": "step"},
        {"radius": {"per_layer": [0, 2]}, "first": 0, "random": 1, "per_layer": True},
    ),
    ("positional_heads", None, {"patterns": ["next", "last", "right"]}),
    ("positional_heads", None, {"patterns": ["self", "left", "previous"]}),
    (
        "mixed_heads",
        "dynamic",
        {
            "of": [
                {"mask": "document", "separator": "."},
                {"mask": "random_sparse", "density": 0.3},
                {"mask": "positional_heads", "patterns": ["next", "previous", "last"]},
            ]
        },
    ),
    (
        "any",
        {"per": "step"},
        {
            "of": [
                {"mask": "document", "separator": "w11"},
                {
                    "mask": "all",
                    "of": [
                        {"mask": "random_sparse", "density": {"linear": [0.2, 0.8]}, "per_head": True},
                        {"mask": "not", "of": [{"mask": "window", "radius": 0}]},
                    ],
                },
            ]
        },
    ),
    ("not", "dynamic", {"of": [{"mask": "bigbird", "per_head": True}]}),
]
"""Further ways to use a strategy that could leak where its example does not."""
HIDES_NOTHING = {("none", site) for site in ATTENTION_SITES} | {("causal", "decoder_self")}
"""Controls that keep all that is legal."""
VARIANTS = [
    arm
    for i, (name, refresh, options) in enumerate(FURTHER)
    for arm in arms_of(f"{name}-{i}", name, MASKS.lookup(name).sites, options, refresh)
]
SOURCE_SITES = {"encoder_input", "encoder_self"}
CLOCKS = [Clock("train", 30, 100, epoch=2), Clock.evaluation(100, 100)]


def each(arms: list[Arm]) -> Any:
    return pytest.mark.parametrize("arm", [pytest.param(arm, id=f"{arm.name}-{arm.site}") for arm in arms])


every_arm, every_example, every_named = (
    each([*EXAMPLES, *VARIANTS]),
    each(EXAMPLES),
    each([*EXAMPLES, *NAMED, *VARIANTS]),
)
every_attention = each([arm for arm in [*EXAMPLES, *NAMED, *VARIANTS] if arm.site in ATTENTION_SITES])


def logits(model: EncoderDecoder, batch: Batch, clock: Clock) -> Tensor:
    """Scores under teacher forcing as the arm's loss and search see them, with dropout as it is when training."""
    model.train(clock.phase == "train")
    torch.manual_seed(3)
    with torch.no_grad():
        gated = model.masks.gate_logits(model(batch, clock), clock, batch.ids)
        return model.masks.mask_logits(gated, logit_context(batch, clock), None, batch.ids)


def answers(model: EncoderDecoder, batch: Batch, clock: Clock) -> Tensor:
    """The scores, and beside them the weight of every target token in the loss."""
    real = torch.arange(batch.tgt_out.shape[1]) < batch.tgt_lengths[:, None]
    weights = model.masks.loss_weights(real, batch.ids, clock, lambda: losses_of(real))
    weights = real.float() if weights is None else weights
    return torch.cat([logits(model, batch, clock), weights[..., None]], -1)


@cache
def model_of(arm: Arm, dropout: float = 0.0) -> EncoderDecoder:
    """The arm's model, built once for all tests that only call it."""
    return tiny_model(arm.plan(), dropout)


@cache
def usual_answers(arm: Arm) -> Tensor:
    """The answers of the arm's model for the tiny batch in training."""
    return answers(model_of(arm), tiny_batch(), CLOCKS[0])


@cache
def answers_without(mask: str) -> Tensor:
    """The usual answers of a model with only what must stand beside this strategy."""
    return answers(tiny_model(plan(*MASKS.lookup(mask).example_arm)), tiny_batch(), CLOCKS[0])


@pytest.mark.shapes(checked=True)
@every_arm
def test_every_call_has_the_shapes_of_its_annotations(arm: Arm) -> None:
    assert usual_answers(arm).shape == (*tiny_batch().tgt_in.shape, VOCAB + 1)


def repeated(batch: Batch, times: int) -> Batch:
    """The batch's rows, all of them, so many times over."""
    parts = {f.name: getattr(batch, f.name) for f in fields(batch)}
    return Batch(**{k: v.repeat(times, *[1] * (v.ndim - 1)) for k, v in parts.items()})


@cache
def before_and_after() -> tuple[Batch, Batch]:
    """The tiny batch seven times over, unchanged and changed: in its row block t every word after t is another one."""
    batch = tiny_batch()
    rows, length = batch.tgt_in.shape
    wide = repeated(batch, length - 1)
    changed = wide.tgt_in.clone()
    for t in range(length - 1):
        for row in range(t * rows, (t + 1) * rows):
            for place in range(t + 1, length):
                if (word := int(changed[row, place])) >= N_SPECIAL:
                    changed[row, place] = N_SPECIAL + (word - N_SPECIAL + 1 + t) % 18
    return wide, replace(wide, tgt_in=changed, tgt_out=changed)


def future_leak(model: EncoderDecoder, clock: Clock) -> float:
    """The most that logits at or before t move when every target token after t is another one, over all t."""
    rows, length = tiny_batch().tgt_in.shape
    before, after = (logits(model, batch, clock) for batch in before_and_after())
    moved = (after - before).nan_to_num().abs().amax(-1)
    return max(float(moved[t * rows : (t + 1) * rows, : t + 1].max()) for t in range(length - 1))


@every_named
def test_changing_a_future_target_token_leaves_earlier_logits_unchanged(arm: Arm) -> None:
    model = model_of(arm, dropout=0.2)
    for clock in CLOCKS:
        assert future_leak(model, clock) == 0.0, clock.phase


@every_example
def test_cutting_the_future_off_leaves_earlier_logits_unchanged(arm: Arm) -> None:
    model, batch, clock = model_of(arm), tiny_batch(), CLOCKS[0]
    whole = usual_answers(arm)[..., :-1]
    for t in (1, 6):
        ids = batch.tgt_in[:, :t]
        cut = replace(batch, tgt_in=ids, tgt_out=ids, tgt_lengths=batch.tgt_lengths.clamp(max=t))
        torch.testing.assert_close(logits(model, cut, clock), whole[:, :t], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("clock", CLOCKS, ids=["train", "eval"])
@pytest.mark.parametrize("legality", ["no_causal", "none"])
def test_the_causality_test_fails_where_the_causal_mask_is_off(clock: Clock, legality: str) -> None:
    blind = placement("decoder_self", "window", radius=19)
    blind = blind.model_copy(update={"legality": legality, "unsafe": True})
    assert future_leak(tiny_model(plan(blind)), clock) > 1e-3


@every_arm
def test_padding_content_and_amount_never_matter(arm: Arm) -> None:
    batch = tiny_batch()
    real = torch.arange(batch.src.shape[1]) < batch.src_lengths[:, None]
    garbage = widened(replace(batch, src=torch.where(real, batch.src, 9)), 3, 11)
    after = answers(model_of(arm), garbage, CLOCKS[0])
    torch.testing.assert_close(after, usual_answers(arm), rtol=1e-10, atol=1e-10)


@every_arm
def test_batch_mates_never_matter(arm: Arm) -> None:
    # Two of the three suffice: whichever of its sentences a batch depends on, one of these two has it for a mate.
    for i in (0, 1):
        alone = answers(model_of(arm), row_of(tiny_batch(), i), CLOCKS[0])
        torch.testing.assert_close(alone, usual_answers(arm)[i : i + 1], rtol=1e-10, atol=1e-10)


def decoded(
    model: EncoderDecoder, batch: Batch, pieces: list[tuple[int, int]], cache: Any, read: tuple[Any, Any]
) -> Tensor:
    """The decoder's scores, computed piece by piece as a search would; `read` is the source and what it encodes to."""
    clock, masks = CLOCKS[1], model.masks
    source, memory = read
    scores = []
    for start, end in pieces:
        ids, so_far = batch.tgt_in[:, start:end], torch.full((3,), end)
        tokens = masks.corrupt("decoder_input", ids, so_far, batch.ids, clock, start=start)
        hidden = model.decode(tokens, memory, source, clock, cache)
        scores.append(masks.gate_logits(model.logits(hidden), clock, batch.ids, start))
    return torch.cat(scores, 1)


@every_arm
def test_cached_decoding_gives_the_scores_of_full_decoding(arm: Arm) -> None:
    model, batch = model_of(arm).eval(), tiny_batch()
    if not model.masks.placed[0].strategy.cacheable:
        assert not model.masks.cacheable
        return
    # What acts on the source alone has no part in a step of the decoder.
    length = 3 if arm.site in SOURCE_SITES else 8
    with torch.no_grad():
        inputs, source = model.read(batch, CLOCKS[1])
        read = source, model.encode(inputs, source, CLOCKS[1])
        whole = decoded(model, batch, [(0, length)], None, read)
        cache = DecoderCache(model.config.decoder_layers, length)
        steps = decoded(model, batch, [(t, t + 1) for t in range(length)], cache, read)
    torch.testing.assert_close(steps, whole, rtol=1e-10, atol=1e-10)


@every_example
def test_the_example_changes_what_the_model_does(arm: Arm) -> None:
    same = torch.equal(usual_answers(arm), answers_without(arm.mask))
    assert same is ((arm.mask, arm.site) in HIDES_NOTHING)


@every_example
def test_learned_parameters_start_as_the_identity_and_receive_gradient(arm: Arm) -> None:
    masks = arm.plan()
    if not list(masks.placed[0].strategy.parameters()):
        return
    assert arm.strategy.starts_as_identity
    batch, clock, start = tiny_batch(), CLOCKS[0], {k: v.clone() for k, v in masks.state_dict().items()}
    model, plain = tiny_model(masks), tiny_model(arm.rest())
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("masks.")})
    masks.load_state_dict(start)
    for when in CLOCKS:
        assert torch.equal(logits(model, batch, when), logits(plain, batch, when))
    model.train()
    optimiser = torch.optim.SGD(masks.parameters(), lr=0.1)
    moved = dict.fromkeys(dict(masks.named_parameters()), False)
    for _ in range(2):
        optimiser.zero_grad()
        loss = masks.gate_logits(model(batch, clock), clock, batch.ids).square().sum()
        penalty = masks.penalty()
        (loss if penalty is None else loss + penalty).backward()
        for name, parameter in masks.named_parameters():
            if parameter.grad is not None:
                moved[name] |= bool((parameter.grad != 0).any())
        optimiser.step()
    assert moved == dict.fromkeys(moved, True)


def test_only_what_says_so_has_parameters() -> None:
    learned = {arm.name for arm in EXAMPLES if list(model_of(arm).masks.placed[0].strategy.parameters())}
    assert (
        learned and {name for name in learned if "parameters" not in MASKS.lookup(name).depends_on} == set()
    )


@every_example
def test_an_evaluation_draws_the_same_every_time(arm: Arm) -> None:
    model, batch = model_of(arm, dropout=0.2), tiny_batch()
    clocks = (Clock.evaluation(100, 100), Clock("eval", 100, 100, epoch=7))
    first, second = (answers(model, batch, clock) for clock in clocks)
    assert torch.equal(first, second)


@pytest.mark.parametrize("name", MASKS.names())
def test_every_declaration_is_there(name: str) -> None:
    cls = MASKS.lookup(name)
    assert cls.__doc__ and len(cls.__doc__.split()) > 10
    assert cls.source and any(ch.isdigit() for ch in cls.source)
    assert cls.depends_on <= {"length", "input", "parameters", "annotation"}
    assert cls.needs <= {"junk", "links"} and (not cls.needs or "annotation" in cls.depends_on)
    assert cls.stochastic == (cls.default_refresh is not None)
    assert all(option.annotation is not None for option in cls.Options.model_fields.values())


@pytest.mark.parametrize("name", [n for n in MASKS.names() if MASKS.lookup(n).needs])
def test_what_a_strategy_needs_is_missed(name: str) -> None:
    from maskbench.errors import ConfigError

    arm = next(arm for arm in EXAMPLES if arm.name == name)
    bare = replace(sizes(), facts=replace(sizes().facts, annotations=frozenset()))
    with pytest.raises(ConfigError, match="needs a corpus that marks"):
        arm.plan(of=bare)


class Decisions:
    """An observer that keeps what was decided."""

    def __init__(self) -> None:
        self.decided_here: list[tuple[str, AttentionDecision]] = []

    def observe_decision(self, site: str, layer: int, decision: AttentionDecision) -> None:
        self.decided_here.append((site, decision))

    def observe_picks(self, *_: Any) -> None: ...

    def observe_pattern(self, *_: Any) -> None: ...


@every_attention
def test_only_what_says_so_leaves_a_query_nothing_to_see(arm: Arm) -> None:
    model, batch = model_of(arm), tiny_batch()
    if model.masks.placed[0].strategy.may_empty_rows:
        return
    model.masks.observer = seen = Decisions()
    try:
        for clock in CLOCKS:
            logits(model, batch, clock)
    finally:
        model.masks.observer = None
    length = batch.src_lengths if arm.site == "encoder_self" else batch.tgt_lengths
    own = [decision for site, decision in seen.decided_here if site == arm.site]
    assert own
    for decision in own:
        rows = decision.keep.any(-1).expand(len(batch.ids), HEADS, -1)
        real = torch.arange(rows.shape[-1]) < length[:, None]
        assert bool((rows | ~real[:, None]).all())


@every_attention
def test_rows_sum_to_one_wherever_something_may_be_seen(arm: Arm) -> None:
    masks = arm.plan()
    asked = request(6, 6)
    decision = masks.decide_attention(arm.site, 0, asked)
    scores = asked.query @ asked.key.mT
    scores = scores if decision.bias is None else scores + decision.bias
    keep = decision.keep | ~decision.keep.any(-1, keepdim=True)
    normalise: Callable[[Tensor, Tensor], Tensor] = decision.normaliser or (lambda s, k: s.softmax(-1))
    weights = normalise(scores.masked_fill(~keep, -torch.inf), keep)
    weights = weights if decision.factors is None else weights * decision.factors
    assert masks.placed[0].strategy.signed_weights or bool((weights >= 0).all())
    assert bool(weights.isfinite().all())
    assert bool((weights.masked_select(~keep.expand_as(weights)) == 0).all())
    if masks.placed[0].strategy.rows_sum_to_one:
        assert bool((weights >= 0).all())
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, HEADS, 6, dtype=torch.float64))


def pattern(
    placed: PlacedStrategy, q_idx: Tensor, kv_idx: Tensor, examples: Tensor, layer: int = 0
) -> Tensor:
    """A strategy's own answer about these positions, computed afresh."""
    asked = request(len(q_idx), len(kv_idx), len(examples))
    asked = replace(asked, q_idx=q_idx, kv_idx=kv_idx, examples=examples)
    draws = placed.draws(asked.clock, examples)
    context = AttentionContext(asked, placed.site, layer, HEADS, draws)
    assert isinstance(placed.strategy, AttentionMask)
    keep: Tensor = placed.strategy.keep(placed.options_at(asked.clock, layer, examples), context)
    return keep.expand(len(examples), HEADS, len(q_idx), len(kv_idx))


@each([a for a in [*EXAMPLES, *NAMED, *VARIANTS] if getattr(a.strategy, "sliceable", False)])
def test_a_sliceable_pattern_is_the_corner_of_every_longer_one(arm: Arm) -> None:
    placed, examples = arm.plan().placed[0], torch.tensor([3, 8])
    for layer in range(2):
        whole = pattern(placed, torch.arange(19), torch.arange(19), examples, layer)
        for q_len, kv_len in [(1, 1), (4, 4), (7, 11), (16, 9), (17, 17)]:
            corner = pattern(placed, torch.arange(q_len), torch.arange(kv_len), examples, layer)
            assert torch.equal(corner, whole[:, :, :q_len, :kv_len])
        for i in (0, 5, 18):
            step = pattern(placed, torch.tensor([i]), torch.arange(i + 1), examples, layer)
            assert torch.equal(step, whole[:, :, i : i + 1, : i + 1])


@each([a for a in [*EXAMPLES, *NAMED, *VARIANTS] if getattr(a.strategy, "sliceable", False)])
def test_what_the_bank_keeps_is_the_fresh_pattern(arm: Arm) -> None:
    placed = arm.plan().placed[0]
    if placed.pattern_cache is None:
        assert placed.draws(CLOCKS[0], torch.arange(2)).per_example  # type: ignore[union-attr]
        return
    for q_len, kv_len in [(13, 17), (18, 4), (7, 11), (1, 6)]:
        asked = request(q_len, kv_len)
        context = AttentionContext(asked, arm.site, 0, HEADS, placed.draws(asked.clock, asked.examples))
        kept = placed.keep(placed.options_at(asked.clock, 0, asked.examples), context).expand(
            2, HEADS, q_len, kv_len
        )
        fresh = pattern(placed, torch.arange(q_len), torch.arange(kv_len), asked.examples)
        assert torch.equal(kept, fresh)
    assert placed.pattern_cache.hits > 0


@each([a for a in [*EXAMPLES, *NAMED, *VARIANTS] if issubclass(a.strategy, AttentionMask)])
def test_a_density_that_is_given_is_the_density_counted(arm: Arm) -> None:
    # A pattern of its own for every example: as many independent draws as there are examples.
    own = replace(arm, refresh={"per": "example"}) if arm.strategy.stochastic else arm
    placed = own.plan().placed[0]
    examples = torch.arange(400 if arm.strategy.stochastic else 2)
    lengths = [(6, 6), (11, 11)] if arm.site != "cross" else [(5, 8), (9, 4)]
    for q_len, kv_len in lengths:
        options = placed.options_at(Clock("train", 0, 100), 0, examples)
        claimed = placed.strategy.density(options, q_len, kv_len)
        if claimed is None:
            continue
        keep = pattern(placed, torch.arange(q_len), torch.arange(kv_len), examples)
        legal = torch.ones(q_len, kv_len, dtype=torch.bool)
        legal = legal.tril() if arm.site == "decoder_self" else legal
        each_count = (keep & legal).sum((1, 2, 3)).double() / (HEADS * legal.sum())
        allowed = 5 * each_count.std().item() / len(examples) ** 0.5 + 1e-12
        assert abs(each_count.mean().item() - claimed) <= allowed
