"""A learned gate on whole heads."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn

from maskbench.masks.base import ATTENTION_SITES, HeadGate, StrategyOptions
from maskbench.masks.context import AttentionContext, Sizes
from maskbench.masks.strategies.scores.gate_functions import held
from maskbench.registry import MASKS


class HeadGateOptions(StrategyOptions):
    """What an open head costs."""

    cost: float = Field(0.01, ge=0, le=100)
    """Times the mean gate over layers and heads: added to the training loss."""


@MASKS.register("head_gate")
class LearnedHeadGate(HeadGate):
    """Every head is multiplied by a learned gate in [0, 1]; open heads cost, so those that do not help close.

    out_h = g_h * head_h; the training loss includes `cost` * mean(g). Every g starts at 1, so step 0 equals the model
    without it exactly. A deterministic relative of the published hard-concrete gates: 0 and 1 are reached exactly and
    the gradient passes at both ends, so that a closed head can open again.
    """

    sites = ATTENTION_SITES
    depends_on = frozenset({"parameters"})
    starts_as_identity = True
    source = "Voita et al. 2019 (arXiv:1905.09418), whose gates are stochastic and whose cost is an L0 norm"
    Options = HeadGateOptions
    example = HeadGateOptions()

    def __init__(self, options: HeadGateOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        self.cost = options.cost
        self.open = nn.Parameter(torch.ones(sizes.layers(site), sizes.n_heads))

    def head_gate(self, at: HeadGateOptions, ctx: AttentionContext) -> Float[Tensor, "1 heads"]:
        return held(self.open[ctx.layer], 0.0, 1.0)[None]

    def penalty(self, acts: Bool[Tensor, "layers heads"]) -> Float[Tensor, ""] | None:
        """Return `cost` times the mean gate; what is below 0 costs nothing, what is above 1 is pulled back."""
        return self.cost * self.open.clamp(min=0.0)[acts].mean() if self.cost else None
