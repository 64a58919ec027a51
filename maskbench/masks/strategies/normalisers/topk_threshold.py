"""Normalisers that drop keys by their scores: `topk` and `threshold`."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskbench.masks.base import ATTENTION_SITES, Normaliser, StrategyOptions
from maskbench.masks.context import AttentionContext
from maskbench.masks.schedules import Count, Strength
from maskbench.masks.softmax import softmax
from maskbench.registry import MASKS


class TopKOptions(StrategyOptions):
    """How many keys stay."""

    k: Count
    """Keys kept for every query and head; a query that may see fewer keeps them all."""


@MASKS.register("topk")
class TopK(Normaliser):
    """Every query keeps the `k` keys it scores highest and shares its attention among them.

    weights = softmax over {j : rank of score(i, j) among the allowed keys < k}. Ties go to the earlier key, so exactly
    k stay, and padding cannot change which.
    """

    sites = ATTENTION_SITES
    depends_on = frozenset({"input"})
    source = "Zhao et al. 2019 (explicit sparse Transformer, arXiv:1912.11637)"
    Options = TopKOptions
    example = TopKOptions(k=2)

    def weights(
        self,
        options: TopKOptions,
        scores: Float[Tensor, "batch heads q kv"],
        keep: Bool[Tensor, "#batch #heads #q #kv"],
        ctx: AttentionContext,
    ) -> Float[Tensor, "batch heads q kv"]:
        if options.k >= scores.shape[-1]:
            return softmax(scores)
        order = scores.detach().argsort(dim=-1, descending=True, stable=True)
        stays = torch.zeros_like(scores, dtype=torch.bool).scatter(-1, order[..., : options.k], True)
        return softmax(scores.masked_fill(~stays, -torch.inf))

    def kept(self, options: TopKOptions, visible: Int[Tensor, "*rows"]) -> Int[Tensor, "*rows"]:
        return visible.clamp(max=options.k)


class ThresholdOptions(StrategyOptions):
    """Which weights are too small to count."""

    share: Strength = 0.25
    """A key is dropped where its weight is below this share of the average weight, 1 over the keys in sight."""


@MASKS.register("threshold")
class Threshold(Normaliser):
    """Keys that would get next to no weight are dropped, and the others share the attention.

    With p the softmax and n_i the keys query i may see, weights = softmax over {j : p(i, j) >= share / n_i}. The best
    key always stays. How many others do depends on how clear the scores are.
    """

    sites = ATTENTION_SITES
    depends_on = frozenset({"input"})
    source = (
        "Lin et al. 2025 (adaptive computation pruning, arXiv:2504.06949) for dropping what hardly counts"
    )
    Options = ThresholdOptions
    example = ThresholdOptions(share=1.0)

    def weights(
        self,
        options: ThresholdOptions,
        scores: Float[Tensor, "batch heads q kv"],
        keep: Bool[Tensor, "#batch #heads #q #kv"],
        ctx: AttentionContext,
    ) -> Float[Tensor, "batch heads q kv"]:
        p = softmax(scores.detach())
        visible = keep.expand(scores.shape).sum(-1, keepdim=True)
        stays = (p * visible >= float(options.share)) | (p == p.amax(-1, keepdim=True))
        return softmax(scores.masked_fill(~stays, -torch.inf))

    def kept(self, options: ThresholdOptions, visible: Int[Tensor, "*rows"]) -> Int[Tensor, "*rows"] | None:
        return visible if options.share == 0 else None
