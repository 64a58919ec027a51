"""Where a decoder position looks in the source: near the place that its own share of the sentence points at.

The place of target position t is t / r, r target tokens per source token in the training pairs. The sentence's own
target length would point better, but the decoder does not know it before it ends.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from maskbench.masks.base import AttentionMask, MaskMod, ScoreBias, StrategyOptions
from maskbench.masks.context import AttentionContext, Sizes
from maskbench.masks.schedules import Radius, scheduled
from maskbench.masks.strategies.scores.gate_functions import held
from maskbench.randomness import Key
from maskbench.registry import MASKS

Spread: TypeAlias = scheduled(False, 0.1)  # type: ignore[valid-type]
"""A standard deviation in positions, at least 0.1, or a schedule."""


def source_lengths(ctx: AttentionContext) -> Int[Tensor, "batch"]:
    """Return the true source lengths; where a question names none, every key counts as real."""
    r = ctx.request
    return torch.full_like(r.examples, len(r.kv_idx)) if r.src_lengths is None else r.src_lengths


def expected_place(
    q_idx: Int[Tensor, "*#pairs"], lengths: Int[Tensor, "*#pairs"], ratio: float
) -> Float[Tensor, "*pairs"]:
    """Return the source position that target positions point at: t / ratio, the last real token at most."""
    return torch.minimum(q_idx.double() / ratio, (lengths - 1).double())


class DiagonalOptions(StrategyOptions):
    """How far from the diagonal a target position may look."""

    width: Radius
    """Greatest distance from its place in the source, in source positions."""


@MASKS.register("diagonal")
class Diagonal(AttentionMask):
    """A target position sees the source tokens around the place its own position points at.

    keep(t, s) = |s - c| <= width with c = min(t / r, S - 1), r target tokens per source token in the training pairs
    and S the source's length. The source token nearest to c always stays, so no row is empty.
    """

    sites = frozenset({"cross"})
    depends_on = frozenset({"length"})
    source = "You et al. 2020 (hard-coded attention, arXiv:2005.00742), as a mask over a learned attention"
    Options = DiagonalOptions
    example = DiagonalOptions(width=1)

    def mask_mod(self, options: DiagonalOptions, ctx: AttentionContext) -> MaskMod:
        lengths, ratio, width = source_lengths(ctx), self.sizes.facts.length_ratio, int(options.width)

        def keep(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
            centre = expected_place(q_idx, lengths[b], ratio)
            return ((kv_idx - centre).abs() <= width) | (kv_idx == (centre + 0.5).floor())

        return keep

    def density(self, options: DiagonalOptions, q_len: int, kv_len: int) -> float:
        """The sum over t of min(S - 1, floor(c + width)) - max(0, ceil(c - width)) + 1, at least 1, of T * S."""
        kept = 0
        for t in range(q_len):
            centre = min(t / self.sizes.facts.length_ratio, kv_len - 1)
            first, last = math.ceil(centre - options.width), math.floor(centre + options.width)
            kept += max(1, min(kv_len - 1, last) - max(0, first) + 1)
        return kept / (q_len * kv_len)


class SoftDiagonalOptions(StrategyOptions):
    """How fast the preference falls off beside the diagonal."""

    sigma: Spread
    """Standard deviation of the Gaussian, in source positions."""


@MASKS.register("soft_diagonal")
class SoftDiagonal(ScoreBias):
    """A target position prefers the source tokens around the place its own position points at; none is hidden.

    bias(t, s) = -(s - c)^2 / (2 sigma^2), with the centre c of `diagonal`: attention is multiplied by a Gaussian and
    normalised again.
    """

    sites = frozenset({"cross"})
    depends_on = frozenset({"length"})
    source = "Yang et al. 2018 (Gaussian bias for localness, arXiv:1810.10182), with a fixed centre"
    Options = SoftDiagonalOptions
    example = SoftDiagonalOptions(sigma=1.5)

    def bias(self, options: SoftDiagonalOptions, ctx: AttentionContext) -> Float[Tensor, "batch 1 q kv"]:
        b, _, q_idx, kv_idx = ctx.indices()
        centre = expected_place(q_idx, source_lengths(ctx)[b], self.sizes.facts.length_ratio)
        bias = (kv_idx - centre).square() / (-2 * float(options.sigma) ** 2)
        return bias.to(torch.promote_types(ctx.request.query.dtype, torch.float32))


class LocalPOptions(StrategyOptions):
    """How wide the Gaussian around a predicted place is."""

    half_width: Spread = 3.0
    """D: two standard deviations, in source positions."""


@MASKS.register("local_p")
class LocalP(ScoreBias):
    """Every decoder state predicts where in the source to look, and attention is drawn towards that place.

    p(t) = S * sigmoid(v . tanh(W x(t))) with S the source's length and x(t) the decoder's state;
    bias(t, s) = -a * (s - p(t))^2 / (2 sigma^2), sigma = D / 2. Every layer has a W, every head a v and an a of its
    own. As published but in two points: the Gaussian stands inside the softmax, so that weights sum to one, and the
    amount a >= 0 is learned from 0, so that step 0 equals the model without it.
    """

    sites = frozenset({"cross"})
    depends_on = frozenset({"length", "input", "parameters"})
    starts_as_identity = True
    source = "Luong et al. 2015 (local-p attention, arXiv:1508.04025)"
    Options = LocalPOptions
    example = LocalPOptions(half_width=3.0)

    def __init__(self, options: LocalPOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        n_layers, n_heads, d_model = sizes.layers(site), sizes.n_heads, sizes.d_model
        # Zeros would never move: the gradient of one factor is the other. One draw serves every seed.
        generator = torch.Generator().manual_seed(Key.of(0, "init", "local_p").low32)
        bound = math.sqrt(3.0 / d_model)
        self.state = nn.Parameter(torch.empty(n_layers, d_model, d_model))
        self.place = nn.Parameter(torch.empty(n_layers, n_heads, d_model))
        self.amount = nn.Parameter(torch.zeros(n_layers, n_heads))
        with torch.no_grad():
            for parameter in (self.state, self.place):
                parameter.uniform_(-bound, bound, generator=generator)

    def places(
        self, x: Float[Tensor, "batch q d_model"], lengths: Int[Tensor, "batch"], layer: int
    ) -> Float[Tensor, "batch heads q 1"]:
        """Return the predicted source positions, between 0 and the length."""
        with torch.autocast(x.device.type, enabled=False):
            state = torch.tanh(x.to(self.state.dtype) @ self.state[layer].T)
            share = torch.sigmoid(state @ self.place[layer].T)
        return share.transpose(1, 2)[..., None] * lengths[:, None, None, None]

    def bias(self, options: LocalPOptions, ctx: AttentionContext) -> Float[Tensor, "batch heads q kv"]:
        r = ctx.request
        away = r.kv_idx - self.places(r.x, source_lengths(ctx), ctx.layer)
        # Attention is never pushed away: a negative amount acts as 0, but its gradient passes, so it can come back.
        amount = held(self.amount[ctx.layer], 0.0)
        sigma = float(options.half_width) / 2
        return -amount[None, :, None, None] * away.square() / (2 * sigma**2)
