"""Masks on the model's output: which target tokens count in the loss, and which words it may say."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from maskbench.config.schema import Refresh
from maskbench.data.vocabulary import SPECIAL_NAMES, UNK
from maskbench.errors import ConfigError
from maskbench.masks.base import LogitMask, LossMask, StrategyOptions
from maskbench.masks.clock import Clock
from maskbench.masks.context import LossContext, Sizes
from maskbench.masks.draws import Draws
from maskbench.masks.picking import CountRule, pick
from maskbench.masks.schedules import Ratio
from maskbench.registry import MASKS


class LossTokensOptions(StrategyOptions):
    """How many target tokens are left out."""

    ratio: Ratio
    """Share of the target tokens, the end mark among them, that the loss leaves out."""
    count: CountRule = "rounded"
    """`rounded` or `bernoulli`; see `tokens`."""


@MASKS.register("loss_tokens")
class LossTokens(LossMask):
    """A share of the target tokens is left out of the training loss; the model still reads them.

    weight(t) = 0 for picked tokens, 1 for the others; the loss is the mean over those that are kept. Nothing is hidden
    from the model, and a reported nll counts every token.
    """

    sites = frozenset({"loss"})
    stochastic = True
    default_refresh = Refresh(per="example")
    source = "Kang & Hashimoto 2020 (loss truncation, arXiv:2004.14589), with random choice"
    Options = LossTokensOptions
    example = LossTokensOptions(ratio=0.3)

    def weights(self, at: LossTokensOptions, ctx: LossContext) -> Float[Tensor, "batch len"]:
        assert ctx.draws is not None  # stochastic: the plan always draws
        positions = torch.arange(ctx.real.shape[1], device=ctx.real.device)
        picked, _ = pick(ctx.real, at.ratio, at.count, ctx.draws, positions)
        return (ctx.real & ~picked).float()


class BanTokensOptions(StrategyOptions):
    """Which words are banned."""

    tokens: list[str] = Field(min_length=1)
    """Vocabulary entries, as the vocabulary writes them; `<unk>` among them."""


@MASKS.register("ban_tokens")
class BanTokens(LogitMask):
    """The listed words get probability 0: they are never produced.

    score(v) = -inf for banned v. In training the gold token is never banned, so a banned word that the reference has
    is still learned; the reported nll never uses the mask.
    """

    sites = frozenset({"logits"})
    default_phases = ("train", "eval")
    source = "Wolf et al. 2020 (bad-words processing in Transformers, arXiv:1910.03771)"
    Options = BanTokensOptions
    example = BanTokensOptions(tokens=["<unk>"])

    def __init__(self, options: BanTokensOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        ids = {token: UNK if token == SPECIAL_NAMES[UNK] else sizes.id_of(token) for token in options.tokens}
        unknown = [token for token, i in ids.items() if i is None]
        if unknown:
            raise ConfigError(
                f"ban_tokens: the vocabulary has no entry {', '.join(map(repr, unknown))}; "
                "give entries as the vocabulary writes them (with BPE, pieces of words)"
            )
        allowed = torch.ones(sizes.vocab_size, dtype=torch.bool)
        allowed[[i for i in ids.values() if i is not None]] = False
        self.register_buffer("keep", allowed, persistent=False)

    def allowed(self, at: BanTokensOptions, clock: Clock, draws: Draws | None) -> Bool[Tensor, "vocab"]:
        return self.get_buffer("keep")
