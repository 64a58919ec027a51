"""Strategies that break one promise each, entered into the registry for the length of a test."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from maskbench.config.schema.experiment import Refresh
from maskbench.masks.base import (
    ATTENTION_SITES,
    AttentionMask,
    MaskMod,
    Normaliser,
    ScoreGate,
    Strategy,
    StrategyOptions,
)
from maskbench.masks.context import AttentionContext, Sizes
from maskbench.registry import MASKS


class NoOptions(StrategyOptions):
    """None."""


@contextmanager
def registered(name: str, cls: type[Strategy]) -> Iterator[None]:
    """Inside, the strategy can be placed by this name."""
    with patch.object(MASKS, "_entries", dict(MASKS)):
        MASKS.register(name)(cls)
        yield


class Broken(AttentionMask):
    """What the broken masks have in common; each hides some pairs for a reason it should not."""

    sites = ATTENTION_SITES
    may_empty_rows = True
    source = "Nobody 2026"
    Options = NoOptions
    example = NoOptions()

    def mask_mod(self, options: Any, ctx: AttentionContext) -> MaskMod:
        raise AssertionError("it answers with a tensor")


class ReadsTargetLength(Broken):
    """Hides the first key from every query of a target of more than four tokens."""

    depends_on = frozenset({"input"})

    def keep(self, options: Any, ctx: AttentionContext) -> Tensor:
        r = ctx.request
        assert r.tgt_ids is not None
        long = (r.tgt_ids != 0).sum(1) > 4
        return ~(long[:, None, None, None] & (r.kv_idx == 0) & (r.q_idx > 0)[:, None])


class SeesTheFuture(Broken):
    """Hides the first key from queries whose next word has an even id."""

    depends_on = frozenset({"input"})

    def keep(self, options: Any, ctx: AttentionContext) -> Tensor:
        r = ctx.request
        assert r.tgt_ids is not None
        even = (r.tgt_ids.roll(-1, 1) % 2 == 0)[:, r.q_idx]
        return ~(even[:, None, :, None] & (r.kv_idx == 0))


class DrawsByRow(Broken):
    """Draws a pattern for every row of the batch, not for every example."""

    stochastic = True
    default_refresh = Refresh(per="example")

    def keep(self, options: Any, ctx: AttentionContext) -> Tensor:
        b, _, q, kv = ctx.indices()
        assert ctx.draws is not None
        return (b * 7 + q * 3 + kv * 5 + ctx.draws.key.words[0]) % 3 > 0


class HidesByPadding(Broken):
    """Hides a key the further in front, the wider the batch is padded."""

    def keep(self, options: Any, ctx: AttentionContext) -> Tensor:
        r = ctx.request
        return (r.kv_idx != len(r.kv_idx) % 5)[None, None, None].expand(1, 1, len(r.q_idx), -1)


class RandomInEvaluation(Broken):
    """Draws from torch's own generator."""

    stochastic = True
    default_refresh = Refresh(per="run")

    def keep(self, options: Any, ctx: AttentionContext) -> Tensor:
        r = ctx.request
        return torch.rand(1, 1, len(r.q_idx), len(r.kv_idx)) < 0.6


class DrawsFromNumPy(Broken):
    """Draws from NumPy's shared generator."""

    stochastic = True
    default_refresh = Refresh(per="run")

    def keep(self, options: Any, ctx: AttentionContext) -> Tensor:
        r = ctx.request
        return torch.from_numpy(np.random.rand(1, 1, len(r.q_idx), len(r.kv_idx)) < 0.6)


class DrawsFromPython(Broken):
    """Draws from Python's shared generator."""

    stochastic = True
    default_refresh = Refresh(per="run")

    def keep(self, options: Any, ctx: AttentionContext) -> Tensor:
        r = ctx.request
        first = random.random() < 0.5
        return (r.kv_idx > int(first))[None, None, None].expand(1, 1, len(r.q_idx), -1)


class SeedsItselfAnew(Broken):
    """Has a generator of its own, which the operating system seeds at each call."""

    stochastic = True
    default_refresh = Refresh(per="run")

    def keep(self, options: Any, ctx: AttentionContext) -> Tensor:
        r = ctx.request
        return torch.from_numpy(np.random.default_rng().random((1, 1, len(r.q_idx), len(r.kv_idx))) < 0.6)


class NeverDrawsAnew(Broken):
    """Promises a new pattern for every visit and keeps the first."""

    stochastic = True
    default_refresh = Refresh(per="example")

    def keep(self, options: Any, ctx: AttentionContext) -> Tensor:
        _, _, q, kv = ctx.indices()
        assert ctx.draws is not None
        return (ctx.draws.examples[:, None, None, None] + q * 3 + kv * 5) % 3 > 0


class WrongDensity(Broken):
    """Keeps half of what it claims."""

    def keep(self, options: Any, ctx: AttentionContext) -> Tensor:
        r = ctx.request
        return (r.kv_idx % 2 == r.q_idx[:, None] % 2)[None, None]

    def density(self, options: Any, q_len: int, kv_len: int) -> float:
        return 0.9


class NoIdentity(ScoreGate):
    """A learned gate that is half shut from the beginning."""

    sites = ATTENTION_SITES
    depends_on = frozenset({"parameters"})
    starts_as_identity = True
    source = "Nobody 2026"
    Options = NoOptions
    example = NoOptions()

    def __init__(self, options: Any, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        self.slope = nn.Parameter(torch.full((1, sizes.n_heads, 1, 1), 0.5))

    def log_gate(self, options: Any, ctx: AttentionContext) -> Tensor:
        _, _, q, kv = ctx.indices()
        return -self.slope.square() * (q - kv).abs()


class DropsTheMaskWhenFast(Normaliser):
    """A softmax that forgets what is hidden unless it computes in float64."""

    sites = ATTENTION_SITES
    source = "Nobody 2026"
    Options = NoOptions
    example = NoOptions()

    def weights(self, options: Any, scores: Tensor, keep: Tensor, ctx: AttentionContext) -> Tensor:
        if scores.dtype == torch.float64:
            return (scores / 2).softmax(-1)
        return torch.where(scores.isinf(), 0.0, scores / 2).softmax(-1)


class SharpEdge(Normaliser):
    """A softmax with a term whose slope is infinite where a single key is left."""

    sites = ATTENTION_SITES
    source = "Nobody 2026"
    Options = NoOptions
    example = NoOptions()

    def weights(self, options: Any, scores: Tensor, keep: Tensor, ctx: AttentionContext) -> Tensor:
        weights = scores.softmax(-1)
        return weights * (1 + 0 * (1 - weights.amax(-1, keepdim=True)).sqrt())


class HalfRows(Normaliser):
    """Rows that sum to one half."""

    sites = ATTENTION_SITES
    source = "Nobody 2026"
    Options = NoOptions
    example = NoOptions()

    def weights(self, options: Any, scores: Tensor, keep: Tensor, ctx: AttentionContext) -> Tensor:
        return scores.softmax(-1) / 2


class NeedsTheCache(ScoreGate):
    """A gate that reads earlier queries, and does not say so."""

    sites = frozenset({"decoder_self"})
    depends_on = frozenset({"input"})
    source = "Nobody 2026"
    Options = NoOptions
    example = NoOptions()

    def log_gate(self, options: Any, ctx: AttentionContext) -> Tensor:
        mean = ctx.request.query.cumsum(2).mean(-1)
        return -mean.sigmoid()[..., None] * (ctx.request.q_idx[:, None] - ctx.request.kv_idx).abs()
