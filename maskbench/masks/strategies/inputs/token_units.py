"""Units that are picked as one: tokens, words with all their pieces, and spans.

The length of a span counts tokens or words. Where the number to mask is known, spans of drawn lengths are laid out
at random until that number is reached, as in SpanBERT (Joshi et al. 2020, arXiv:1907.10529) and BART (Lewis et al. 2020,
arXiv:1910.13461), whose spans have no length 0 here. Otherwise, at the decoder, every position may start a span
by itself, so that no pick depends on later tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from maskbench.masks.base import StrategyOptions
from maskbench.masks.random_draws import Draws
from maskbench.masks.strategies.inputs.token_selection import bernoulli

_LENGTH_DRAW, _ORDER_DRAW, _START_DRAW = 2, 3, 4
"""Second counters of the draws of spans; `token_selection` uses 0 and 1."""
_HALVINGS = 40


@dataclass(frozen=True, slots=True)
class Units:
    """How the eligible tokens of a batch are grouped into units that are picked as one."""

    eligible: Bool[Tensor, "batch len"]
    starts: Bool[Tensor, "batch len"]
    """True on the first token of every unit."""

    @classmethod
    def from_tokens(cls, eligible: Bool[Tensor, "batch len"]) -> Units:
        """Return units of one token each."""
        return cls(eligible, eligible)

    @classmethod
    def from_words(
        cls,
        eligible: Bool[Tensor, "batch len"],
        ids: Int[Tensor, "batch len"],
        edges: Bool[Tensor, "5 vocab"],
    ) -> Units:
        """Return words: a token continues a word unless it starts one or the token before it is not eligible.

        Args:
            eligible: tokens that may be picked.
            ids: the tokens.
            edges: the rows of `Edge` for every entry of the vocabulary.
        """
        leads, continues, bare, ends, holds = edges[:, ids]
        columns = torch.arange(ids.shape[1], device=ids.device)
        # Whether the character before is a word of its own, the last token says that has more than marks.
        ends = ends.gather(1, torch.where(bare, 0, columns).cummax(1).values)
        starts = (leads | (_shifted(ends) & ~continues)) & ~_shifted(holds)
        return cls(eligible, eligible & (starts | ~_shifted(eligible)))

    def unit_indices(self) -> Int[Tensor, "batch len"]:
        """Return the index of each token's unit in its sentence, from 0; meaningless where no token is eligible."""
        return (self.starts.cumsum(1) - 1).clamp(min=0)

    def expand_to_tokens(self, picked: Bool[Tensor, "batch len"]) -> Bool[Tensor, "batch len"]:
        """Return True on every token of the units whose first token is picked."""
        columns = torch.arange(picked.shape[1], device=picked.device)
        first = torch.where(self.starts, columns, 0).cummax(1).values
        return self.eligible & picked.gather(1, first)


def _shifted(flags: Bool[Tensor, "batch len"]) -> Bool[Tensor, "batch len"]:
    """Return the flag of the token before, False for the first."""
    return F.pad(flags[:, :-1], (1, 0))


class SpanOptions(StrategyOptions):
    """How long spans are."""

    lengths: Literal["geometric", "poisson", "fixed"] = "geometric"
    """How their lengths are drawn; a length of 0 or above `max` never is, and the rest keep their proportions."""
    mean: float = Field(3.0, ge=1)
    """Mean length before that cut: 1/p of a geometric law, lambda of a Poisson law, the length itself if `fixed`."""
    max: int = Field(10, ge=1, le=100)
    """The longest length."""
    of: Literal["token", "word"] = "token"
    """What is counted: tokens, or words with all their pieces."""

    @model_validator(mode="after")
    def _check_consistency(self) -> SpanOptions:
        if self.lengths == "fixed" and (self.mean > self.max or not self.mean.is_integer()):
            raise ValueError(
                f"mean is the length of fixed spans: a whole number of at most max ({self.max}), got {self.mean:g}"
            )
        return self

    def length_probabilities(self) -> list[float]:
        """Return the probabilities of the lengths 1 to `max`."""
        lengths = range(1, self.max + 1)
        if self.lengths == "fixed":
            raw = [float(n == self.mean) for n in lengths]
        elif self.lengths == "geometric":
            raw = [(1 / self.mean) * (1 - 1 / self.mean) ** (n - 1) for n in lengths]
        else:
            raw = [math.exp(n * math.log(self.mean) - self.mean - math.lgamma(n + 1)) for n in lengths]
        return [chance / sum(raw) for chance in raw]


def draw_lengths(words: Int[Tensor, "*any"], chances: Float[Tensor, "longest"]) -> Int[Tensor, "*any"]:
    """Return a span length for every random word, by the probabilities of the lengths 1, 2, ..."""
    bounds = (chances.cumsum(0)[:-1] * 2**32).round().long()
    return 1 + torch.bucketize(words, bounds, right=True)


