"""Changed copies of test inputs: other words in padding or in other rows, more padding, one row alone, another order."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F

from maskbench.model_audit.inputs import Inputs, PaddedTokens, Side, other_words


def with_other_padding(inputs: Inputs, side: Side, words: tuple[int, int]) -> Inputs:
    """Return the inputs with ordinary words in the padding of one side; what is real does not change."""
    tokens = inputs.of(side)
    column = torch.arange(tokens.length).expand_as(tokens.ids)
    return inputs.change(side, tokens.with_words(~tokens.real, words[0] + column % words[1]))


def with_more_padding(inputs: Inputs, side: Side, columns: int, pad: int) -> Inputs:
    """Return the inputs with more columns of padding at the end of one side."""
    tokens = inputs.of(side)
    ids, real = F.pad(tokens.ids, (0, columns), value=pad), F.pad(tokens.real, (0, columns))
    return inputs.change(side, PaddedTokens(ids, real))


def with_other_mates(inputs: Inputs, row: int, words: tuple[int, int]) -> Inputs:
    """Return the inputs with other sentences of the same lengths in all rows but `row`."""
    here = torch.arange(inputs.batch) == row
    others = torch.where(here, inputs.sentences, inputs.sentences + inputs.batch)
    inputs, same = replace(inputs, examples=others), here[:, None]
    for side in inputs.sides:
        tokens = inputs.of(side)
        other = other_words(tokens.ids, words, 3)
        inputs = inputs.change(side, tokens.with_words(~same & tokens.real, other))
    return inputs


def row_alone(inputs: Inputs, row: int, multiple: int = 1) -> Inputs:
    """Return one row as a batch of its own, without the columns that are padding in it.

    Args:
        multiple: lengths stay multiples of this.
    """
    one = inputs.rows(torch.tensor([row]))
    for side in one.sides:
        tokens = one.of(side)
        columns = tokens.real[0].nonzero().flatten()
        start, end = int(columns[0]), int(columns[-1]) + 1
        end = min(tokens.length, start + -(-(end - start) // multiple) * multiple)
        one = one.change(side, tokens.columns(start, end))
    return one


def with_shifted_start(inputs: Inputs, side: Side) -> Inputs:
    """Return the inputs with the padding of one side before the tokens instead of behind them, or the other way round."""
    tokens = inputs.of(side)
    order = torch.argsort(
        tokens.real.int() if bool(tokens.real[:, 0].all()) else (~tokens.real).int(), stable=True
    )
    return inputs.change(side, PaddedTokens(tokens.ids.gather(1, order), tokens.real.gather(1, order)))
