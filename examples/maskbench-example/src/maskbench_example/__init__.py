"""Near keys, and rare words however far away."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from maskbench.masks.base import AttentionMask, MaskMod, StrategyOptions
from maskbench.masks.context import AttentionContext, Sizes
from maskbench.masks.schedules import Radius
from maskbench.registry import MASKS


class NearOrRareOptions(StrategyOptions):
    """What is near, and what is rare."""

    radius: Radius = 1
    """Greatest distance at which every word is seen."""
    common: float = Field(0.5, ge=0, le=1)
    """The most frequent words, which make up this share of the training text, are not rare."""


@MASKS.register("near_or_rare")
class NearOrRare(AttentionMask):
    """A position sees its neighbours and, however far away, the rare words of its sentence.

    keep(i, j) = |i - j| <= radius or word j is rare. Words are common in the order of their counts over the training
    pairs, until they make up the share `common` of all text; the others, and every word of unknown count, are rare.
    """

    sites = frozenset({"encoder_self"})
    depends_on = frozenset({"input"})
    source = "the maskbench documentation, 2026"
    Options = NearOrRareOptions
    example = NearOrRareOptions(radius=1, common=0.5)

    def __init__(self, options: NearOrRareOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        known = sizes.facts.counts
        counts = torch.zeros(sizes.vocab_size) if known is None else known.double()
        order = counts.argsort(descending=True, stable=True)
        more_frequent = counts[order].cumsum(0) - counts[order]
        rare = torch.ones(sizes.vocab_size, dtype=torch.bool)
        rare[order] = more_frequent >= options.common * counts.sum()
        self.register_buffer("rare", rare, persistent=False)

    def mask_mod(self, options: NearOrRareOptions, ctx: AttentionContext) -> MaskMod:
        words = ctx.request.src_ids
        assert words is not None  # the encoder always reads the source
        rare = self.get_buffer("rare")[words]

        def keep(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
            return ((q_idx - kv_idx).abs() <= options.radius) | rare[b, kv_idx]

        return keep
