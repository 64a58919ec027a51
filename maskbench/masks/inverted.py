"""Keys that share themselves out among the queries, as in slot attention."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskbench.masks.base import Normaliser, StrategyOptions
from maskbench.masks.context import AttentionContext, Sizes
from maskbench.masks.softmax import softmax
from maskbench.registry import MASKS


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
        at: InvertedOptions,
        scores: Float[Tensor, "batch heads q kv"],
        keep: Bool[Tensor, "#batch #heads #q #kv"],
        ctx: AttentionContext,
    ) -> Float[Tensor, "batch heads q kv"]:
        competes = keep if (real := _real_queries(ctx)) is None else keep & real
        competing = scores.masked_fill(~competes, -torch.inf)
        # A key for which nobody competes has no weight anyway; opened, so that no gradient is NaN.
        nobody = ~competes.any(-2, keepdim=True)
        mass = competing.masked_fill(nobody, 0.0).logsumexp(-2, keepdim=True)
        return softmax(scores - mass) if at.renormalise else (competing - mass).exp()

    def kept(self, at: InvertedOptions, visible: Int[Tensor, "*rows"]) -> Int[Tensor, "*rows"]:
        return visible


def _real_queries(ctx: AttentionContext) -> Bool[Tensor, "batch 1 q 1"] | None:
    """Return True on queries that are words, not padding; None where every query is one."""
    lengths = ctx.request.src_lengths
    return None if lengths is None else (ctx.request.q_idx < lengths[:, None])[:, None, :, None]
