"""The learned map of a base mask: D = T . M."""

from __future__ import annotations

import math

import pytest
import torch
from helpers import HEADS, TABLE, TRAIN, causal, placement, plan, request, sizes, tiny_batch, tiny_model
from torch import Tensor, nn

from maskbench.masks.clock import Clock
from maskbench.masks.plan import MaskPlan
from maskbench.masks.strategies.scores.transform import TransformOptions

WORKED_EXAMPLE = torch.tensor([[1.0, 0, 1], [0, 1, 0], [1, 0, 1]])
THREE_STAGES = {"step": [[0, 1], [0.3, 2], [0.7, 3]]}


def arm_of(site: str = "decoder_self", **options: object) -> MaskPlan:
    return plan(placement(site, "transform", **options))


def bias(arm: MaskPlan, q_len: int = 5, kv_len: int = 7, layer: int = 0, clock: Clock = TRAIN) -> Tensor:
    found = arm.decide_attention(arm.placed[0].site, layer, request(q_len, kv_len, clock=clock)).bias
    assert found is not None
    return found


def test_the_worked_example_shows_nothing_but_the_map_itself():
    # The identity holds no information: T . 1 = T, whose first and third rows are the same.
    assert torch.equal(WORKED_EXAMPLE @ torch.eye(3), WORKED_EXAMPLE)
    assert torch.linalg.matrix_rank(WORKED_EXAMPLE) == 2


@pytest.mark.parametrize(
    ("side", "expected"),
    [("left", [[2, 1, 1], [1, 1, 0], [2, 1, 1]]), ("right", [[1, 0, 1], [1, 1, 1], [2, 1, 2]])],
)
def test_the_worked_example_maps_a_causal_mask_as_on_paper(side, expected):
    # T . tril(1) and tril(1) . T by hand: both have entries above the diagonal, so as a mask the product would leak.
    arm = plan(
        placement("decoder_self", "transform", side=side), of=sizes(encoder_layers=1, decoder_layers=1)
    )
    strategy = arm.placed[0].strategy
    with torch.no_grad():
        strategy.maps[0][0, :3, :3] = WORKED_EXAMPLE
    found = strategy.transformed(arm.placed[0].options, 0)[:3, :3]
    assert found.tolist() == expected
    assert bool((found.triu(1) != 0).any())


def test_the_worked_example_cannot_leak_in_the_decoder():
    arm = arm_of()
    model, batch = tiny_model(arm), tiny_batch()
    strategy = arm.placed[0].strategy
    with torch.no_grad():
        strategy.amount.fill_(2.0)
        strategy.maps[0].copy_(torch.eye(TABLE))
        strategy.maps[0][:, :3, :3] = WORKED_EXAMPLE
    decision = arm.decide_attention("decoder_self", 0, request(5, 5, legal=causal(5, 5)))
    assert torch.equal(decision.keep, causal(5, 5))
    before = model(batch, TRAIN)
    changed = batch.tgt_in.clone()
    changed[1, 4:] = (changed[1, 4:] + 3) % 20
    batch = type(batch)(batch.ids, batch.src, batch.src_lengths, changed, batch.tgt_out, batch.tgt_lengths)
    after = model(batch, TRAIN)
    assert torch.equal(after[:, :4], before[:, :4])
    assert not torch.equal(after[1, 4:], before[1, 4:])


@pytest.mark.parametrize("mapping", ["linear", "convolution"])
@pytest.mark.parametrize(
    ("base", "side"),
    [("causal", "left"), ("causal", "right"), ("window", "left"), ("full", "right"), ("zeros", "left")],
)
def test_a_transform_starts_as_the_identity_on_scores_and_on_its_base(mapping, side, base):
    arm = arm_of(map=mapping, side=side, base=base)
    patterns = {
        "causal": [[float(j <= i) for j in range(TABLE)] for i in range(TABLE)],
        "window": [[float(abs(i - j) <= 2) for j in range(TABLE)] for i in range(TABLE)],
        "full": [[1.0] * TABLE] * TABLE,
        "zeros": [[0.0] * TABLE] * TABLE,
    }
    assert bool((bias(arm) == 0).all())
    assert arm.placed[0].strategy.transformed(arm.placed[0].options, 0).tolist() == patterns[base]


