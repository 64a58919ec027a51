"""Masks on the embeddings or the encoder's output: zeroed features, and a channel that marks hidden words."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from pydantic import model_validator
from torch import Tensor, nn

from maskbench.config.schema.experiment import Refresh
from maskbench.masks.base import INPUT_SITES, InputFeature, StrategyOptions, TensorGate
from maskbench.masks.context import GateContext, Sizes, TokenInput
from maskbench.masks.random_draws import Draws
from maskbench.masks.schedules import RatioEach
from maskbench.masks.strategies.inputs.token_selection import bernoulli, broadcast_ratio
from maskbench.masks.strategies.inputs.token_units import SpanOptions, draw_running_spans
from maskbench.registry import MASKS


class FeatureDropoutOptions(StrategyOptions):
    """How much is set to zero, in which pieces."""

    ratio: RatioEach = 0.1
    """Share that is set to zero."""
    granularity: Literal["feature", "token", "span", "channel"] = "feature"
    """What is zeroed at once: a number, a token's vector, the vectors of a span, or one feature of every token."""
    span: SpanOptions | None = None
    """With `granularity: span`: how long spans of tokens are."""
    rescale: bool = False
    """Whether what stays is divided by 1 - ratio, so that the mean does not change."""

    @model_validator(mode="after")
    def _check_consistency(self) -> FeatureDropoutOptions:
        if self.granularity != "span" and self.span is not None:
            raise ValueError(f"span: describes spans, but granularity is {self.granularity}; leave it out")
        if self.span is not None and self.span.of != "token":
            raise ValueError("span: of: vectors have no words; use token")
        return self


@MASKS.register("feature_dropout")
class FeatureDropout(TensorGate):
    """A random share of the embeddings, or of the encoder's output, is set to zero.

    X' = X * M with M in {0, 1}, drawn for each example, position and feature (`granularity`); with `rescale`,
    M in {0, 1 / (1 - ratio)}. At an input X is word plus position, so a zeroed token tells not even where it stands,
    but it can still be attended to (`tokens` with `replace: zero` leaves the position). A share of the numbers is not a
    share of the words: a feature mask hides no word entirely.
    """

    sites = INPUT_SITES | {"memory"}
    stochastic = True
    default_refresh = Refresh(per="example")
    default_phases = ("train",)
    source = "Srivastava et al. 2014 (dropout, JMLR 15); Shen et al. 2020 (token, span and feature cutoff, arXiv:2009.13818)"
    Options = FeatureDropoutOptions
    example = FeatureDropoutOptions(ratio=0.3)

    def gate(
        self, options: FeatureDropoutOptions, tensor: Float[Tensor, "batch len width"], ctx: GateContext
    ) -> Float[Tensor, "#batch #len #width"]:
        assert ctx.draws is not None  # stochastic: the plan always draws
        kept = (~_zeroed(options, ctx.positions, tensor.shape[2], ctx.draws)).to(tensor.dtype)
        if not options.rescale:
            return kept
        rest = 1 - torch.as_tensor(options.ratio, dtype=torch.float64, device=tensor.device).reshape(-1, 1, 1)
        # With ratio 1 everything is zero and nothing is rescaled.
        return kept / torch.where(rest > 0, rest, 1.0).to(tensor.dtype)


def _zeroed(
    options: FeatureDropoutOptions, positions: Tensor, width: int, draws: Draws
) -> Bool[Tensor, "#batch #len #width"]:
    """Return True on what is set to zero."""
    if options.granularity == "span":
        chances = torch.tensor(
            (options.span or SpanOptions()).length_probabilities(),
            dtype=torch.float64,
            device=positions.device,
        )
        return draw_running_spans(positions, options.ratio, chances, draws)[0][..., None]
    if options.granularity == "token":
        return bernoulli(draws.words(positions, positions * 0)[0], broadcast_ratio(options.ratio))[..., None]
    # A draw gives four words, so it serves four features.
    fours = torch.arange((width + 3) // 4, device=positions.device)
    one_for_all = options.granularity == "channel"
    places = positions[:1] * 0 if one_for_all else positions
    words = torch.stack(draws.words(places[:, None], fours[None]), dim=-1).flatten(2)[..., :width]
    ratio = options.ratio[:, None, None] if isinstance(options.ratio, Tensor) else options.ratio
    return bernoulli(words, ratio)


class ConcatFeatureOptions(StrategyOptions):
    """There is nothing to set."""


@MASKS.register("concat_feature")
class ConcatFeature(InputFeature):
    """The embeddings get one more channel, 1 where a word is shown and 0 where a token mask at the site hid it.

    x' = [x, m] projected back to d_model, which is x + W m for a projection that starts as the identity on x: W starts
    at 0, so step 0 equals the model without it exactly. Nothing is hidden by it: what to do with the channel is
    learned. It also acts in evaluation, where every word is shown. Without a token mask at the site the channel is 1
    everywhere, and W a learned offset.
    """

    sites = INPUT_SITES
    depends_on = frozenset({"parameters", "input"})
    default_phases = ("train", "eval")
    starts_as_identity = True
    source = "Yoon et al. 2018 (GAIN, arXiv:1806.02920), whose generator is given the mask beside the data"
    Options = ConcatFeatureOptions
    example = ConcatFeatureOptions()

    def __init__(self, options: ConcatFeatureOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        self.channel = nn.Parameter(torch.zeros(sizes.d_model))

    def feature(
        self, options: ConcatFeatureOptions, x: Float[Tensor, "batch len d_model"], tokens: TokenInput
    ) -> Float[Tensor, "batch len d_model"]:
        shown = torch.ones_like(tokens.ids, dtype=torch.bool)
        for hidden in (tokens.picked, tokens.zeroed):
            shown = shown if hidden is None else shown & ~hidden
        return shown[..., None] * self.channel.to(x.dtype)
