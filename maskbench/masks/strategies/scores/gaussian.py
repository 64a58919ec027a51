"""Gaussian score biases in self-attention: `gaussian` at fixed offsets, `localness` at predicted positions."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn

from maskbench.masks.base import SELF_SITES, ScoreBias, StrategyOptions
from maskbench.masks.context import AttentionContext, Sizes
from maskbench.masks.schedules import Strength, scheduled
from maskbench.masks.strategies.scores.gate_functions import apply_amount
from maskbench.registry import MASKS

StandardDeviation: TypeAlias = scheduled(False, 0.1)  # type: ignore[valid-type]
"""A standard deviation in positions, at least 0.1, or a schedule."""


class GaussianOptions(StrategyOptions):
    """Where the bells stand, and how wide they are."""

    offsets: Annotated[tuple[int, ...], Field(strict=False, min_length=1)] = (-1, 0, 1)
    """The centre relative to the query, in positions, one for each head in turn; negative is before it."""
    sigma: StandardDeviation = 1.0
    """The standard deviation in positions; small is close to looking at the centre alone."""


@MASKS.register("gaussian")
class Gaussian(ScoreBias):
    """Every head is drawn to keys around a fixed offset from the query: a soft window with a place of its own.

    bias(h, i, j) = -(j - i - o_h)^2 / (2 sigma^2), the offsets o taken in turn. You et al. attend by such a bell
    alone; here it is added to the scores, so that the words keep their say. In the causal decoder a head whose offset
    lies ahead is drawn to the latest keys.
    """

    sites = SELF_SITES
    by_pair = True
    source = "You et al. 2020 (hard-coded Gaussian attention, arXiv:2005.00742)"
    Options = GaussianOptions
    example = GaussianOptions()

    def bias(self, options: GaussianOptions, ctx: AttentionContext) -> Float[Tensor, "1 heads q kv"]:
        _, h, q_idx, kv_idx = ctx.indices()
        offsets = torch.tensor(options.offsets, device=h.device)[h % len(options.offsets)]
        off = (kv_idx - q_idx - offsets).to(torch.promote_types(ctx.request.query.dtype, torch.float32))
        return -(off**2) / (2 * float(options.sigma) ** 2)


class LocalnessOptions(StrategyOptions):
    """How strongly the learned bell acts."""

    strength: Strength = 1.0
    """Multiplies the bias; a schedule can let it fade in or out."""


@MASKS.register("localness")
class Localness(ScoreBias):
    """Every query predicts a centre and a width from its own vector, and prefers the keys there.

    With n_i the keys query i may see (the whole source; in the decoder i + 1),
    centre P_i = (n_i - 1) sigmoid(u_h . q_i + c_h), window D_i = 1 + (n_i - 1) sigmoid(v_h . q_i + d_h) and
    bias(h, i, j) = -strength * a_h * (j - P_i)^2 / (2 (D_i / 2)^2). The paper has a tanh layer before u and v, and no
    a. Every a_h starts at 0, so step 0 equals the model without it exactly; a negative one acts as 0.
    """

    sites = SELF_SITES
    depends_on = frozenset({"length", "input", "parameters"})
    starts_as_identity = True
    source = "Yang et al. 2018 (modeling localness, arXiv:1810.10182)"
    Options = LocalnessOptions
    example = LocalnessOptions()

    def __init__(self, options: LocalnessOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        places, d = (sizes.layers(site), sizes.n_heads), sizes.d_model // sizes.n_heads
        self.amount = nn.Parameter(torch.zeros(places))
        self.centre = nn.Parameter(torch.zeros(*places, d))
        self.centre_bias = nn.Parameter(torch.zeros(places))
        self.window = nn.Parameter(torch.zeros(*places, d))
        self.window_bias = nn.Parameter(torch.zeros(places))

    def centre_and_sigma(
        self, ctx: AttentionContext
    ) -> tuple[Float[Tensor, "b h q 1"], Float[Tensor, "b h q 1"]]:
        """Return the centre, in positions, and the standard deviation of every query's bell."""
        r, layer = ctx.request, ctx.layer
        query = r.query.to(torch.promote_types(r.query.dtype, self.centre.dtype))
        last = _last_visible(ctx)

        def share(weight: Tensor, bias: Tensor) -> Tensor:
            products = (query * weight[layer, :, None]).sum(-1, keepdim=True)
            return torch.sigmoid(products + bias[layer, :, None, None])

        centre = last * share(self.centre, self.centre_bias)
        return centre, (1 + last * share(self.window, self.window_bias)) / 2

    def bias(self, options: LocalnessOptions, ctx: AttentionContext) -> Float[Tensor, "batch heads q kv"]:
        centre, sigma = self.centre_and_sigma(ctx)
        cost = ((ctx.request.kv_idx - centre) / sigma) ** 2 / 2
        return -float(options.strength) * apply_amount(self.amount[ctx.layer, :, None, None], cost)


def _last_visible(ctx: AttentionContext) -> Int[Tensor, "#batch 1 #q 1"]:
    """Return the last position that every query may see: its own in the decoder, the source's last in the encoder."""
    r = ctx.request
    if ctx.site == "decoder_self":
        return r.q_idx[None, None, :, None]
    assert r.src_lengths is not None  # every source has them
    return r.src_lengths[:, None, None, None] - 1
