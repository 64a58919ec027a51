"""What every registered strategy owes, at every site it declares: a new one is tested by existing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers import HEADS, placement, plan, request, tiny_batch, tiny_model
from torch import Tensor

import maskbench.masks  # noqa: F401  (fills the registry)
from maskbench.config.schema import PlacementConfig
from maskbench.data.batches import Batch
from maskbench.data.vocabulary import N_SPECIAL
from maskbench.masks.base import ATTENTION_SITES, Strategy
from maskbench.masks.clock import Clock
from maskbench.masks.context import TokenInput
from maskbench.masks.plan import MaskPlan
from maskbench.model.cache import DecoderCache
from maskbench.model.transformer import EncoderDecoder
from maskbench.registry import MASKS

CASES: list[tuple[str, str]] = [(n, site) for n in MASKS.names() for site in sorted(MASKS.lookup(n).sites)]
VARIANTS: list[tuple[str, Any, dict[str, Any]]] = [
    ("transform", None, {"map": "convolution", "side": "right", "base": "full"}),
    ("transform", None, {"side": "right", "base": "window", "strength": {"linear": [0.5, 2.0]}}),
    ("tokens", "static", {"ratio": 0.4, "replace": {"mask": 0.4, "random": 0.4, "zero": 0.2}}),
    ("tokens", {"per": "step"}, {"ratio": {"sample": [0.1, 0.6]}, "count": "bernoulli", "replace": "random"}),
    ("random_sparse", "dynamic", {"density": {"per_layer": [0.3, 0.7]}, "per_head": True, "diagonal": False}),
    ("random_sparse", {"per": "epoch"}, {"density": 0.3, "per_layer": True}),
    ("window", None, {"left": 3, "right": 0, "dilation": 2}),
    ("topk", None, {"k": {"step": [[0, 1], [0.5, 3]]}}),
]
"""Further ways to use a strategy that could leak where its example does not."""
CLOCKS = [Clock("train", 30, 100, epoch=2), Clock.evaluation(100, 100)]
every_case = pytest.mark.parametrize(("name", "site"), CASES)
every_arm = pytest.mark.parametrize(
    "where",
    [pytest.param((name, site, None, None), id=f"{name}-{site}") for name, site in CASES]
    + [
        pytest.param((name, site, refresh, options), id=f"{name}-{site}-variant{i}")
        for i, (name, refresh, options) in enumerate(VARIANTS)
        for site in sorted(MASKS.lookup(name).sites)
    ],
)
Where = tuple[str, str, Any, dict[str, Any] | None]


def strategy(name: str) -> type[Strategy]:
    return MASKS.lookup(name)


def example(name: str, site: str) -> PlacementConfig:
    """The strategy's own example, acting in both phases."""
    options = strategy(name).example.model_dump(mode="json")
    return placement(site, name, **options).model_copy(update={"phases": ("train", "eval")})


def arm_of(where: Where) -> MaskPlan:
    """The plan with one placement: the strategy's example, or a variant."""
    name, site, refresh, options = where
    if options is None:
        return plan(example(name, site))
    return plan(placement(site, name, refresh, **options).model_copy(update={"phases": ("train", "eval")}))


def logits(model: EncoderDecoder, batch: Batch, clock: Clock) -> Tensor:
    """Scores under teacher forcing as the arm's loss and search see them, with dropout as it is when training."""
    model.train(clock.phase == "train")
    torch.manual_seed(3)
    with torch.no_grad():
        return model.masks.logits(model(batch, clock), clock, None, batch.ids)


def answers(model: EncoderDecoder, batch: Batch, clock: Clock) -> Tensor:
    """The scores, and beside them the weight of every target token in the loss."""
    real = torch.arange(batch.tgt_out.shape[1]) < batch.tgt_lengths[:, None]
    weights = model.masks.loss_weights(real, batch.ids, clock)
    weights = real.float() if weights is None else weights
    return torch.cat([logits(model, batch, clock), weights[..., None]], -1)


def with_targets(batch: Batch, tgt_in: Tensor, lengths: Tensor | None = None) -> Batch:
    lengths = batch.tgt_lengths if lengths is None else lengths
    return Batch(batch.ids, batch.src, batch.src_lengths, tgt_in, tgt_in, lengths)


