"""Grids of an attention placement, one for each layer and head; equal grids are merged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from maskbench.masks.base import ScoreBias, ScoreGate
from maskbench.masks.clock import Clock
from maskbench.masks.context import AttentionDecision
from maskbench.masks.placement import PlacedStrategy
from maskbench.masks.plan import MaskPlan
from maskbench.pictures.mask_picture import Grid, Shades
from maskbench.pictures.sample_pair import SamplePair


@torch.no_grad()
def compute_shades(
    plan: MaskPlan, placed: PlacedStrategy, sample: SamplePair, layer: int, clock: Clock
) -> list[Shades]:
    """Return one grid of shades [queries, keys] for every head of a layer.

    A shade is 1 where a pair is left alone, 0 where it is hidden, NaN where it is not legal anyway. Gates are their
    value; biases, weights of a normaliser and factors are relative to the largest in the query's row, since only
    ratios within a row matter to attention.
    """
    request = sample.request(placed.site, clock)
    if {"no_causal", "none"} & {plan.legality(placed.site), placed.placement.legality}:
        # Such an arm may attend to illegal pairs, so its picture shows them. A placement drawn alone has no plan.
        request = replace(request, legal=torch.ones_like(request.legal))
    legal = request.legal.expand(1, sample.sizes.n_heads, -1, -1)[0]
    learned = _learned_shades(placed, layer, clock, legal.shape[-1])
    if learned is not None and learned.shape == legal.shape:
        drawn = learned
    else:
        decision = plan.decide_attention_alone(placed, layer, request)
        drawn = _shades_of_decision(decision, placed, request.query @ request.key.mT)[0].expand(legal.shape)
    drawn = drawn.float().masked_fill(~legal, torch.nan)
    return [head.cpu().numpy() for head in drawn]


def _learned_shades(placed: PlacedStrategy, layer: int, clock: Clock, n: int) -> Tensor | None:
    """Return the shades of a learned gate or bias that has a `picture` method, else None."""
    draw = getattr(placed.strategy, "picture", None)
    if draw is None or not isinstance(placed.strategy, ScoreGate | ScoreBias):
        return None
    found = draw(placed.options_at(clock, layer), layer, n)
    if not isinstance(found, Tensor):
        return None
    if isinstance(placed.strategy, ScoreBias):
        found = (found - _largest(found)).exp()
    return placed.restrict_to_heads(found[None].clamp(0.0, 1.0), 1.0)[0]


def _shades_of_decision(decision: AttentionDecision, placed: PlacedStrategy, scores: Tensor) -> Tensor:
    drawn = decision.keep.float()
    if decision.bias is not None:
        bias = decision.bias.masked_fill(~decision.keep, -torch.inf).float()
        top = 0.0 if isinstance(placed.strategy, ScoreGate) else _largest(bias)
        drawn = (bias - top).exp().nan_to_num()
    if decision.normaliser is not None:
        scores = (scores / scores.shape[-1] ** 0.5).masked_fill(~decision.keep, -torch.inf)
        # Some normalisers give signed weights; a shade is the size of a weight.
        weights = decision.normaliser(scores.float(), decision.keep).abs()
        drawn = (weights / _largest(weights).clamp(min=1e-9)).float()
    if decision.factors is not None:
        drawn = drawn * decision.factors / decision.factors.max().clamp(min=1.0)
    if decision.head_gate is not None:
        gate = decision.head_gate / decision.head_gate.max().clamp(min=1.0)
        drawn = drawn * gate[:, :, None, None]
    return drawn


def _largest(rows: Tensor) -> Tensor:
    """Return the largest entry of every row, 0 where it is -inf."""
    return rows.amax(-1, keepdim=True).nan_to_num(neginf=0.0)


def draw_attention_grids(
    plan: MaskPlan,
    placed: PlacedStrategy,
    sample: SamplePair,
    clock: Clock,
    layers: Iterable[int],
    heads: Sequence[int],
) -> tuple[Grid, ...]:
    """Return the grids of these layers and heads; equal ones are one grid, labelled with all their numbers."""
    cells = {
        (layer, head): grid
        for layer in layers
        for head, grid in enumerate(compute_shades(plan, placed, sample, layer, clock))
        if head in heads
    }
    groups: list[tuple[Shades, list[tuple[int, int]]]] = []
    for where, grid in cells.items():
        same = next((found for first, found in groups if _equal(first, grid)), None)
        if same is None:
            groups.append((grid, [where]))
        else:
            same.append(where)
    return tuple(Grid(_label(where, list(cells)), grid) for grid, where in groups)


def _equal(a: Shades, b: Shades) -> bool:
    return bool(((a == b) | ((a != a) & (b != b))).all())


def _label(where: Sequence[tuple[int, int]], every: Sequence[tuple[int, int]]) -> str:
    """Return a label of layers and heads, such as `layer 0, heads 1-3`, without what holds for all."""
    all_layers, all_heads = sorted({i for i, _ in every}), sorted({h for _, h in every})
    by_layer = {i: [h for j, h in where if j == i] for i, _ in where}
    if len({tuple(heads) for heads in by_layer.values()}) > 1:
        return "; ".join(f"layer {i} {_numbers('head', heads)}" for i, heads in by_layer.items())
    layers, heads = sorted(by_layer), sorted(next(iter(by_layer.values())))
    parts = [
        _numbers("layer", layers) if layers != all_layers else "",
        _numbers("head", heads) if heads != all_heads else "",
    ]
    return ", ".join(part for part in parts if part)


def _numbers(what: str, numbers: Sequence[int]) -> str:
    """Return `head 2`, `heads 1-3` or `heads 0, 2`."""
    if len(numbers) == 1:
        return f"{what} {numbers[0]}"
    gapless = list(range(numbers[0], numbers[-1] + 1)) == list(numbers)
    listed = f"{numbers[0]}-{numbers[-1]}" if gapless and len(numbers) > 2 else ", ".join(map(str, numbers))
    return f"{what}s {listed}"
