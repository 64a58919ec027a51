"""Token sequences of an audited model, and changed copies of them.

Axes: batch, len. `real` is True at tokens and False at padding, everywhere. Lengths of source and target, batch size and
widths all differ, so that an axis of a tensor is recognised by its length.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor

Side = Literal["source", "target"]


@dataclass(frozen=True, slots=True)
class PaddedTokens:
    """Token sequences of one length, with padding."""

    ids: Int[Tensor, "batch len"]
    real: Bool[Tensor, "batch len"]
    """True at tokens, False at padding."""

    @property
    def length(self) -> int:
        """Number of columns, padding included."""
        return self.ids.shape[1]

    @property
    def lengths(self) -> Int[Tensor, "batch"]:
        """Number of tokens of every row."""
        return self.real.sum(1)

    @property
    def positions(self) -> Int[Tensor, "batch len"]:
        """Position of every token among the real ones of its row, from 0; 0 in padding before them."""
        return (self.real.cumsum(1) - 1).clamp(min=0)

    @property
    def has_padding(self) -> bool:
        """Whether some column of some row is padding."""
        return not bool(self.real.all())

    def rows(self, index: Int[Tensor, "rows"]) -> PaddedTokens:
        """Return some rows, in the order of `index`; a row may occur several times."""
        return PaddedTokens(self.ids[index], self.real[index])

    def with_words(self, chosen: Bool[Tensor, "#batch #len"], ids: Int[Tensor, "batch len"]) -> PaddedTokens:
        """Return the tokens with those of `ids` where `chosen` is True; what is real does not change."""
        return PaddedTokens(torch.where(chosen, ids, self.ids), self.real)

    def columns(self, start: int, end: int) -> PaddedTokens:
        """Return the columns from `start` to before `end`."""
        return PaddedTokens(self.ids[:, start:end].contiguous(), self.real[:, start:end].contiguous())


@dataclass(frozen=True, slots=True)
class Inputs:
    """Input of a model: the tokens that predictions are made for, and the source where the model has one."""

    target: PaddedTokens
    source: PaddedTokens | None = None
    examples: Int[Tensor, "batch"] | None = None
    """Which test sentence every row is, for a model that draws by sentence; rows with other words are other sentences. None:
    0, 1, 2 and so on."""

    def of(self, side: Side) -> PaddedTokens:
        """Return the tokens of one side.

        Raises:
            ValueError: the model has no source.
        """
        tokens = self.target if side == "target" else self.source
        if tokens is None:
            raise ValueError("these inputs have no source")
        return tokens

    def change(self, side: Side, tokens: PaddedTokens) -> Inputs:
        """Return the inputs with other tokens on one side."""
        return replace(self, target=tokens) if side == "target" else replace(self, source=tokens)

    def rows(self, index: Int[Tensor, "rows"]) -> Inputs:
        """Return some rows of both sides."""
        source = None if self.source is None else self.source.rows(index)
        return Inputs(self.target.rows(index), source, self.sentences[index])

    def cloned(self) -> Inputs:
        """Return the inputs with tensors of their own."""

        def own(tokens: PaddedTokens) -> PaddedTokens:
            return PaddedTokens(tokens.ids.clone(), tokens.real.clone())

        return Inputs(
            own(self.target), None if self.source is None else own(self.source), self.sentences.clone()
        )

    @property
    def sentences(self) -> Int[Tensor, "batch"]:
        """Which test sentence every row is."""
        return torch.arange(self.batch) if self.examples is None else self.examples

    @property
    def sides(self) -> tuple[Side, ...]:
        """The sides that there are."""
        return ("target",) if self.source is None else ("target", "source")

    @property
    def batch(self) -> int:
        """Number of rows."""
        return len(self.target.ids)


def make_tokens(lengths: tuple[int, ...], vocab: tuple[int, int], pad: int, *, salt: int) -> PaddedTokens:
    """Return token sequences of these lengths; neighbouring tokens of a row differ.

    Args:
        vocab: first id of an ordinary token, and the number of them.
        pad: id written into padding.
        salt: other numbers give other tokens.
    """
    first, n = vocab
    longest = max(lengths)
    place = torch.arange(longest)
    row = torch.arange(len(lengths))[:, None]
    ids = first + (place * (2 * row + 3) + 5 * row + 7 * salt + place * place % 5) % n
    size = torch.tensor(lengths)[:, None]
    real = place < size
    return PaddedTokens(torch.where(real, ids, pad), real)


def other_words(
    ids: Int[Tensor, "batch len"], vocab: tuple[int, int], shift: int
) -> Int[Tensor, "batch len"]:
    """Return ids of ordinary tokens, at every place another one than in `ids`.

    Args:
        vocab: first id of an ordinary token, and the number of them (at least 2).
        shift: at least 0; other shifts give other tokens.
    """
    first, n = vocab
    return first + (ids - first + 1 + shift % (n - 1)) % n


def stack(parts: list[Inputs]) -> Inputs:
    """Return inputs of equal shapes as one batch."""

    def joined(sides: list[PaddedTokens]) -> PaddedTokens:
        return PaddedTokens(torch.cat([t.ids for t in sides]), torch.cat([t.real for t in sides]))

    target = joined([part.target for part in parts])
    sources = [part.source for part in parts if part.source is not None]
    sentences = torch.cat([part.sentences for part in parts])
    return Inputs(target, joined(sources) if sources else None, sentences)
