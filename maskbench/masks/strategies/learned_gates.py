"""Learned gates outside the softmax: on the encoder's output, on the vocabulary scores, and on whole heads."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn

from maskbench.masks.base import ATTENTION_SITES, HeadGate, StrategyOptions, TensorGate
from maskbench.masks.context import AttentionContext, GateContext, Sizes
from maskbench.masks.strategies.scores.gate_functions import clamp_straight_through, log_gate
from maskbench.registry import MASKS


class LearnedGateOptions(StrategyOptions):
    """What shares a gate, and the size of the network that computes it."""

    per: Literal["feature", "position"] = "feature"
    """`feature`: every entry of a position's vector (at `logits`: every vocabulary entry) has a gate of its own;
    `position`: one gate for the whole vector."""
    rank: int = Field(8, ge=1, le=512)
    """Width of the network's middle layer."""


@MASKS.register("learned_gate")
class LearnedGate(TensorGate):
    """A small network reads every vector of the encoder's output, or of the vocabulary scores, and gates it.

    gate = exp(-a * softplus(phi(h))) with phi(h) = V tanh(U h) + c, through a middle layer of `rank` units. The amount
    a starts at 0, so step 0 equals the model without it exactly. A gate multiplies what is there: on the vocabulary
    scores it changes no sign and cannot make a score out of a zero, so it is no stand-in for a model that is given the
    mask as input. The rows of U start as the first cosines over the vector.
    """

    sites = frozenset({"memory", "logits"})
    depends_on = frozenset({"parameters", "input"})
    starts_as_identity = True
    source = "Dauphin et al. 2017 (gated convolutional networks, arXiv:1612.08083) for gates computed from the input"
    Options = LearnedGateOptions
    example = LearnedGateOptions()

    def __init__(self, options: LearnedGateOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        width = sizes.vocab_size if site == "logits" else sizes.d_model
        out = width if options.per == "feature" else 1
        self.amount = nn.Parameter(torch.zeros(()))
        self.down = nn.Parameter(_cosine_rows(options.rank, width))
        self.up = nn.Parameter(torch.zeros(options.rank, out))
        self.offset = nn.Parameter(torch.zeros(out))

    def gate(
        self, options: LearnedGateOptions, tensor: Float[Tensor, "batch len width"], ctx: GateContext
    ) -> Float[Tensor, "batch len #width"]:
        with torch.autocast(tensor.device.type, enabled=False):
            middle = torch.tanh(tensor.to(self.down.dtype) @ self.down.T)
            phi = middle @ self.up + self.offset
            return log_gate(self.amount, -phi).exp()


def _cosine_rows(rank: int, width: int) -> Float[Tensor, "rank width"]:
    """Return orthogonal rows of unit length: cosines of 0, 1/2, 1, ... periods (repeating where rank > width)."""
    wave = (torch.arange(rank) % width)[:, None]
    rows = torch.cos(math.pi * wave * (torch.arange(width) + 0.5) / width)
    return rows / rows.square().sum(1, keepdim=True).sqrt()


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

    def head_gate(self, options: HeadGateOptions, ctx: AttentionContext) -> Float[Tensor, "1 heads"]:
        return clamp_straight_through(self.open[ctx.layer], 0.0, 1.0)[None]

    def penalty(self, acts: Bool[Tensor, "layers heads"]) -> Float[Tensor, ""] | None:
        """Return `cost` times the mean gate; what is below 0 costs nothing, what is above 1 is pulled back."""
        return self.cost * self.open.clamp(min=0.0)[acts].mean() if self.cost else None
