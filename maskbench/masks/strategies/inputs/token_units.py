"""What is picked as one: tokens, words (all their pieces) and spans.

A span's places are counted over tokens or over words. Under a quota, spans of drawn lengths are laid out at random
until the quota is used up, as in SpanBERT (Joshi et al. 2020, arXiv:1907.10529) and BART (Lewis et al. 2020,
arXiv:1910.13461), whose spans have no length 0 here. Without one, a span may begin anywhere by itself and runs on, so
that nothing depends on what comes later: that is what a decoder may have.
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
from maskbench.masks.strategies.inputs.token_selection import chance

_LENGTH_DRAW, _ORDER_DRAW, _START_DRAW = 2, 3, 4
"""Second counters of the draws that only spans need (0 and 1 are those of `picking`)."""
_HALVINGS = 40


@dataclass(frozen=True, slots=True)
class Units:
    """How the eligible tokens of a batch fall into units that are picked as one."""

    eligible: Bool[Tensor, "batch len"]
    heads: Bool[Tensor, "batch len"]
    """True on the first token of every unit."""

    @classmethod
    def tokens(cls, eligible: Bool[Tensor, "batch len"]) -> Units:
        """Return every eligible token as a unit of its own."""
        return cls(eligible, eligible)

    @classmethod
    def words(
        cls,
        eligible: Bool[Tensor, "batch len"],
        ids: Int[Tensor, "batch len"],
        starts_word: Bool[Tensor, "vocab"],
    ) -> Units:
        """Return words: a token belongs to the word before it unless it starts one or what precedes is not eligible."""
        before = F.pad(eligible[:, :-1], (1, 0))
        return cls(eligible, eligible & (starts_word[ids] | ~before))

    def numbers(self) -> Int[Tensor, "batch len"]:
        """Return the number of each token's unit in its sentence, from 0; no meaning where nothing is eligible."""
        return (self.heads.cumsum(1) - 1).clamp(min=0)

    def spread(self, picked: Bool[Tensor, "batch len"]) -> Bool[Tensor, "batch len"]:
        """Return True on every token of the units whose first token is picked."""
        columns = torch.arange(picked.shape[1], device=picked.device)
        first = torch.where(self.heads, columns, 0).cummax(1).values
        return self.eligible & picked.gather(1, first)


class Spans(StrategyOptions):
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
    def _whole(self) -> Spans:
        if self.lengths == "fixed" and (self.mean > self.max or not self.mean.is_integer()):
            raise ValueError(
                f"mean is the length of fixed spans: a whole number of at most max ({self.max}), got {self.mean:g}"
            )
        return self

    def chances(self) -> list[float]:
        """Return the probabilities of the lengths 1 to `max`."""
        lengths = range(1, self.max + 1)
        if self.lengths == "fixed":
            raw = [float(n == self.mean) for n in lengths]
        elif self.lengths == "geometric":
            raw = [(1 / self.mean) * (1 - 1 / self.mean) ** (n - 1) for n in lengths]
        else:
            raw = [math.exp(n * math.log(self.mean) - self.mean - math.lgamma(n + 1)) for n in lengths]
        return [chance / sum(raw) for chance in raw]


def drawn_lengths(words: Int[Tensor, "*any"], chances: Float[Tensor, "longest"]) -> Int[Tensor, "*any"]:
    """Return a span length for every random word, by the probabilities of the lengths 1, 2, ..."""
    bounds = (chances.cumsum(0)[:-1] * 2**32).round().long()
    return 1 + torch.bucketize(words, bounds, right=True)


