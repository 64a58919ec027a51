"""A learned gate on what the decoder reads of the source, or on what it says."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from maskbench.masks.base import StrategyOptions, TensorGate
from maskbench.masks.context import GateContext, Sizes
from maskbench.masks.strategies.scores.gate_functions import log_gate
from maskbench.registry import MASKS


class LearnedGateOptions(StrategyOptions):
    """What shares a gate, and how much the network that sets it can tell apart."""

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
        self.down = nn.Parameter(_cosines(options.rank, width))
        self.up = nn.Parameter(torch.zeros(options.rank, out))
        self.offset = nn.Parameter(torch.zeros(out))

    def gate(
        self, at: LearnedGateOptions, tensor: Float[Tensor, "batch len width"], ctx: GateContext
    ) -> Float[Tensor, "batch len #width"]:
        with torch.autocast(tensor.device.type, enabled=False):
            middle = torch.tanh(tensor.to(self.down.dtype) @ self.down.T)
            phi = middle @ self.up + self.offset
            return log_gate(self.amount, -phi).exp()


def _cosines(rank: int, width: int) -> Float[Tensor, "rank width"]:
    """Return orthogonal rows of unit length: cosines of 0, 1/2, 1, ... periods (repeating where rank > width)."""
    wave = (torch.arange(rank) % width)[:, None]
    rows = torch.cos(math.pi * wave * (torch.arange(width) + 0.5) / width)
    return rows / rows.square().sum(1, keepdim=True).sqrt()
