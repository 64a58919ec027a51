"""Learned gates over positions: `learned_full` for every pair, `adaptive_span` by distance."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor, nn

from maskbench.masks.base import ATTENTION_SITES, SELF_SITES, ScoreGate, StrategyOptions
from maskbench.masks.context import AttentionContext, Sizes
from maskbench.masks.strategies.scores.gate_functions import clamp_straight_through, log_gate
from maskbench.registry import MASKS


class LearnedFullOptions(StrategyOptions):
    """How open the gates may be."""

    budget: float = Field(0.3, gt=0, le=1)
    """The mean gate that costs nothing; what is above it costs the square of the excess."""
    weight: float = Field(1.0, ge=0, le=1000)
    """Times that square, averaged over layers and heads: added to the training loss. 0 sets no budget."""


@MASKS.register("learned_full")
class LearnedFull(ScoreGate):
    """Every pair of positions has a learned gate of its own, in every layer and head, under a budget.

    gate(h, i, j) = sigmoid(G(h, i, j)) ^ a_h, inside the softmax; a_h starts at 0, so that step 0 equals the model
    without it exactly. penalty = weight * mean over layers and heads of max(0, mean gate - budget)^2, where a pair
    counts in the mean gate as often as the training sentences have it (for `decoder_self`: with j <= i), so that
    closing positions no sentence reaches saves nothing. G covers the longest sequence there is and is sliced.
    """

    sites = ATTENTION_SITES
    depends_on = frozenset({"parameters"})
    starts_as_identity = True
    source = "Shi et al. 2021 (SparseBERT, arXiv:2102.12871) for free logits of positions; the budget is ours"
    Options = LearnedFullOptions
    example = LearnedFullOptions()

    def __init__(self, options: LearnedFullOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        n_layers, n = sizes.layers(site), sizes.max_length
        self.budget, self.weight = options.budget, options.weight
        self.amount = nn.Parameter(torch.zeros(n_layers, sizes.n_heads))
        self.logits = nn.Parameter(torch.zeros(n_layers, sizes.n_heads, n, n))
        self.register_buffer("frequency", pair_frequency(sizes, site), persistent=False)

    def log_gate(self, options: LearnedFullOptions, ctx: AttentionContext) -> Float[Tensor, "1 heads q kv"]:
        return self._log_gate(ctx.layer, ctx.request.q_idx, ctx.request.kv_idx)[None]

    def _log_gate(
        self, layer: int, q_idx: Int[Tensor, "q"], kv_idx: Int[Tensor, "kv"]
    ) -> Float[Tensor, "heads q kv"]:
        logits = self.logits[layer][:, q_idx][:, :, kv_idx]
        return log_gate(self.amount[layer][:, None, None], logits)

    def penalty(self, acts: Bool[Tensor, "layers heads"]) -> Float[Tensor, ""] | None:
        """Return the cost of gates that are open beyond the budget."""
        if not self.weight:
            return None
        gates = log_gate(self.amount[:, :, None, None], self.logits).exp()
        mean = (gates * self.get_buffer("frequency")).sum((-1, -2))
        return self.weight * (mean - self.budget).clamp(min=0.0).square()[acts].mean()

    @torch.no_grad()
    def picture(self, options: LearnedFullOptions, layer: int, n: int) -> Float[Tensor, "heads n n"]:
        index = torch.arange(n, device=self.logits.device)
        return self._log_gate(layer, index, index).exp()


def pair_frequency(sizes: Sizes, site: str) -> Float[Tensor, "max_length max_length"]:
    """Return how large a share of the legal pairs in the training data every pair of positions is; the sum is 1.

    Where the corpus is unknown, every pair of the table counts the same.
    """
    n = sizes.max_length
    if sizes.facts.pairs is None:
        counts = np.ones((n, n))
    else:
        src, tgt = (side.lengths for side in sizes.facts.pairs())
        queries = src if site == "encoder_self" else tgt
        keys = tgt if site == "decoder_self" else src
        lengths, times = np.unique(np.stack([queries, keys]), axis=1, return_counts=True)
        has = np.arange(n) < lengths[..., None]
        counts = (has[0] * times[:, None]).T.astype(float) @ has[1].astype(float)
    if site == "decoder_self":
        counts = np.tril(counts)
    return torch.from_numpy(counts / counts.sum()).float()


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

    def log_gate(self, options: AdaptiveSpanOptions, ctx: AttentionContext) -> Float[Tensor, "1 heads q kv"]:
        gate = self._gate(ctx.layer, ctx.request.q_idx, ctx.request.kv_idx)[None]
        closed = gate <= 0
        # The logarithm of a number that is not 0, so that no gradient is NaN where a pair is hidden.
        return gate.masked_fill(closed, 1.0).log().masked_fill(closed, -torch.inf)

    def _gate(
        self, layer: int, q_idx: Int[Tensor, "q"], kv_idx: Int[Tensor, "kv"]
    ) -> Float[Tensor, "heads q kv"]:
        reach = clamp_straight_through(self.share[layer], 0.0, 1.0)[:, None, None] * self.longest
        distance = (q_idx[:, None] - kv_idx).abs()
        return ((self.ramp + reach - distance) / self.ramp).clamp(0.0, 1.0)

    def penalty(self, acts: Bool[Tensor, "layers heads"]) -> Float[Tensor, ""]:
        """Return `cost` times the mean of z; what is below 0 costs nothing."""
        return self.cost * self.share.clamp(min=0.0)[acts].mean()

    @torch.no_grad()
    def picture(self, options: AdaptiveSpanOptions, layer: int, n: int) -> Float[Tensor, "heads n n"]:
        index = torch.arange(n, device=self.share.device)
        return self._gate(layer, index, index)
