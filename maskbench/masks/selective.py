"""Words that tell later words what they no longer need."""

from __future__ import annotations

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from maskbench.config.schema.experiment import ModelConfig, PlacementConfig
from maskbench.masks.base import ScoreBias, StrategyOptions
from maskbench.masks.context import AttentionContext
from maskbench.masks.schedules import Strength
from maskbench.registry import MASKS


class SelectiveOptions(StrategyOptions):
    """Who selects, and how strongly."""

    head: int = Field(0, ge=0)
    """The head whose scores select, counted from 0; all heads get the same bias."""
    strength: Strength = 1.0
    """Multiplies the bias; 1 is the published form."""


@MASKS.register("selective")
class Selective(ScoreBias):
    """A position can tell all later ones to look less at a key: what was selected once stays turned down.

    s(k, j) = max(0, q_k . k_j / sqrt(d)) of one head, for 0 < j < k and 0 elsewhere: no position selects itself, and
    the start mark is never selected. bias(i, j) = -strength * sum of s(k, j) over k < i. No parameters: the model
    learns to select with the head it has.
    """

    sites = frozenset({"decoder_self"})
    depends_on = frozenset({"input"})
    cacheable = False
    """What earlier positions selected needs their queries, which a cached step does not have."""
    source = "Leviathan et al. 2024 (selective attention, arXiv:2410.02703)"
    Options = SelectiveOptions
    example = SelectiveOptions()

    @classmethod
    def check(
        cls, site: str, options: SelectiveOptions, placement: PlacementConfig, model: ModelConfig
    ) -> None:
        super().check(site, options, placement, model)
        if options.head >= model.n_heads:
            raise ValueError(f"there is no head {options.head}: the model has 0 to {model.n_heads - 1}")

    def selected(self, at: SelectiveOptions, ctx: AttentionContext) -> Float[Tensor, "batch q kv"]:
        """Return s: how much every position selects every key, at least 0."""
        r = ctx.request
        query, key = r.query[:, at.head], r.key[:, at.head]
        scores = (query @ key.mT).to(torch.promote_types(query.dtype, torch.float32))
        may = (r.kv_idx < r.q_idx[:, None]) & (r.kv_idx > 0)
        return torch.relu(scores * query.shape[-1] ** -0.5) * may

    def bias(self, at: SelectiveOptions, ctx: AttentionContext) -> Float[Tensor, "batch 1 q kv"]:
        selected = self.selected(at, ctx)
        earlier = selected.new_ones(len(ctx.request.q_idx), len(ctx.request.q_idx)).tril(-1)
        # Sums over earlier queries, as a product: a GPU has no reproducible `cumsum` of floating-point numbers.
        with torch.autocast(selected.device.type, enabled=False):
            return -float(at.strength) * (earlier @ selected)[:, None]
