"""Masks on the training loss: which target tokens count."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from pydantic import model_validator
from torch import Tensor

from maskbench.config.schema.experiment import Refresh
from maskbench.masks.base import LossMask, StrategyOptions
from maskbench.masks.context import LossContext, Sizes
from maskbench.masks.schedules import Radius, RatioEach
from maskbench.masks.strategies.inputs.token_selection import CountRule, num_to_mask, pick_units
from maskbench.registry import MASKS


class LossTokensOptions(StrategyOptions):
    """How many target tokens are left out, and which."""

    ratio: RatioEach | None = None
    """With `random` and `highest`: share of a sentence's target tokens, the end mark among them, that is left out."""
    count: CountRule = "rounded"
    """`rounded`, `floor`, `ceil`, `at_least_one` or `bernoulli`; see `tokens`."""
    choose: Literal["random", "highest", "prefix"] = "random"
    """Which are left out: drawn at random, those with the highest loss at present, or the first ones."""
    first: Radius | None = None
    """With `prefix`: how many tokens at the start are left out."""

    @model_validator(mode="after")
    def _check_consistency(self) -> LossTokensOptions:
        if self.choose == "prefix":
            if self.first is None or self.ratio is not None:
                raise ValueError("choose: prefix takes `first`, the number of tokens left out, and no ratio")
        elif self.ratio is None or self.first is not None:
            raise ValueError(f"choose: {self.choose} takes a ratio and no `first`")
        if self.choose == "highest" and self.count == "bernoulli":
            raise ValueError("count: highest ranks the tokens; use another count than bernoulli")
        return self


@MASKS.register("loss_tokens")
class LossTokens(LossMask):
    """A share of the target tokens is left out of the training loss; the model still reads them.

    weight(t) = 0 for picked tokens, 1 for the others; the loss is the mean over those that are kept, and a sentence
    may be left out entirely. `highest` leaves out what the model finds hardest in each sentence (the paper ranks whole
    sentences over a batch; within a sentence, batch-mates cannot matter); of equal losses the earlier goes first.
    Nothing is hidden from the model, and a reported nll counts every token.
    """

    sites = frozenset({"loss"})
    stochastic = True
    default_refresh = Refresh(per="example")
    source = "Kang & Hashimoto 2020 (loss truncation, arXiv:2004.14589), for `highest`"
    Options = LossTokensOptions
    example = LossTokensOptions(ratio=0.3)

    def __init__(self, options: LossTokensOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        self.reads_losses = options.choose == "highest"
        self.stochastic = options.choose != "prefix"

    def weights(self, options: LossTokensOptions, ctx: LossContext) -> Float[Tensor, "batch len"]:
        return (ctx.real & ~self._picked(options, ctx)).float()

    def _picked(self, options: LossTokensOptions, ctx: LossContext) -> Bool[Tensor, "#batch len"]:
        positions = torch.arange(ctx.real.shape[1], device=ctx.real.device)
        if options.choose == "prefix":
            assert options.first is not None  # the options were checked
            return positions[None] < torch.as_tensor(options.first, device=positions.device)
        assert (
            ctx.draws is not None and options.ratio is not None
        )  # the plan always draws; the options were checked
        if options.choose == "random":
            return pick_units(ctx.real, options.ratio, options.count, ctx.draws, positions)[0]
        wanted = num_to_mask(ctx.real.sum(1, keepdim=True), options.ratio, options.count, ctx.draws)
        losses = ctx.losses().masked_fill(~ctx.real, -torch.inf)
        hardest_first = losses.argsort(dim=1, descending=True, stable=True)
        picked: Tensor = hardest_first.argsort(dim=1) < wanted
        return picked
