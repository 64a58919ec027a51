"""What the tests of attention masks ask of a plan: patterns as booleans, claimed and counted densities."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from helpers import HEADS, placement, plan, request, sizes
from torch import Tensor

from maskbench.config.schema.experiment import ModelConfig
from maskbench.masks.base import AttentionMask
from maskbench.masks.context import AttentionContext, AttentionRequest
from maskbench.masks.placement import PlacedStrategy
from maskbench.registry import MASKS

MODEL = ModelConfig(d_model=HEADS * 4, n_heads=HEADS)
SIZES = sizes()


def kept(
    mask: str,
    q_len: int,
    kv_len: int,
    site: str = "cross",
    refresh: Any = None,
    layer: int = 0,
    **options: Any,
) -> Tensor:
    """The first example's pattern over fully legal pairs, [heads or 1, q, kv]."""
    arm = plan(placement(site, mask, refresh, **options), of=SIZES)
    decision = arm.decide_attention(site, layer, request(q_len, kv_len))
    return decision.keep[0]


def pattern(placed: PlacedStrategy, asked: AttentionRequest, layer: int = 0) -> Tensor:
    """A strategy's own answer to a request, computed afresh, [batch, heads, q, kv]."""
    assert isinstance(placed.strategy, AttentionMask)
    options = placed.options_at(asked.clock, layer, asked.examples)
    draws = placed.draws(asked.clock, asked.examples)
    keep = placed.strategy.keep(options, AttentionContext(asked, placed.site, layer, HEADS, draws))
    return keep.expand(len(asked.examples), HEADS, len(asked.q_idx), len(asked.kv_idx))


def step_of(asked: AttentionRequest, i: int, keys: int | None = None) -> AttentionRequest:
    """What cached decoding asks at step i: the single query i, target tokens up to it, and the keys so far."""
    keys = i + 1 if keys is None else keys
    assert asked.tgt_ids is not None
    return replace(
        asked,
        query=asked.query[:, :, i : i + 1],
        keys=asked.keys[:, :, :keys],
        x=asked.x[:, i : i + 1],
        q_idx=asked.q_idx[i : i + 1],
        kv_idx=asked.kv_idx[:keys],
        legal=asked.legal[:, :, i : i + 1, :keys],
        tgt_ids=asked.tgt_ids[:, : i + 1],
    )


def densities(mask: str, n: int, site: str, **options: Any) -> tuple[float | None, float]:
    """What the strategy claims and what the pattern has: kept over legal pairs, averaged over heads."""
    placed = plan(placement(site, mask, **options), of=SIZES).placed[0]
    legal = torch.ones(n, n, dtype=torch.bool)
    legal = legal.tril() if site == "decoder_self" else legal
    keep = pattern(placed, request(n, n, batch=1))[0]
    counted = (keep & legal).sum().item() / (HEADS * legal.sum().item())
    return placed.strategy.density(placed.options, n, n), counted


def check(site: str, mask: str, refresh: Any = None, **options: Any) -> None:
    """Ask the strategy whether it goes with a site and a model of three heads."""
    cls, placed = MASKS.lookup(mask), placement(site, mask, refresh, **options)
    cls.check(site, cls.Options.model_validate(options), placed, MODEL)


def strategy_of(site: str, mask: str, **options: Any) -> AttentionMask:
    """The strategy as it is built for a site."""
    cls = MASKS.lookup(mask)
    built: AttentionMask = cls(cls.Options.model_validate(options), SIZES, site)
    return built
