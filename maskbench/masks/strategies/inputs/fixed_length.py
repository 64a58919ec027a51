"""`fixed_length`: pads or cuts every source to one length."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool
from pydantic import Field
from torch import Tensor

from maskbench.data.vocabulary import PAD
from maskbench.errors import ConfigError, CorpusError
from maskbench.masks.base import StrategyOptions, TokenMask
from maskbench.masks.context import Sizes, TokenContext, TokenInput
from maskbench.registry import MASKS


class FixedLengthOptions(StrategyOptions):
    """The length, and what happens to sentences that have another one."""

    length: int = Field(ge=2)
    """Tokens of every source, the end mark among them."""
    overflow: Literal["truncate", "refuse"] = "truncate"
    """A longer source loses the tokens before its end mark, or stops the run."""
    pad: Literal["hidden", "visible"] = "hidden"
    """Whether the padding of a shorter source is hidden, or can be attended to like words."""


@MASKS.register("fixed_length")
class FixedLength(TokenMask):
    """Every source is padded or cut to one length, as a mask of fixed size needs it.

    A source of n tokens keeps the first length - 1 and its end mark if n > length, and gets length - n padding tokens
    if n < length. With `pad: hidden` nothing is changed for a source that fits; with `pad: visible` the padding counts
    as part of the sentence, in the encoder and for the decoder's cross-attention, so what it does to a source that fits
    is what masking by true lengths is worth. The realised ratio of this mask is the share of words cut off.
    """

    sites = frozenset({"encoder_input"})
    depends_on = frozenset({"length"})
    default_phases = ("train", "eval")
    source = (
        "Vaswani et al. 2017 (arXiv:1706.03762) hide padding; the fixed size is the articles' static mask"
    )
    Options = FixedLengthOptions
    example = FixedLengthOptions(length=6)

    def __init__(self, options: FixedLengthOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        if options.length > sizes.max_length:
            raise ConfigError(
                f"fixed_length: length {options.length} is more than the {sizes.max_length} positions of the model, "
                f"the longest sequence of the corpus; use at most {sizes.max_length}"
            )

    def change(
        self, options: FixedLengthOptions, ctx: TokenContext
    ) -> tuple[TokenInput, Bool[Tensor, "batch len"]]:
        lengths = ctx.lengths
        if options.overflow == "refuse":
            _refuse_longer(options.length, ctx)
        columns = torch.arange(options.length, device=lengths.device)
        kept = lengths.clamp(max=options.length)[:, None]
        ends = columns == kept - 1
        taken = torch.where(ends, lengths[:, None] - 1, columns.expand(len(lengths), -1))
        taken = taken.masked_fill(columns >= kept, -1)
        padded = kept[:, 0] if options.pad == "hidden" else torch.full_like(lengths, options.length)
        here = torch.arange(ctx.current.ids.shape[1], device=lengths.device)
        cut = (
            (here >= options.length - 1) & (here < lengths[:, None] - 1) & (lengths[:, None] > options.length)
        )
        return ctx.current.rearranged(taken, padded, PAD), cut & ctx.eligible


def _refuse_longer(length: int, ctx: TokenContext) -> None:
    """Check that every source has at most `length` tokens.

    Raises:
        CorpusError: one is longer; it names the first.
    """
    longer = (ctx.lengths > length).nonzero().flatten().tolist()
    if longer:
        row = longer[0]
        example = "" if ctx.examples is None else f" {int(ctx.examples[row])}"
        raise CorpusError(
            f"fixed_length: the source of example{example} has {int(ctx.lengths[row])} tokens with its end mark, more "
            f"than length {length}; raise length, or say `overflow: truncate`"
        )