def test_a_convolution_mixes_neighbours_along_the_chosen_side():
    for side in ("left", "right"):
        arm = arm_of(map="convolution", side=side, kernel=3)
        strategy = arm.placed[0].strategy
        with torch.no_grad():
            strategy.maps[0][1] = torch.tensor([2.0, 3.0, 5.0])
        found = strategy.transformed(arm.placed[0].options, 1)
        m = [[float(j <= i) for j in range(TABLE)] for i in range(TABLE)]
        for i in range(TABLE):
            for j in range(TABLE):
                expected = 0.0
                for step, weight in ((-1, 2.0), (0, 3.0), (1, 5.0)):
                    row, column = (i + step, j) if side == "left" else (i, j + step)
                    if 0 <= row < TABLE and 0 <= column < TABLE:
                        expected += weight * m[row][column]
                assert found[i, j].item() == expected


@pytest.mark.parametrize(
    ("activation", "value"),
    [("tanh", math.tanh(-0.7)), ("relu", 0.0), ("gelu", -0.7 * 0.5 * (1 + math.erf(-0.7 / math.sqrt(2))))],
)
def test_an_activation_acts_on_every_entry_of_the_product(activation, value):
    arm = arm_of("encoder_self", base="full", side="right", activation=activation)
    strategy = arm.placed[0].strategy
    with torch.no_grad():
        strategy.maps[0].mul_(-0.7)
    found = strategy.transformed(arm.placed[0].options, 0)
    assert found.flatten().tolist() == pytest.approx([value] * TABLE**2, abs=1e-6)


def test_hidden_units_are_a_small_network_at_every_entry():
    arm = arm_of(activation="tanh", hidden=2)
    strategy = arm.placed[0].strategy
    with torch.no_grad():
        strategy.network.slope.copy_(torch.tensor([2.0, -1.0]))
        strategy.network.offset.copy_(torch.tensor([0.5, 0.25]))
        strategy.network.share.copy_(torch.tensor([3.0, 4.0]))
    found = strategy.transformed(arm.placed[0].options, 0)
    for x, entry in ((1.0, found[4, 2]), (0.0, found[2, 4])):
        expected = 3 * math.tanh(2 * x + 0.5) + 4 * math.tanh(-x + 0.25)
        assert entry.item() == pytest.approx(expected, rel=1e-5)


def test_a_transform_is_the_published_formula_times_its_strength():
    arm = arm_of(strength={"step": [[0, 0.5], [0.5, 2.0]]})
    strategy = arm.placed[0].strategy
    with torch.no_grad():
        strategy.amount.copy_(torch.arange(1.0, 1 + 2 * HEADS).reshape(2, HEADS))
    for clock, strength in ((Clock("train", 49, 100), 0.5), (Clock("train", 50, 100), 2.0)):
        found = bias(arm, 4, 4, layer=1, clock=clock)
        for h in range(HEADS):
            for i in range(4):
                for j in range(4):
                    softplus = math.log1p(math.exp(-1.0 if j <= i else 0.0))
                    expected = -strength * (HEADS + h + 1) * softplus
                    assert found[0, h, i, j].item() == pytest.approx(expected, rel=1e-5)


def test_a_gate_never_exceeds_one_and_a_negative_amount_can_come_back():
    arm = arm_of()
    strategy = arm.placed[0].strategy
    with torch.no_grad():
        strategy.amount.fill_(-0.3)
    found = bias(arm)
    assert bool((found == 0).all())
    found.sum().backward()
    assert bool((strategy.amount.grad[0] < 0).all())


def test_at_amount_zero_the_map_learns_as_if_it_were_a_tenth():
    at_zero, at_tenth = arm_of(), arm_of()
    with torch.no_grad():
        at_tenth.placed[0].strategy.amount.fill_(0.1)
    weights = torch.arange(35.0).reshape(5, 7)
    for arm in (at_zero, at_tenth):
        (bias(arm) * weights).sum().backward()
    found, expected = (arm.placed[0].strategy.maps[0].grad for arm in (at_zero, at_tenth))
    assert bool((found[0] != 0).any())
    torch.testing.assert_close(found, expected)


def test_layers_learn_maps_of_their_own():
    arm = arm_of()
    with torch.no_grad():
        arm.placed[0].strategy.amount[1] = 1.0
    assert bool((bias(arm, layer=0) == 0).all())
    assert bool((bias(arm, layer=1) < 0).all())


def trained(arm: MaskPlan, steps: range) -> nn.Module:
    """The strategy after some steps of Adam on a small model, with everything else of the model held fixed."""
    start = {k: v.clone() for k, v in arm.state_dict().items()}
    model, batch = tiny_model(arm), tiny_batch()
    arm.load_state_dict(start)
    optimiser = torch.optim.Adam(arm.parameters(), lr=0.05)
    for step in steps:
        optimiser.zero_grad(set_to_none=True)
        model(batch, Clock("train", step, 10)).square().sum().backward()
        optimiser.step()
    return arm.placed[0].strategy


