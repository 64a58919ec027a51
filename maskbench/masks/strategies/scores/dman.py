"""`dman`: the dynamic mask attention network, a learned gate over distances, heads and queries."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn

from maskbench.masks.base import SELF_SITES, ScoreGate, StrategyOptions
from maskbench.masks.context import AttentionContext, Sizes
from maskbench.masks.schedules import Strength
from maskbench.masks.strategies.scores.gate_functions import log_gate
from maskbench.registry import MASKS


class DmanOptions(StrategyOptions):
    """What the gate knows."""

    max_distance: int = Field(64, ge=1)
    """Greater distances share the term of this one."""
    query_term: bool = True
    """Whether the query's own state enters: without it the gate is the same in every sentence."""
    strength: Strength = 1.0
    """Multiplies the log-gate."""


@MASKS.register("dman")
class Dman(ScoreGate):
    """Every pair is gated by how far apart it is, by the head and by what the query is.

    gate(h, i, j) = sigmoid(w . x_i + P(i - j) + U_h) ^ a_h, inside the softmax; P(0) is fixed at 0 and w, P and U are
    each layer's own. An amount a_h of 1 is the published gate; it starts at 0, so that step 0 equals the model without
    it exactly. The query's term is the same for all keys, yet acts, because it stands inside the sigmoid. Its authors
    used it in the encoder for translation.
    """

    sites = SELF_SITES
    depends_on = frozenset({"parameters", "input"})
    starts_as_identity = True
    source = "Fan et al. 2021 (mask attention networks, arXiv:2103.13597)"
    Options = DmanOptions
    example = DmanOptions(max_distance=6)

    def __init__(self, options: DmanOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        n_layers = sizes.layers(site)
        self.amount = nn.Parameter(torch.zeros(n_layers, sizes.n_heads))
        # Keys ahead at distances max_distance to 1, then keys behind at 1 to max_distance.
        self.distance = nn.Parameter(torch.zeros(n_layers, 2 * options.max_distance))
        self.head = nn.Parameter(torch.zeros(n_layers, sizes.n_heads))
        self.query = nn.Parameter(torch.zeros(n_layers, sizes.d_model)) if options.query_term else None

    def log_gate(self, options: DmanOptions, ctx: AttentionContext) -> Float[Tensor, "#batch heads q kv"]:
        r = ctx.request
        logits = self._logits(options, ctx.layer, r.q_idx, r.kv_idx)[None]
        if self.query is not None:
            # A product and a sum: a matrix product would lose precision under autocast.
            per_query = (r.x.to(self.query.dtype) * self.query[ctx.layer]).sum(-1)
            logits = logits + per_query[:, None, :, None]
        return float(options.strength) * log_gate(self.amount[ctx.layer][:, None, None], logits)

    def _logits(
        self, options: DmanOptions, layer: int, q_idx: Int[Tensor, "q"], kv_idx: Int[Tensor, "kv"]
    ) -> Float[Tensor, "heads q kv"]:
        """Return P(i - j) + U_h."""
        reach, table = options.max_distance, self.distance[layer]
        table = torch.cat([table[:reach], table.new_zeros(1), table[reach:]])
        behind = (q_idx[:, None] - kv_idx).clamp(-reach, reach)
        return table[behind + reach] + self.head[layer][:, None, None]

    @torch.no_grad()
    def picture(self, options: DmanOptions, layer: int, n: int) -> Float[Tensor, "heads n n"]:
        index = torch.arange(n, device=self.distance.device)
        logits = self._logits(options, layer, index, index)
        return (float(options.strength) * log_gate(self.amount[layer][:, None, None], logits)).exp()
