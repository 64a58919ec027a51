"""Normalisers in place of the softmax over keys: `linear_attention`, `sigmoid_attention` and `inverted`."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from maskbench.data.padding import are_real
from maskbench.masks.base import ATTENTION_SITES, Normaliser, StrategyOptions
from maskbench.masks.context import AttentionContext, Sizes
from maskbench.masks.schedules import Strength
from maskbench.masks.softmax import softmax
from maskbench.registry import MASKS


class LinearAttentionOptions(StrategyOptions):
    """What the scores are multiplied by."""

    scale: Strength = 1.0
    """Multiplies every weight; 1 / sqrt(d) divides by the root of the width of a head a second time."""


@MASKS.register("linear_attention")
class LinearAttention(Normaliser):
    """The scores themselves are the weights, zero where hidden: H = (S * M) V, which is linear in S and in V.

    weights = scale * scores * keep. Where no softmax follows, multiplying scores by a mask of 0 and 1 does hide: a
    hidden key contributes exactly 0. Weights may be negative, and grow with the number of keys.
    """

    sites = ATTENTION_SITES
    depends_on = frozenset({"input"})
    rows_sum_to_one = False
    signed_weights = True
    source = (
        "Katharopoulos et al. 2020 (linear attention, arXiv:2006.16236), without feature map and division"
    )
    Options = LinearAttentionOptions
    example = LinearAttentionOptions()

    def weights(
        self,
        options: LinearAttentionOptions,
        scores: Float[Tensor, "batch heads q kv"],
        keep: Bool[Tensor, "#batch #heads #q #kv"],
        ctx: AttentionContext,
    ) -> Float[Tensor, "batch heads q kv"]:
        # Filled, not multiplied: what is hidden comes as -inf, and 0 times that is NaN.
        return float(options.scale) * scores.masked_fill(~keep, 0.0)

    def kept(self, options: LinearAttentionOptions, visible: Int[Tensor, "*rows"]) -> Int[Tensor, "*rows"]:
        return visible


class SigmoidAttentionOptions(StrategyOptions):
    """Where the sigmoid stands."""

    shift: float = Field(0.0, ge=-20.0, le=20.0)
    """Added to every score beside -log n; greater opens more keys."""


@MASKS.register("sigmoid_attention")
class SigmoidAttention(Normaliser):
    """Every key is opened or closed by its own score, without competition: a row may attend to all keys or to none.

    weights(i, j) = sigmoid(score(i, j) - log n_i + shift), n_i the keys that query i may see; with equal scores near 0
    a row then sums to about one.
    """

    sites = ATTENTION_SITES
    depends_on = frozenset({"input"})
    rows_sum_to_one = False
    source = "Ramapuram et al. 2024 (sigmoid self-attention, arXiv:2409.04431)"
    Options = SigmoidAttentionOptions
    example = SigmoidAttentionOptions()

    def weights(
        self,
        options: SigmoidAttentionOptions,
        scores: Float[Tensor, "batch heads q kv"],
        keep: Bool[Tensor, "#batch #heads #q #kv"],
        ctx: AttentionContext,
    ) -> Float[Tensor, "batch heads q kv"]:
        visible = keep.expand(scores.shape).sum(-1, keepdim=True)
        return torch.sigmoid(scores - visible.to(scores.dtype).log() + options.shift)

    def kept(self, options: SigmoidAttentionOptions, visible: Int[Tensor, "*rows"]) -> Int[Tensor, "*rows"]:
        return visible


class InvertedOptions(StrategyOptions):
    """What follows the softmax over queries."""

    renormalise: bool = True
    """Whether every query's weights are then divided by their sum, so that rows sum to one again."""


@MASKS.register("inverted")
class Inverted(Normaliser):
    """Queries compete for keys: the softmax runs over the queries, so every key is shared out among them.

    a(i, j) = exp(s(i, j)) / sum of exp(s(k, j)) over the real queries k that may see j; weights(i, j) = a(i, j), or with
    `renormalise` a(i, j) / sum of a(i, l) over the keys l. Encoder only: elsewhere a query would learn of later ones
    through the sum. A query that other masks leave nothing outputs zeros but still competes.
    """

    sites = frozenset({"encoder_self"})
    depends_on = frozenset({"length", "input"})
    mixes_queries = True
    source = "Locatello et al. 2020 (slot attention, arXiv:2006.15055)"
    Options = InvertedOptions
    example = InvertedOptions()

    def __init__(self, options: InvertedOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        self.rows_sum_to_one = options.renormalise

    def weights(
        self,
        options: InvertedOptions,
        scores: Float[Tensor, "batch heads q kv"],
        keep: Bool[Tensor, "#batch #heads #q #kv"],
        ctx: AttentionContext,
    ) -> Float[Tensor, "batch heads q kv"]:
        competes = keep if (real := _real_query_mask(ctx)) is None else keep & real
        competing = scores.masked_fill(~competes, -torch.inf)
        # A key for which nobody competes has no weight anyway; opened, so that no gradient is NaN.
        nobody = ~competes.any(-2, keepdim=True)
        mass = competing.masked_fill(nobody, 0.0).logsumexp(-2, keepdim=True)
        return softmax(scores - mass) if options.renormalise else (competing - mass).exp()

    def kept(self, options: InvertedOptions, visible: Int[Tensor, "*rows"]) -> Int[Tensor, "*rows"]:
        return visible


def _real_query_mask(ctx: AttentionContext) -> Bool[Tensor, "batch 1 q 1"] | None:
    """Return True on queries that are words, not padding; None where every query is one."""
    lengths = ctx.request.src_lengths
    return None if lengths is None else are_real(ctx.request.q_idx, lengths)[:, None, :, None]
