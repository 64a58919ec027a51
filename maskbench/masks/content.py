"""Masks that read the scores: what is hidden depends on the words."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskbench.masks.base import ATTENTION_SITES, Normaliser, StrategyOptions
from maskbench.masks.schedules import Count
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
        at: TopKOptions,
        scores: Float[Tensor, "batch heads q kv"],
        keep: Bool[Tensor, "#batch #heads #q #kv"],
    ) -> Float[Tensor, "batch heads q kv"]:
        if at.k >= scores.shape[-1]:
            return scores.softmax(-1)
        order = scores.detach().argsort(dim=-1, descending=True, stable=True)
        stays = torch.zeros_like(scores, dtype=torch.bool).scatter(-1, order[..., : at.k], True)
        return scores.masked_fill(~stays, -torch.inf).softmax(-1)

    def kept(self, at: TopKOptions, visible: Int[Tensor, "*rows"]) -> Int[Tensor, "*rows"]:
        return visible.clamp(max=at.k)
