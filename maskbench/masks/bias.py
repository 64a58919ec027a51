"""Score biases: near keys are preferred, none is hidden."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from maskbench.masks.base import SELF_SITES, ScoreBias, StrategyOptions
from maskbench.masks.context import AttentionContext
from maskbench.masks.schedules import Strength
from maskbench.registry import MASKS


class AlibiOptions(StrategyOptions):
    """How steep the penalty is."""

    scale: Strength = 1.0
    """Multiplies every head's slope; 0 is no bias."""


@MASKS.register("alibi")
class Alibi(ScoreBias):
    """Every head subtracts its own slope times the distance: a soft window, and a position signal.

    bias(h, i, j) = -scale * 2^(-8 (h + 1) / n_heads) * |i - j|. In the causal decoder this is the published form; in
    the encoder the symmetric one.
    """

    sites = SELF_SITES
    source = "Press et al. 2022 (arXiv:2108.12409)"
    Options = AlibiOptions
    example = AlibiOptions()

    def bias(self, at: AlibiOptions, ctx: AttentionContext) -> Float[Tensor, "1 heads q kv"]:
        _, h, q_idx, kv_idx = ctx.indices()
        slopes = torch.exp2(-8.0 * (h + 1) / ctx.n_heads)
        bias = -float(at.scale) * slopes * (q_idx - kv_idx).abs()
        # bfloat16 would round the larger distances away.
        return bias.to(torch.promote_types(ctx.request.query.dtype, torch.float32))