def laid_out(
    n: Int[Tensor, "batch 1"],
    quota: Int[Tensor, "batch 1"],
    chances: Float[Tensor, "longest"],
    draws: Draws,
    width: int,
) -> Int[Tensor, "batch width"]:
    """Return for each of `width` places the number of the span that covers it, -1 where none does.

    Lengths are drawn until they use up the quota, the last one cut to fit. Then the spans and the places that stay
    free are put in random order, all orders equally likely; two spans may touch.

    Args:
        n: places of each sentence, at most `width`; none beyond them is covered.
        quota: how many of them are covered in all.
    """
    items = torch.arange(width, device=n.device)
    lengths = drawn_lengths(draws.words(items, items * 0 + _LENGTH_DRAW)[0], chances)
    lengths = torch.minimum(lengths, (quota - (lengths.cumsum(1) - lengths)).clamp(min=0))
    spans = (lengths > 0).sum(1, keepdim=True)
    count = n - quota + spans
    order_words = draws.words(items, items * 0 + _ORDER_DRAW)[0].expand(lengths.shape)
    order = order_words.masked_fill(items >= count, 2**32).argsort(dim=1, stable=True)
    sizes = torch.where(items < spans, lengths, 1).gather(1, order)
    begins = (sizes.cumsum(1) - sizes).masked_fill(items >= count, width)
    marks = torch.zeros(len(n), width + 1, dtype=torch.int64, device=n.device).scatter(1, begins, 1)
    covering = order.gather(1, (marks[:, :width].cumsum(1) - 1).clamp(min=0))
    return torch.where((covering < spans) & (items < n), covering, -1)


def start_chance(
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


def running(
    places: Int[Tensor, "places"],
    ratio: float | Float[Tensor, "batch"],
    chances: Float[Tensor, "longest"],
    draws: Draws,
) -> tuple[Bool[Tensor, "_ places"], Int[Tensor, "_ places"]]:
    """Return which of consecutive places lie in a span, and a random word of the span that began last.

    Spans begin at every place by themselves, also at places before the first, so each place is covered with
    probability `ratio` exactly; what holds at a place depends on the draws alone.
    """
    longest, n = len(chances), len(places)
    back = torch.arange(longest - 1, device=places.device)
    # Counters are shifted, because places before the first have none.
    counters = torch.cat([places[:1] + 1 + back, places + longest])
    start, length, fate, _ = draws.words(counters, counters * 0 + _START_DRAW)
    begins = chance(start, start_chance(ratio, chances))
    lengths, fate = drawn_lengths(length, chances).expand(begins.shape), fate.expand(begins.shape)
    covered = torch.zeros(len(begins), n, dtype=torch.bool, device=places.device)
    of_span = torch.zeros(len(begins), n, dtype=torch.int64, device=places.device)
    for d in range(longest):
        here = slice(longest - 1 - d, longest - 1 - d + n)
        reaches = begins[:, here] & (lengths[:, here] > d)
        of_span = torch.where(reaches & ~covered, fate[:, here], of_span)
        covered = covered | reaches
    return covered, of_span


def in_spans(
    units: Units,
    quotas: Int[Tensor, "batch 1"],
    chances: Float[Tensor, "longest"],
    draws: Draws,
) -> Int[Tensor, "batch len"]:
    """Return for every token the number of the span it was picked in, -1 where it was not: spans under a quota."""
    width = units.heads.shape[1]
    spans = laid_out(units.heads.sum(1, keepdim=True), quotas, chances, draws, width)
    return spans.gather(1, units.numbers()).masked_fill(~units.eligible, -1)


def in_running_spans(
    units: Units,
    positions: Int[Tensor, "len"],
    ratio: float | Float[Tensor, "batch"],
    spans: Spans,
    draws: Draws,
) -> tuple[Bool[Tensor, "batch len"], Int[Tensor, "batch len"]]:
    """Return the tokens that lie in spans which begin by themselves, and a random word of each token's span.

    Spans of tokens are counted by position; spans of words by the number of the word, which a token knows from those
    before it.
    """
    chances = torch.tensor(spans.chances(), dtype=torch.float64, device=positions.device)
    by_word = spans.of == "word"
    places = torch.arange(len(positions), device=positions.device) if by_word else positions
    covered, fate = (found.expand(units.eligible.shape) for found in running(places, ratio, chances, draws))
    if by_word:
        numbers = units.numbers()
        covered, fate = covered.gather(1, numbers), fate.gather(1, numbers)
    return units.eligible & covered, fate