def future_leak(model: EncoderDecoder, clock: Clock) -> float:
    """The most that logits at or before t move when every target token after t is another one, over all t."""
    batch = tiny_batch()
    before = logits(model, batch, clock)
    worst = 0.0
    for t in range(batch.tgt_in.shape[1] - 1):
        changed = batch.tgt_in.clone()
        later = changed[:, t + 1 :]
        changed[:, t + 1 :] = torch.where(
            later >= N_SPECIAL, N_SPECIAL + (later - N_SPECIAL + 1 + t) % 18, later
        )
        moved = (logits(model, with_targets(batch, changed), clock) - before)[:, : t + 1]
        worst = max(worst, moved.nan_to_num().abs().max().item())
    return worst


@every_arm
@pytest.mark.parametrize("clock", CLOCKS, ids=["train", "eval"])
def test_changing_a_future_target_token_leaves_earlier_logits_unchanged(where, clock):
    model = tiny_model(arm_of(where), dropout=0.2)
    assert future_leak(model, clock) == 0.0


@every_arm
def test_cutting_the_future_off_leaves_earlier_logits_unchanged(where):
    model, batch, clock = tiny_model(arm_of(where)), tiny_batch(), CLOCKS[0]
    whole = logits(model, batch, clock)
    for t in range(1, batch.tgt_in.shape[1]):
        cut = with_targets(batch, batch.tgt_in[:, :t], batch.tgt_lengths.clamp(max=t))
        torch.testing.assert_close(logits(model, cut, clock), whole[:, :t], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("clock", CLOCKS, ids=["train", "eval"])
@pytest.mark.parametrize(("name", "site"), [*CASES, ("none", "")])
def test_the_causality_test_fails_when_the_causal_mask_is_removed(name, site, clock, monkeypatch):
    from maskbench.model import transformer

    honest = transformer.legality

    def blind(site: str, q_idx: Tensor, kv_idx: Tensor, src_lengths: Tensor | None) -> Tensor:
        legal: Tensor = honest(site, q_idx, kv_idx, src_lengths)
        return torch.ones_like(legal) if site == "decoder_self" else legal

    monkeypatch.setattr(transformer, "legality", blind)
    model = tiny_model(plan(*([] if name == "none" else [example(name, site)])))
    assert future_leak(model, clock) > 1e-3


@every_arm
def test_padding_content_and_amount_never_matter(where):
    model, batch, clock = tiny_model(arm_of(where)), tiny_batch(), CLOCKS[0]
    real = torch.arange(batch.src.shape[1]) < batch.src_lengths[:, None]
    before = answers(model, batch, clock)
    garbage = Batch(
        batch.ids,
        torch.where(real, batch.src, 9),
        batch.src_lengths,
        batch.tgt_in,
        batch.tgt_out,
        batch.tgt_lengths,
    )
    assert torch.equal(answers(model, garbage, clock), before)
    wider = Batch(
        batch.ids,
        torch.nn.functional.pad(batch.src, (0, 3), value=11),
        batch.src_lengths,
        batch.tgt_in,
        batch.tgt_out,
        batch.tgt_lengths,
    )
    torch.testing.assert_close(answers(model, wider, clock), before, rtol=1e-10, atol=1e-10)


@every_arm
def test_batch_mates_never_matter(where):
    model, batch, clock = tiny_model(arm_of(where)), tiny_batch(), CLOCKS[0]
    whole = answers(model, batch, clock)
    for i in range(len(batch.ids)):
        row = Batch(
            *(
                getattr(batch, f)[i : i + 1]
                for f in ("ids", "src", "src_lengths", "tgt_in", "tgt_out", "tgt_lengths")
            )
        )
        alone = answers(model, row, clock)
        torch.testing.assert_close(alone, whole[i : i + 1], rtol=1e-10, atol=1e-10)


@every_arm
def test_cached_decoding_gives_the_scores_of_full_decoding(where):
    arm = arm_of(where)
    assert arm.cacheable  # one that is not must be left out here, and say why
    model, batch, clock = tiny_model(arm).eval(), tiny_batch(), CLOCKS[1]
    memory = model.encode(
        arm.corrupt("encoder_input", batch.src, batch.src_lengths, batch.ids, clock),
        batch.src_lengths,
        batch.ids,
        clock,
    )

    def hidden(start: int, end: int, cache: DecoderCache | None) -> Tensor:
        ids = batch.tgt_in[:, start:end]
        tokens: TokenInput = arm.corrupt(
            "decoder_input", ids, torch.full((3,), end), batch.ids, clock, start=start
        )
        return model.decode(tokens, memory, batch.src_lengths, batch.ids, clock, cache)

    with torch.no_grad():
        whole = hidden(0, 8, None)
        cache = DecoderCache(model.config.decoder_layers, 8)
        steps = torch.cat([hidden(t, t + 1, cache) for t in range(8)], 1)
    torch.testing.assert_close(steps, whole, rtol=1e-10, atol=1e-10)


@every_case
def test_the_example_changes_what_the_model_does(name, site):
    batch, clock = tiny_batch(), CLOCKS[0]
    arm = plan(example(name, site))
    if site == "loss":
        real = torch.arange(8) < batch.tgt_lengths[:, None]
        weights = arm.loss_weights(real, batch.ids, clock)
        assert weights is not None and not torch.equal(weights, real.float())
        return
    torch.manual_seed(0)
    assert not torch.equal(logits(tiny_model(arm), batch, clock), logits(tiny_model(plan()), batch, clock))


@every_case
def test_learned_parameters_start_as_the_identity_and_receive_gradient(name, site):
    arm = plan(example(name, site))
    if not list(arm.parameters()):
        assert "parameters" not in strategy(name).depends_on
        return
    assert strategy(name).starts_as_identity
    batch, clock, start = tiny_batch(), CLOCKS[0], {k: v.clone() for k, v in arm.state_dict().items()}
    model, plain = tiny_model(arm), tiny_model(plan())
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("masks.")})
    arm.load_state_dict(start)
    assert torch.equal(logits(model, batch, clock), logits(plain, batch, clock))
    model.train()
    optimiser = torch.optim.SGD(arm.parameters(), lr=0.1)
    moved = dict.fromkeys(dict(arm.named_parameters()), False)
    for _ in range(2):
        optimiser.zero_grad()
        model(batch, clock).square().sum().backward()
        moved = {
            k: moved[k] or bool((p.grad != 0).any()) for k, p in arm.named_parameters() if p.grad is not None
        }
        optimiser.step()
    assert all(moved.values()) and len(moved) == len(dict(arm.named_parameters()))


