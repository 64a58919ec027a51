"""Hiding words before they enter the encoder or the decoder."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool
from pydantic import Field, model_validator
from torch import Tensor

from maskbench.config.schema import ModelConfig, PlacementConfig, Refresh
from maskbench.data.vocabulary import MASK, N_SPECIAL
from maskbench.masks.base import INPUT_SITES, StrategyOptions, TokenMask
from maskbench.masks.context import Sizes, TokenContext, TokenInput
from maskbench.masks.picking import CountRule, pick
from maskbench.masks.schedules import Ratio
from maskbench.registry import MASKS


class Replacement(StrategyOptions):
    """What becomes of a picked token: shares that sum to 1."""

    mask: float = Field(1.0, ge=0, le=1)
    """The mask token takes its place."""
    random: float = Field(0.0, ge=0, le=1)
    """A word drawn uniformly from the vocabulary takes its place."""
    keep: float = Field(0.0, ge=0, le=1)
    """It stays (and still counts as picked)."""
    zero: float = Field(0.0, ge=0, le=1)
    """Its embedding is set to zeros; its position can still be attended to."""

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        """Read `replace: random` as `{random: 1}`; of a given mix, what is not named is 0."""
        if isinstance(value, str):
            if value not in cls.model_fields:
                raise ValueError(
                    f"must be one of {', '.join(cls.model_fields)} or a mix of them, got {value!r}"
                )
            value = {value: 1.0}
        return {"mask": 0.0, **value} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _whole(self) -> Replacement:
        if abs(self.mask + self.random + self.keep + self.zero - 1) > 1e-9:
            raise ValueError("the shares of mask, random, keep and zero must sum to 1")
        return self


class TokensOptions(StrategyOptions):
    """How many tokens are hidden, and how."""

    ratio: Ratio
    """Share of the eligible tokens that is picked."""
    replace: Replacement = Replacement(mask=1.0)
    """`mask`, `random`, `keep`, `zero`, or a mix such as {mask: 0.8, random: 0.1, keep: 0.1}."""
    count: CountRule | None = None
    """`rounded` (the default at the encoder) or `bernoulli` (the default, and the only rule, at the decoder)."""


@MASKS.register("tokens")
class Tokens(TokenMask):
    """A share of the words of every sentence is hidden from the encoder or the decoder; the labels stay.

    Of n eligible tokens, r n are picked on average (`count`), and replaced by the mask token, a random word, nothing,
    or a zero embedding. Padding, sentence marks and the mask token itself are never picked. How often a new mask is
    drawn is the placement's `refresh`: one variant is a static mask, ten are BERT's copies, unlimited is RoBERTa's
    dynamic masking.
    """

    sites = INPUT_SITES
    stochastic = True
    default_refresh = Refresh(per="example")
    source = "Devlin et al. 2019 (BERT, arXiv:1810.04805); Liu et al. 2019 (RoBERTa, arXiv:1907.11692)"
    Options = TokensOptions
    example = TokensOptions(ratio=0.3)

    def __init__(self, options: TokensOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        self.count: CountRule = options.count or ("rounded" if site == "encoder_input" else "bernoulli")

    @classmethod
    def check(cls, site: str, options: TokensOptions, placement: PlacementConfig, model: ModelConfig) -> None:
        super().check(site, options, placement, model)
        if site == "decoder_input" and options.count == "rounded":
            raise ValueError(
                "count: rounded needs the sentence's length, which the decoder may not know; use bernoulli"
            )

    def change(self, at: TokensOptions, ctx: TokenContext) -> tuple[TokenInput, Bool[Tensor, "batch len"]]:
        assert ctx.draws is not None  # stochastic: the plan always draws
        picked, (fate, word) = pick(ctx.eligible, at.ratio, self.count, ctx.draws, ctx.positions)
        mix = at.replace
        # One uniform number decides a picked token's fate: [mask | random | zero | keep].
        to_mask = picked & (fate < round(mix.mask * 2**32))
        to_random = picked & ~to_mask & (fate < round((mix.mask + mix.random) * 2**32))
        to_zero = picked & ~to_mask & ~to_random & (fate < round((mix.mask + mix.random + mix.zero) * 2**32))
        drawn = N_SPECIAL + word % (self.sizes.vocab_size - N_SPECIAL)
        ids = torch.where(to_random, drawn, ctx.current.ids.masked_fill(to_mask, MASK))
        before = ctx.current.zeroed
        if mix.zero:
            before = to_zero if before is None else before | to_zero
        return TokenInput(ids, before, ctx.current.picked), picked
