"""Score biases by distance: `t5_bias`, learned for buckets of distances, and `alibi`, a fixed slope for each head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field, model_serializer, model_validator
from torch import Tensor, nn

from maskbench.config.schema.experiment import ModelConfig, PlacementConfig
from maskbench.masks.base import SELF_SITES, ScoreBias, StrategyOptions
from maskbench.masks.context import AttentionContext, Sizes
from maskbench.masks.schedules import Strength
from maskbench.registry import MASKS


def distance_bucket(distance: int, buckets: int, max_distance: int) -> int:
    """Return which of `buckets` a distance falls into: one for each of the near ones, then ever wider ones.

    With e = buckets // 2, a distance d below e has bucket d; beyond, the bucket is
    e + floor((buckets - e) * log(d / e) / log(max_distance / e)), at most buckets - 1. Computed in whole numbers, so
    that no rounded logarithm moves an edge.

    Args:
        distance: in positions, at least 0.
        buckets: at least 2.
        max_distance: from here on all distances share the last bucket; greater than `buckets // 2`.
    """
    exact = buckets // 2
    if distance < exact:
        return distance
    wide = buckets - exact
    steps = 0
    # (distance / exact) ** wide >= (max_distance / exact) ** (steps + 1), without the fractions.
    while steps + 1 < wide and (
        distance**wide * exact ** (steps + 1) >= max_distance ** (steps + 1) * exact**wide
    ):
        steps += 1
    return exact + steps


class T5BiasOptions(StrategyOptions):
    """How distances are grouped."""

    buckets: int = Field(8, ge=4, le=256)
    """Groups of distances; at encoder_self one half is for keys before the query and one for keys after it."""
    max_distance: int = Field(16, ge=3, le=10_000)
    """All distances from here on share the last group, in positions."""

    @model_validator(mode="after")
    def _check_consistency(self) -> T5BiasOptions:
        if self.max_distance <= self.buckets // 2:
            raise ValueError(
                f"max_distance must exceed buckets // 2 = {self.buckets // 2}, the distances that have a bucket of "
                f"their own; got {self.max_distance}"
            )
        return self


@MASKS.register("t5_bias")
class T5Bias(ScoreBias):
    """Every head learns a bias for every bucket of distances, near ones told apart more finely than far ones.

    bias(h, i, j) = b_h[bucket(j - i)]. At encoder_self keys before and after the query have buckets of their own, in
    the causal decoder all buckets are for keys before it. Every layer learns a table, where the paper has one for all
    layers. Tables start at 0, so step 0 equals the model without it exactly.
    """

    sites = SELF_SITES
    depends_on = frozenset({"parameters"})
    starts_as_identity = True
    source = "Raffel et al. 2020 (T5, arXiv:1910.10683)"
    Options = T5BiasOptions
    example = T5BiasOptions()

    def __init__(self, options: T5BiasOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        self.two_sided = site == "encoder_self"
        own = options.buckets // 2 if self.two_sided else options.buckets
        back = torch.tensor([distance_bucket(d, own, options.max_distance) for d in range(sizes.max_length)])
        ahead = back + own if self.two_sided else torch.zeros_like(back)
        # Indexed by j - i from the most negative to the most positive; 0 counts as behind.
        self.register_buffer("bucket_of", torch.cat([back.flip(0), ahead[1:]]), persistent=False)
        self.table = nn.Parameter(torch.zeros(sizes.layers(site), options.buckets, sizes.n_heads))

    @classmethod
    def check(cls, site: str, options: T5BiasOptions, placement: PlacementConfig, model: ModelConfig) -> None:
        super().check(site, options, placement, model)
        if site == "encoder_self" and options.buckets % 2:
            raise ValueError(f"buckets must be even at {site}, one half for each side; got {options.buckets}")

    def buckets(self, ctx: AttentionContext) -> Int[Tensor, "q kv"]:
        """Return the bucket of every pair."""
        ahead = ctx.request.kv_idx - ctx.request.q_idx[:, None]
        found: Tensor = self.get_buffer("bucket_of")[ahead + self.sizes.max_length - 1]
        return found

    def bias(self, options: T5BiasOptions, ctx: AttentionContext) -> Float[Tensor, "1 heads q kv"]:
        return self.table[ctx.layer][self.buckets(ctx)].permute(2, 0, 1)[None]


class AlibiOptions(StrategyOptions):
    """How steep the penalty is, and by which rule the heads' slopes differ."""

    scale: Strength = 1.0
    """Multiplies every head's slope; 0 is no bias."""
    slopes: Literal["formula", "code"] = "formula"
    """`formula`: the paper's text, 2^(-8 (h + 1) / n_heads). `code`: the authors' program, which differs from it where
    n_heads is no power of two (`code_slopes`)."""

    @model_serializer(mode="wrap")
    def _without_default_slopes(self, dump: Callable[[Any], Any]) -> dict[str, Any]:
        """Leave out the default of `slopes`, so that runs from before the option keep their identity."""
        fields: dict[str, Any] = dump(self)
        if self.slopes == "formula":
            fields.pop("slopes", None)
        return fields


def code_slopes(h: Int[Tensor, "*axes"], n_heads: int) -> Float[Tensor, "*axes"]:
    """Return the slopes of heads `h`, from 0, by `get_slopes` of ofirpress/attention_with_linear_biases.

    With p the largest power of two up to `n_heads`: the first p heads have the formula's slopes for p heads, the others
    the first, third, fifth, ... of its slopes for 2 p heads. For a power of two these are the formula's slopes.
    """
    power = 1 << (n_heads.bit_length() - 1)
    shares = torch.where(h < power, (h + 1) / power, (2 * (h - power) + 1) / (2 * power))
    return torch.exp2(-8.0 * shares)


@MASKS.register("alibi")
class Alibi(ScoreBias):
    """Every head subtracts its own slope times the distance: a soft window, and a position signal.

    bias(h, i, j) = -scale * slope(h) * |i - j|. In the causal decoder this is the published form; in the encoder the
    symmetric one. The paper has slope(h) = 2^(-8 (h + 1) / n_heads) (`slopes: formula`); its authors' code has other
    slopes where n_heads is no power of two, such as 6 or 12 (`slopes: code`).
    """

    sites = SELF_SITES
    by_pair = True
    source = "Press et al. 2022 (arXiv:2108.12409): `slopes: formula` the text, `slopes: code` its authors' program"
    Options = AlibiOptions
    example = AlibiOptions()

    def bias(self, options: AlibiOptions, ctx: AttentionContext) -> Float[Tensor, "1 heads q kv"]:
        _, h, q_idx, kv_idx = ctx.indices()
        slopes = torch.exp2(-8.0 * (h + 1) / ctx.n_heads)
        if options.slopes == "code":
            slopes = code_slopes(h, ctx.n_heads)
        bias = -float(options.scale) * slopes * (q_idx - kv_idx).abs()
        # bfloat16 would round the larger distances away.
        return bias.to(torch.promote_types(ctx.request.query.dtype, torch.float32))
