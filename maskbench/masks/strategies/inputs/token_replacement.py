"""How picked tokens are replaced: by the mask token, a random word, zeros, themselves, or nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Int
from pydantic import Field, model_validator
from torch import Tensor

from maskbench.data.vocabulary import MASK, N_SPECIAL, PAD
from maskbench.masks.base import StrategyOptions
from maskbench.masks.context import TokenInput


class Replacement(StrategyOptions):
    """What becomes of a picked token: shares that sum to 1.

    Every token (of a span: every span) draws its fate by itself, so in a small corpus the realised shares vary.
    """

    mask: float = Field(1.0, ge=0, le=1)
    """The mask token takes its place."""
    random: float = Field(0.0, ge=0, le=1)
    """A word drawn uniformly from the vocabulary takes its place."""
    keep: float = Field(0.0, ge=0, le=1)
    """It stays (and still counts as picked)."""
    zero: float = Field(0.0, ge=0, le=1)
    """Its embedding is set to zeros; its position can still be attended to."""
    delete: float = Field(0.0, ge=0, le=1)
    """It is taken out, and what follows moves up; at `encoder_input` only."""

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
    def _check_consistency(self) -> Replacement:
        if abs(self.mask + self.random + self.keep + self.zero + self.delete - 1) > 1e-9:
            raise ValueError("the shares of mask, random, keep, zero and delete must sum to 1")
        return self


@dataclass(frozen=True, slots=True)
class PickedTokens:
    """Which tokens a mask picked, and the random words that decide how each is replaced."""

    picked: Bool[Tensor, "batch len"]
    begins: Bool[Tensor, "batch len"]
    """True on the first picked token of every unit: the one that stays where a unit becomes a single mask token."""
    fate: Int[Tensor, "#batch len"]
    """Decides between the shares of a mix; one word for the tokens that share their fate."""
    word: Int[Tensor, "#batch len"]
    """Decides which random word takes a token's place."""


def replace_tokens(
    current: TokenInput, chosen: PickedTokens, mix: Replacement, vocab_size: int
) -> TokenInput:
    """Return the input with the picked tokens replaced; tokens to delete are still in it."""
    ids = current.ids
    to_mask = chosen.picked & _between(chosen.fate, 0.0, mix.mask)
    to_random = chosen.picked & _between(chosen.fate, mix.mask, mix.mask + mix.random)
    drawn = N_SPECIAL + chosen.word % (vocab_size - N_SPECIAL)
    ids = torch.where(to_random, drawn, ids.masked_fill(to_mask, MASK))
    zeroed = current.zeroed
    if mix.zero:
        low = mix.mask + mix.random
        to_zero = chosen.picked & _between(chosen.fate, low, low + mix.zero)
        zeroed = to_zero if zeroed is None else zeroed | to_zero
    return replace(current, ids=ids, zeroed=zeroed)


def tokens_to_delete(chosen: PickedTokens, mix: Replacement) -> Bool[Tensor, "batch len"]:
    """Return True on the picked tokens that `mix` deletes."""
    low = mix.mask + mix.random + mix.zero
    return chosen.picked & _between(chosen.fate, low, low + mix.delete)


def delete_tokens(
    tokens: TokenInput,
    dropped: Bool[Tensor, "batch len"],
    picked: Bool[Tensor, "batch len"],
    lengths: Int[Tensor, "batch"],
) -> TokenInput:
    """Return the input without the dropped tokens; later tokens move up, and the width shrinks to the longest sentence.

    Args:
        dropped: real tokens only; marks, the end mark among them, never are.
        picked: what is marked as picked before columns move.
    """
    left = lengths - dropped.sum(1)
    order = dropped.long().argsort(dim=1, stable=True)[:, : int(left.max())]
    columns = torch.arange(order.shape[1], device=order.device)
    marked = replace(tokens, picked=picked if tokens.picked is None else tokens.picked | picked)
    return marked.rearranged(order.masked_fill(columns >= left[:, None], -1), left, PAD)


def _between(words: Tensor, low: float, high: float) -> Tensor:
    """Return True for random words in the part [low, high) of their range."""
    return (words >= round(low * 2**32)) & (words < round(high * 2**32))