@every_case
def test_an_evaluation_draws_the_same_every_time(name, site):
    model, batch = tiny_model(plan(example(name, site)), dropout=0.3), tiny_batch()
    clocks = (Clock.evaluation(100, 100), Clock("eval", 100, 100, epoch=7))
    first, second = (logits(model, batch, clock) for clock in clocks)
    assert torch.equal(first, second)


@every_case
def test_every_declaration_is_there(name, site):
    cls = strategy(name)
    assert cls.__doc__ and len(cls.__doc__.split()) > 10
    assert cls.source and any(ch.isdigit() for ch in cls.source)
    assert cls.depends_on <= {"length", "input", "parameters", "annotation"}
    assert cls.stochastic == (cls.default_refresh is not None)
    assert all(field.annotation is not None for field in cls.Options.model_fields.values())


@pytest.mark.parametrize("name", [n for n, s in CASES if s in ATTENTION_SITES])
def test_rows_sum_to_one_wherever_something_may_be_seen(name):
    site = sorted(strategy(name).sites & ATTENTION_SITES)[0]
    arm: MaskPlan = plan(example(name, site))
    asked = request(6, 6)
    decision = arm.attention(site, 0, asked)
    scores = asked.query @ asked.key.mT
    scores = scores if decision.bias is None else scores + decision.bias
    open_rows = decision.keep.any(-1, keepdim=True)
    keep = decision.keep | ~open_rows
    normalise: Callable[[Tensor, Tensor], Tensor] = decision.normaliser or (lambda s, k: s.softmax(-1))
    weights = normalise(scores.masked_fill(~keep, -torch.inf), keep)
    assert bool((weights.masked_select(~keep.expand_as(weights)) == 0).all())
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, HEADS, 6, dtype=torch.float64))