def lay_out_spans(
    n: Int[Tensor, "batch 1"],
    num_to_mask: Int[Tensor, "batch 1"],
    chances: Float[Tensor, "longest"],
    draws: Draws,
    width: int,
) -> Int[Tensor, "batch width"]:
    """Return for each of `width` places the number of the span that covers it, -1 where none does.

    Lengths are drawn until they sum to `num_to_mask`; the last one is cut to fit. Then the spans and the free places
    are put in random order, all orders equally likely; two spans may touch.

    Args:
        n: places of each sentence, at most `width`; none beyond them is covered.
        num_to_mask: places to cover in each sentence.
    """
    items = torch.arange(width, device=n.device)
    lengths = draw_lengths(draws.words(items, items * 0 + _LENGTH_DRAW)[0], chances)
    lengths = torch.minimum(lengths, (num_to_mask - (lengths.cumsum(1) - lengths)).clamp(min=0))
    spans = (lengths > 0).sum(1, keepdim=True)
    count = n - num_to_mask + spans
    order_words = draws.words(items, items * 0 + _ORDER_DRAW)[0].expand(lengths.shape)
    order = order_words.masked_fill(items >= count, 2**32).argsort(dim=1, stable=True)
    sizes = torch.where(items < spans, lengths, 1).gather(1, order)
    begins = (sizes.cumsum(1) - sizes).masked_fill(items >= count, width)
    marks = torch.zeros(len(n), width + 1, dtype=torch.int64, device=n.device).scatter(1, begins, 1)
    covering = order.gather(1, (marks[:, :width].cumsum(1) - 1).clamp(min=0))
    return torch.where((covering < spans) & (items < n), covering, -1)


def span_start_probability(
    ratio: float | Float[Tensor, "batch"], chances: Float[Tensor, "longest"]
) -> Float[Tensor, "_ 1"]:
    """Return the probability with which a span must begin at each place so that `ratio` of the places are covered.

    A place is free if no span that began d places back is longer than d: 1 - ratio = prod over d (1 - q P(length > d)),
    solved for q by halving.
    """
    wanted = torch.as_tensor(ratio, dtype=torch.float64, device=chances.device).reshape(-1, 1)
    longer = chances.flip(0).cumsum(0).flip(0)
    low, high = torch.zeros_like(wanted), torch.ones_like(wanted)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        short = (1 - middle * longer).prod(1, keepdim=True) > 1 - wanted
        low, high = torch.where(short, middle, low), torch.where(short, high, middle)
    return high


def draw_running_spans(
    places: Int[Tensor, "places"],
    ratio: float | Float[Tensor, "batch"],
    chances: Float[Tensor, "longest"],
    draws: Draws,
) -> tuple[Bool[Tensor, "_ places"], Int[Tensor, "_ places"]]:
    """Return which of consecutive places lie in a span, and a random word of the span that began last.

    Spans begin at every place by themselves, also at places before the first, so each place is covered with
    probability `ratio` exactly; the result at a place depends on the draws alone.
    """
    longest, n = len(chances), len(places)
    back = torch.arange(longest - 1, device=places.device)
    # Counters are shifted, because places before the first have none.
    counters = torch.cat([places[:1] + 1 + back, places + longest])
    start, length, fate, _ = draws.words(counters, counters * 0 + _START_DRAW)
    begins = bernoulli(start, span_start_probability(ratio, chances))
    lengths, fate = draw_lengths(length, chances).expand(begins.shape), fate.expand(begins.shape)
    covered = torch.zeros(len(begins), n, dtype=torch.bool, device=places.device)
    of_span = torch.zeros(len(begins), n, dtype=torch.int64, device=places.device)
    for d in range(longest):
        here = slice(longest - 1 - d, longest - 1 - d + n)
        reaches = begins[:, here] & (lengths[:, here] > d)
        of_span = torch.where(reaches & ~covered, fate[:, here], of_span)
        covered = covered | reaches
    return covered, of_span


def assign_spans(
    units: Units,
    num_to_mask: Int[Tensor, "batch 1"],
    chances: Float[Tensor, "longest"],
    draws: Draws,
) -> Int[Tensor, "batch len"]:
    """Return for every token the number of the span that covers it, -1 where none does, for a known number to mask."""
    width = units.starts.shape[1]
    spans = lay_out_spans(units.starts.sum(1, keepdim=True), num_to_mask, chances, draws, width)
    return spans.gather(1, units.unit_indices()).masked_fill(~units.eligible, -1)


def pick_running_spans(
    units: Units,
    positions: Int[Tensor, "len"],
    ratio: float | Float[Tensor, "batch"],
    spans: SpanOptions,
    draws: Draws,
) -> tuple[Bool[Tensor, "batch len"], Int[Tensor, "batch len"]]:
    """Return the tokens covered by spans that start independently, and a random word of each token's span.

    Spans of tokens are keyed by position, spans of words by the index of the word, which depends on earlier tokens
    only.
    """
    chances = torch.tensor(spans.length_probabilities(), dtype=torch.float64, device=positions.device)
    by_word = spans.of == "word"
    places = torch.arange(len(positions), device=positions.device) if by_word else positions
    covered, fate = (
        found.expand(units.eligible.shape) for found in draw_running_spans(places, ratio, chances, draws)
    )
    if by_word:
        numbers = units.unit_indices()
        covered, fate = covered.gather(1, numbers), fate.gather(1, numbers)
    return units.eligible & covered, fate
