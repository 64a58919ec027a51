"""Random dropout in attention during training: of weights, pairs, keys, heads or source words.

Every draw is keyed by the example, the visit, the layer and the positions. So no draw depends on a length or on the
rest of the batch, a resumed run repeats the same draws, and two views of a batch differ.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from maskbench.config.schema.experiment import ModelConfig, PlacementConfig, Refresh
from maskbench.data.padding import are_real
from maskbench.masks.base import (
    ATTENTION_SITES,
    AttentionMask,
    HeadGate,
    MaskMod,
    StrategyOptions,
    WeightMask,
)
from maskbench.masks.context import AttentionContext
from maskbench.masks.random_draws import below
from maskbench.masks.schedules import scheduled
from maskbench.registry import MASKS, Preset, register_preset

DropRate: TypeAlias = scheduled(False, 0.0, 0.95)  # type: ignore[valid-type]
"""A probability of being dropped: below 1, so that what is left can be scaled up; or a schedule."""


class DropOptions(StrategyOptions):
    """How much is dropped."""

    rate: DropRate = 0.1
    """The probability of being dropped, in [0, 0.95]."""


def random_words_per_head(
    ctx: AttentionContext, a: Int[Tensor, "a"], b: Int[Tensor, "b"]
) -> Int[Tensor, "examples_or_1 heads a b"]:
    """Return a word in [0, 2**32) for every head and pair of positions, a different one in every layer."""
    assert ctx.draws is not None  # stochastic: the plan always draws
    # Layer and head enter above the positions. A draw has four words, so it serves four heads.
    groups = torch.arange((ctx.n_heads + 3) // 4, device=a.device)
    row = a[:, None] + (ctx.layer + 1) * 2**16
    column = b + (groups[:, None, None] + 1) * 2**16
    four = torch.stack(ctx.draws.words(row[None], column), dim=2)
    return four.flatten(1, 2)[:, : ctx.n_heads]


@MASKS.register("attention_dropout")
class AttentionDropout(WeightMask):
    """Every attention weight is set to zero with probability `rate`, and those that stay are scaled up.

    factor(h, i, j) = 0 with probability rate, else 1 / (1 - rate): 1 on average. A row of weights then need not sum
    to one. The same as the model's own dropout on the weights, but with schedules, layers, heads and a refresh.
    """

    sites = ATTENTION_SITES
    stochastic = True
    default_refresh = Refresh(per="example")
    source = "Srivastava et al. 2014 (dropout); Vaswani et al. 2017 (on attention weights)"
    Options = DropOptions
    example = DropOptions(rate=0.3)

    def factors(self, options: DropOptions, ctx: AttentionContext) -> Float[Tensor, "#batch heads q kv"]:
        r = ctx.request
        stays = ~below(random_words_per_head(ctx, r.q_idx, r.kv_idx), options.rate)
        return stays.to(r.query.dtype) / (1 - float(options.rate))


class DropAttentionOptions(DropOptions):
    """How much is dropped, and in what pieces."""

    unit: Literal["element", "column"] = "element"
    """`element`: pairs of a query and a key; `column`: keys, for all queries of the head alike."""
    span: int = Field(1, ge=1, le=16)
    """Neighbouring keys that are dropped together; at any span a key is dropped with probability `rate`."""


@MASKS.register("drop_attention")
class DropAttention(AttentionMask):
    """Pairs, or whole keys, are dropped at random before the softmax, so the weights of the others still sum to one.

    Dropping weights and dividing by what is left is the same. A dropped span begins at a position with probability
    1 - (1 - rate)^(1 / span), and may begin before the first. Drawn for every example, layer and head. A query whose
    keys are all dropped reads nothing, as under dropout: a rule that spares one would favour some keys.
    """

    sites = ATTENTION_SITES
    stochastic = True
    default_refresh = Refresh(per="example")
    default_phases = ("train",)
    may_empty_rows = True
    sliceable = True
    source = "Zehui et al. 2019 (DropAttention, arXiv:1907.11065)"
    Options = DropAttentionOptions
    example = DropAttentionOptions(rate=0.3)

    def mask_mod(self, options: DropAttentionOptions, ctx: AttentionContext) -> MaskMod:
        begins = 1 - (1 - options.rate) ** (1 / options.span)

        def keep(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
            queries, keys = q_idx.flatten(), kv_idx.flatten()
            rows = queries if options.unit == "element" else torch.zeros_like(queries[:1])
            # Position j is dropped by a span that begins at j - span + 1 .. j; moved up, no position is negative.
            dropped = [
                below(random_words_per_head(ctx, rows, keys + back), begins) for back in range(options.span)
            ]
            stays = ~torch.stack(dropped).any(0)[:, h.flatten()]
            return stays.expand(-1, -1, len(queries), -1)

        return keep

    def density(self, options: DropAttentionOptions, q_len: int, kv_len: int) -> float | None:
        """The expected density: every pair stays with probability 1 - rate."""
        return 1 - float(options.rate)


register_preset(
    "drop_key",
    Preset(
        "drop_attention",
        {"unit": "element", "span": 1, "rate": {"per_layer": [0.2, 0.0]}},
        ATTENTION_SITES,
        "Keys are dropped before the softmax, for every query and head by itself, less in every further layer.",
        "Li et al. 2023 (DropKey, CVPR)",
    ),
)


@MASKS.register("drop_head")
class DropHead(HeadGate):
    """Whole heads are dropped at random, and those that stay are scaled up to make up for them.

    gate(h) = 0 with probability rate, else n_heads / (heads that stay): 1 on average. Drawn for every example and
    layer. One head always stays: where all would be dropped, a random one.
    """

    sites = ATTENTION_SITES
    stochastic = True
    default_refresh = Refresh(per="example")
    default_phases = ("train",)
    source = "Zhou et al. 2020 (DropHead, arXiv:2004.13342)"
    Options = DropOptions
    example = DropOptions(rate=0.3)

    @classmethod
    def check(cls, site: str, options: DropOptions, placement: PlacementConfig, model: ModelConfig) -> None:
        super().check(site, options, placement, model)
        if placement.heads != "all":
            raise ValueError("heads: drop_head chooses among all heads of a layer; leave heads out")

    def head_gate(self, options: DropOptions, ctx: AttentionContext) -> Float[Tensor, "#batch heads"]:
        assert ctx.draws is not None  # stochastic: the plan always draws
        heads = torch.arange(ctx.n_heads, device=ctx.request.q_idx.device)
        words = ctx.draws.words(torch.full_like(heads, ctx.layer), heads)[0]
        stays = ~below(words, options.rate) | (words == words.amax(-1, keepdim=True))
        return stays.to(ctx.request.query.dtype) * (ctx.n_heads / stays.sum(-1, keepdim=True))


@MASKS.register("memory_dropout")
class MemoryDropout(AttentionMask):
    """Source tokens are hidden from the decoder at random: from all its queries, heads and layers alike.

    Every source token, its end mark among them, is hidden with probability `rate`. Where that would hide the whole
    sentence, nothing is hidden.
    """

    sites = frozenset({"cross"})
    depends_on = frozenset({"length"})
    stochastic = True
    default_refresh = Refresh(per="example")
    default_phases = ("train",)
    source = "Wang 2020 (x-transformers, cross_attn_tokens_dropout), after Hinton et al. 2012 (dropout)"
    Options = DropOptions
    example = DropOptions(rate=0.3)

    def mask_mod(self, options: DropOptions, ctx: AttentionContext) -> MaskMod:
        def keep(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
            stays = self._stays(options, ctx, kv_idx.flatten())
            return stays[:, None, None].expand(-1, -1, q_idx.numel(), -1)

        return keep

    @staticmethod
    def _stays(
        options: DropOptions, ctx: AttentionContext, kv_idx: Int[Tensor, "kv"]
    ) -> Bool[Tensor, "examples_or_batch kv"]:
        assert ctx.draws is not None  # stochastic: the plan always draws
        stays = ~below(ctx.draws.words(kv_idx, torch.zeros_like(kv_idx))[0], options.rate)
        lengths = ctx.request.src_lengths
        real = torch.ones_like(stays) if lengths is None else are_real(kv_idx, lengths)
        return stays | ~(stays & real).any(-1, keepdim=True)

    def density(self, options: DropOptions, q_len: int, kv_len: int) -> float | None:
        """The expected density: a sentence of which all would be hidden counts as kept."""
        return 1 - float(options.rate) + float(options.rate) ** kv_len
