"""Score biases that draw a decoder position to one place in the source: an expected one, or a predicted one."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from maskbench.masks.base import ScoreBias, StrategyOptions
from maskbench.masks.context import AttentionContext, Sizes
from maskbench.masks.strategies.attention.diagonal import expected_source_position, source_lengths
from maskbench.masks.strategies.scores.gate_functions import clamp_straight_through
from maskbench.masks.strategies.scores.gaussian import StandardDeviation
from maskbench.randomness import Key, torch_generator
from maskbench.registry import MASKS


class SoftDiagonalOptions(StrategyOptions):
    """How fast the preference falls off beside the diagonal."""

    sigma: StandardDeviation
    """Standard deviation of the Gaussian, in source positions."""


@MASKS.register("soft_diagonal")
class SoftDiagonal(ScoreBias):
    """A target position prefers the source tokens around the place its own position points at; none is hidden.

    bias(t, s) = -(s - c)^2 / (2 sigma^2), with the centre c of `diagonal`: attention is multiplied by a Gaussian and
    normalised again.
    """

    sites = frozenset({"cross"})
    depends_on = frozenset({"length"})
    by_pair = True
    source = "Yang et al. 2018 (Gaussian bias for localness, arXiv:1810.10182), with a fixed centre"
    Options = SoftDiagonalOptions
    example = SoftDiagonalOptions(sigma=1.5)

    def bias(self, options: SoftDiagonalOptions, ctx: AttentionContext) -> Float[Tensor, "batch 1 q kv"]:
        b, _, q_idx, kv_idx = ctx.indices()
        centre = expected_source_position(q_idx, source_lengths(ctx)[b], self.sizes.facts.length_ratio)
        bias = (kv_idx - centre).square() / (-2 * float(options.sigma) ** 2)
        return bias.to(torch.promote_types(ctx.request.query.dtype, torch.float32))


class LocalPOptions(StrategyOptions):
    """How wide the Gaussian around a predicted place is."""

    half_width: StandardDeviation = 3.0
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
        generator = torch_generator(Key.of(0, "init", "local_p"))
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
        amount = clamp_straight_through(self.amount[ctx.layer], 0.0)
        sigma = float(options.half_width) / 2
        return -amount[None, :, None, None] * away.square() / (2 * sigma**2)
