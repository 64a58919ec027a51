"""A learned reach for every head."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor, nn

from maskbench.masks.base import SELF_SITES, ScoreGate, StrategyOptions
from maskbench.masks.context import AttentionContext, Sizes
from maskbench.masks.strategies.scores.gate_functions import held
from maskbench.registry import MASKS


class AdaptiveSpanOptions(StrategyOptions):
    """The longest reach, how softly it ends, and what reach costs."""

    longest: int | None = Field(None, ge=1)
    """The distance a head reaches at most, and at the start; without it the longest sequence there is."""
    ramp: int = Field(2, ge=1)
    """Over how many positions the gate falls from 1 to 0."""
    cost: float = Field(0.01, gt=0, le=100)
    """Times the mean share of the longest reach, over layers and heads: added to the training loss."""


@MASKS.register("adaptive_span")
class AdaptiveSpan(ScoreGate):
    """Every head learns how far it looks; reach costs, so a head keeps what it needs.

    gate(h, i, j) = clamp((ramp + z_h * longest - |i - j|) / ramp, 0, 1), with z_h in [0, 1]. Pairs whose gate is 0 are
    hidden; a position always sees itself. Every z starts at 1. If `longest` covers every sentence, step 0 then equals
    the model without it exactly, and only the cost moves z until the reach comes down to distances that occur: a
    `longest` near the longest sentence saves that way. The training loss includes `cost` * mean(z).
    """

    sites = SELF_SITES
    depends_on = frozenset({"parameters"})
    starts_as_identity = True
    hides = True
    source = "Sukhbaatar et al. 2019 (adaptive attention span, arXiv:1905.07799)"
    Options = AdaptiveSpanOptions
    example = AdaptiveSpanOptions()

    def __init__(self, options: AdaptiveSpanOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        self.longest = options.longest or sizes.max_length
        self.ramp, self.cost = options.ramp, options.cost
        self.starts_as_identity = self.longest >= sizes.max_length
        self.share = nn.Parameter(torch.ones(sizes.layers(site), sizes.n_heads))

    def log_gate(self, at: AdaptiveSpanOptions, ctx: AttentionContext) -> Float[Tensor, "1 heads q kv"]:
        gate = self._gate(ctx.layer, ctx.request.q_idx, ctx.request.kv_idx)[None]
        closed = gate <= 0
        # The logarithm of a number that is not 0, so that no gradient is NaN where a pair is hidden.
        return gate.masked_fill(closed, 1.0).log().masked_fill(closed, -torch.inf)

    def _gate(
        self, layer: int, q_idx: Int[Tensor, "q"], kv_idx: Int[Tensor, "kv"]
    ) -> Float[Tensor, "heads q kv"]:
        reach = held(self.share[layer], 0.0, 1.0)[:, None, None] * self.longest
        distance = (q_idx[:, None] - kv_idx).abs()
        return ((self.ramp + reach - distance) / self.ramp).clamp(0.0, 1.0)

    def penalty(self, acts: Bool[Tensor, "layers heads"]) -> Float[Tensor, ""]:
        """Return `cost` times the mean of z; what is below 0 costs nothing."""
        return self.cost * self.share.clamp(min=0.0)[acts].mean()

    @torch.no_grad()
    def picture(self, at: AdaptiveSpanOptions, layer: int, n: int) -> Float[Tensor, "heads n n"]:
        index = torch.arange(n, device=self.share.device)
        return self._gate(layer, index, index)
