"""Score biases that depend on the words: `forgetting_gate` and `selective`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from maskbench.config.schema.experiment import ModelConfig, PlacementConfig
from maskbench.masks.base import SELF_SITES, ScoreBias, ScoreGate, StrategyOptions
from maskbench.masks.context import AttentionContext, Sizes
from maskbench.masks.schedules import Strength
from maskbench.masks.strategies.scores.gate_functions import apply_amount
from maskbench.registry import MASKS


class ForgettingGateOptions(StrategyOptions):
    """How strongly the gates act."""

    strength: Strength = 1.0
    """Multiplies the log-gates; a schedule can let them fade in or out."""


@MASKS.register("forgetting_gate")
class ForgettingGate(ScoreGate):
    """Every word decides how much of what lies behind it is forgotten: a soft window that follows the text.

    f_l = sigmoid(w_h . x_l + b_h) at every position l; log-gate(h, i, j) = strength * a_h * sum of log f_l over l from
    i towards j, i among them, j not. In the causal decoder that is the published sum over l = j + 1, ..., i, times
    a_h; in the encoder keys ahead are treated like keys behind. Every a_h starts at 0, so step 0 equals the model
    without it exactly (a bias of 5, in common use, only nearly); a negative one acts as 0.
    """

    sites = SELF_SITES
    depends_on = frozenset({"input", "parameters"})
    starts_as_identity = True
    source = "Lin et al. 2025 (forgetting transformer, arXiv:2503.02130)"
    Options = ForgettingGateOptions
    example = ForgettingGateOptions()

    def __init__(self, options: ForgettingGateOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        # The gates of earlier positions need their x, which a cached step does not have.
        self.cacheable = site != "decoder_self"
        places = sizes.layers(site), sizes.n_heads
        self.amount = nn.Parameter(torch.zeros(places))
        self.weight = nn.Parameter(torch.zeros(*places, sizes.d_model))
        self.bias = nn.Parameter(torch.zeros(places))

    def log_forget(self, ctx: AttentionContext) -> Float[Tensor, "batch heads q"]:
        """Return log f_l, at most 0, for every position."""
        x = ctx.request.x.to(torch.promote_types(ctx.request.x.dtype, self.weight.dtype))
        with torch.autocast(x.device.type, enabled=False):
            products = x @ self.weight[ctx.layer].mT.to(x.dtype)
        return F.logsigmoid(products + self.bias[ctx.layer]).mT

    def log_gate(
        self, options: ForgettingGateOptions, ctx: AttentionContext
    ) -> Float[Tensor, "batch heads q kv"]:
        log_forget = self.log_forget(ctx)
        upto = _cumulative_sums(log_forget)
        before = upto - log_forget
        back = upto[..., :, None] - upto[..., None, :]
        ahead = before[..., None, :] - before[..., :, None]
        behind = ctx.request.kv_idx <= ctx.request.q_idx[:, None]
        # Padding lies behind every real position, so no sum between two of them meets it.
        cost = -torch.where(behind, back, ahead).clamp(max=0.0)
        return -float(options.strength) * apply_amount(self.amount[ctx.layer, :, None, None], cost)


def _cumulative_sums(values: Float[Tensor, "*rows n"]) -> Float[Tensor, "*rows n"]:
    """Return the sums up to and with every position; a GPU has no reproducible `cumsum` of floating-point numbers."""
    n = values.shape[-1]
    with torch.autocast(values.device.type, enabled=False):
        return values @ values.new_ones(n, n).triu()


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

    def selected(self, options: SelectiveOptions, ctx: AttentionContext) -> Float[Tensor, "batch q kv"]:
        """Return s: how much every position selects every key, at least 0."""
        r = ctx.request
        query, key = r.query[:, options.head], r.key[:, options.head]
        scores = (query @ key.mT).to(torch.promote_types(query.dtype, torch.float32))
        may = (r.kv_idx < r.q_idx[:, None]) & (r.kv_idx > 0)
        return torch.relu(scores * query.shape[-1] ** -0.5) * may

    def bias(self, options: SelectiveOptions, ctx: AttentionContext) -> Float[Tensor, "batch 1 q kv"]:
        selected = self.selected(options, ctx)
        earlier = selected.new_ones(len(ctx.request.q_idx), len(ctx.request.q_idx)).tril(-1)
        # Sums over earlier queries, as a product: a GPU has no reproducible `cumsum` of floating-point numbers.
        with torch.autocast(selected.device.type, enabled=False):
            return -float(options.strength) * (earlier @ selected)[:, None]