@pytest.mark.parametrize("mapping", ["linear", "convolution"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_map_of_zeros_is_zero_and_so_is_its_gradient(mapping, side):
    # The literal recipe: M = 0, so D = T . 0 = 0, and the gradient of T is that of D times 0.
    arm = arm_of(map=mapping, side=side, base="zeros")
    strategy = arm.placed[0].strategy
    with torch.no_grad():
        strategy.maps[0].copy_(torch.arange(float(strategy.maps[0].numel())).reshape(strategy.maps[0].shape))
        strategy.amount.fill_(3.0)
    d = strategy.transformed(arm.placed[0].options, 1)
    (d * torch.arange(float(TABLE**2)).reshape(TABLE, TABLE)).sum().backward()
    assert bool((d == 0).all()) and bool((strategy.maps[0].grad == 0).all())
    assert bool((bias(arm) == 0).all())


def test_training_a_map_of_zeros_is_training_without_it_bit_for_bit():
    weights = []
    for arm in (plan(), arm_of(base="zeros", activation="relu", hidden=3)):
        start = {k: v.clone() for k, v in arm.state_dict().items()}
        model, batch = tiny_model(arm).float(), tiny_batch()
        arm.load_state_dict(start)
        optimiser = torch.optim.AdamW(model.parameters(), lr=0.05)
        for step in range(4):
            optimiser.zero_grad(set_to_none=True)
            model(batch, Clock("train", step, 4)).square().mean().backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            optimiser.step()
        weights.append({k: v for k, v in model.named_parameters() if not k.startswith("masks.")})
    assert all(torch.equal(v, weights[1][k]) for k, v in weights[0].items())


@pytest.mark.parametrize("base", ["causal", "window"])
def test_a_map_of_anything_else_learns_and_its_amount_with_it(base):
    strategy = trained(arm_of(base=base), range(3))
    eye = torch.eye(TABLE, dtype=torch.float64)
    assert not torch.equal(strategy.maps[0][0], eye) and bool((strategy.amount != 0).all())


def test_every_stage_trains_its_own_map_and_leaves_the_others_alone():
    # One optimiser throughout: its momentum from an earlier stage must not move that stage's map any more.
    runs = [trained(arm_of(stage=THREE_STAGES), range(steps)) for steps in (3, 7, 10)]
    moved = [[t.detach() for t in run.maps] for run in runs]
    eye = torch.eye(TABLE, dtype=torch.float64).expand(2, -1, -1)
    assert [[torch.equal(t, eye) for t in maps] for maps in moved] == [
        [False, True, True],
        [False, False, True],
        [False, False, False],
    ]
    assert torch.equal(moved[0][0], moved[2][0]) and torch.equal(moved[1][1], moved[2][1])


@pytest.mark.parametrize(("step", "stage"), [(0, 0), (29, 0), (30, 1), (69, 1), (70, 2), (100, 2)])
def test_the_stage_follows_training_and_evaluation_uses_the_last(step, stage):
    arm = arm_of(stage=THREE_STAGES)
    with torch.no_grad():
        arm.placed[0].strategy.amount.fill_(1.0)
        for i, t in enumerate(arm.placed[0].strategy.maps):
            t.mul_(i + 2.0)
    for phase in ("train", "eval"):
        found = bias(arm, 3, 3, clock=Clock(phase, step, 100))[0, 0, 2, 1].item()
        assert found == pytest.approx(-math.log1p(math.exp(-(stage + 2.0))), rel=1e-5)


def test_the_picture_is_the_gate_over_the_first_positions():
    arm = arm_of("encoder_self", base="window", radius=1, strength=0.5)
    strategy, options = arm.placed[0].strategy, arm.placed[0].options
    with torch.no_grad():
        strategy.amount.copy_(torch.arange(1.0, 1 + 2 * HEADS).reshape(2, HEADS))
    found = strategy.picture(options, 1, 4)
    assert found.shape == (HEADS, 4, 4)
    for h in range(HEADS):
        for i in range(4):
            for j in range(4):
                d = 1.0 if abs(i - j) <= 1 else 0.0
                expected = (1 / (1 + math.exp(-d))) ** (0.5 * (HEADS + h + 1))
                assert found[h, i, j].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"kernel": 4}, "must be odd"),
        ({"hidden": 3}, "need an activation"),
        ({"base": "full"}, "the same for every key"),
        ({"stage": 2}, "count from 1"),
        ({"stage": {"linear": [1, 3]}}, "moves in steps"),
        ({"stage": {"step": [[0, 1], [0.5, 9]]}}, "at most 8"),
    ],
)
def test_senseless_options_are_refused(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        TransformOptions.model_validate(options)
