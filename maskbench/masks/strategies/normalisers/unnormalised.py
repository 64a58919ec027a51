"""Attention without a softmax: every weight depends on its own pair alone, so rows need not sum to one."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from maskbench.masks.base import ATTENTION_SITES, Normaliser, StrategyOptions
from maskbench.masks.context import AttentionContext
from maskbench.masks.schedules import Strength
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
        at: LinearAttentionOptions,
        scores: Float[Tensor, "batch heads q kv"],
        keep: Bool[Tensor, "#batch #heads #q #kv"],
        ctx: AttentionContext,
    ) -> Float[Tensor, "batch heads q kv"]:
        # Filled, not multiplied: what is hidden comes as -inf, and 0 times that is NaN.
        return float(at.scale) * scores.masked_fill(~keep, 0.0)

    def kept(self, at: LinearAttentionOptions, visible: Int[Tensor, "*rows"]) -> Int[Tensor, "*rows"]:
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
        at: SigmoidAttentionOptions,
        scores: Float[Tensor, "batch heads q kv"],
        keep: Bool[Tensor, "#batch #heads #q #kv"],
        ctx: AttentionContext,
    ) -> Float[Tensor, "batch heads q kv"]:
        visible = keep.expand(scores.shape).sum(-1, keepdim=True)
        return torch.sigmoid(scores - visible.to(scores.dtype).log() + at.shift)

    def kept(self, at: SigmoidAttentionOptions, visible: Int[Tensor, "*rows"]) -> Int[Tensor, "*rows"]:
        return visible
