"""A mask as a further input channel: the model is told what was hidden and makes of it what it can."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maskbench.masks.base import INPUT_SITES, InputFeature, StrategyOptions
from maskbench.masks.context import Sizes, TokenInput
from maskbench.registry import MASKS


class ConcatFeatureOptions(StrategyOptions):
    """There is nothing to set."""


@MASKS.register("concat_feature")
class ConcatFeature(InputFeature):
    """The embeddings get one more channel, 1 where a word is shown and 0 where a token mask at the site hid it.

    x' = [x, m] projected back to d_model, which is x + W m for a projection that starts as the identity on x: W starts
    at 0, so step 0 equals the model without it exactly. Nothing is hidden by it: what to do with the channel is
    learned. It also acts in evaluation, where every word is shown. Without a token mask at the site the channel is 1
    everywhere, and W a learned offset.
    """

    sites = INPUT_SITES
    depends_on = frozenset({"parameters", "input"})
    default_phases = ("train", "eval")
    starts_as_identity = True
    source = "Yoon et al. 2018 (GAIN, arXiv:1806.02920), whose generator is given the mask beside the data"
    Options = ConcatFeatureOptions
    example = ConcatFeatureOptions()

    def __init__(self, options: ConcatFeatureOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        self.channel = nn.Parameter(torch.zeros(sizes.d_model))

    def feature(
        self, at: ConcatFeatureOptions, x: Float[Tensor, "batch len d_model"], tokens: TokenInput
    ) -> Float[Tensor, "batch len d_model"]:
        shown = torch.ones_like(tokens.ids, dtype=torch.bool)
        for hidden in (tokens.picked, tokens.zeroed):
            shown = shown if hidden is None else shown & ~hidden
        return shown[..., None] * self.channel.to(x.dtype)
