"""Word embeddings, position embeddings and the output projection."""

from __future__ import annotations

import math
from typing import Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskbench.errors import CorpusError
from maskbench.masks.context import TokenInput


class EmbeddingTable(nn.Module):
    """A table with one learned vector per entry."""

    def __init__(self, entries: int, d_model: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(entries, d_model))


class WordEmbeddings(nn.Module):
    """Source embeddings, target embeddings and output projection: one matrix if `tied`, else three."""

    def __init__(self, vocab_size: int, d_model: int, tied: bool) -> None:
        super().__init__()
        names = ["shared"] if tied else ["src", "tgt", "output"]
        self.tables = nn.ModuleDict({name: EmbeddingTable(vocab_size, d_model) for name in names})
        self.tied = tied

    def table(self, side: Literal["src", "tgt", "output"]) -> Float[Tensor, "vocab d_model"]:
        """Return the matrix of `side`."""
        return cast(EmbeddingTable, self.tables["shared" if self.tied else side]).weight

    def embed(self, side: Literal["src", "tgt"], inputs: TokenInput) -> Float[Tensor, "batch len d_model"]:
        """Return the embedding of every token times sqrt(d_model), 0 where `inputs.zeroed` is True."""
        table = self.table(side)
        words = F.embedding(inputs.ids, table)
        if inputs.zeroed is not None:
            words = words.masked_fill(inputs.zeroed[..., None], 0.0)
        return words * math.sqrt(table.shape[-1])

    def logits(self, hidden: Float[Tensor, "*rows d_model"]) -> Float[Tensor, "*rows vocab"]:
        """Return one score per vocabulary entry, before the softmax."""
        return F.linear(hidden, self.table("output"))


def sinusoids(n: int, d_model: int) -> Float[Tensor, "n d_model"]:
    """Return sinusoidal position vectors (Vaswani et al. 2017, section 3.5).

    Sines in even columns, cosines in odd columns, wavelengths 2 pi to 20,000 pi.
    """
    rates = 10_000.0 ** (-torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)
    angles = torch.arange(n, dtype=torch.float64)[:, None] * rates
    waves = torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)
    return waves[:, :d_model].float()


class PositionEmbedding(nn.Module):
    """Adds a position vector to each word embedding: sinusoidal, learned, or none."""

    def __init__(self, kind: Literal["sinusoidal", "learned", "none"], max_length: int, d_model: int) -> None:
        super().__init__()
        self.max_length = max_length
        self.learned = EmbeddingTable(max_length, d_model) if kind == "learned" else None
        self.waves: Tensor | None
        waves = sinusoids(max_length, d_model) if kind == "sinusoidal" else None
        self.register_buffer("waves", waves, persistent=False)

    def forward(
        self, x: Float[Tensor, "batch len d_model"], start: int
    ) -> Float[Tensor, "batch len d_model"]:
        """Return `x` plus the position vectors; its first column has position `start`.

        Raises:
            CorpusError: the sequence is longer than the model's `max_length`.
        """
        end = start + x.shape[1]
        if end > self.max_length:
            raise CorpusError(
                f"a sequence of {end} tokens, but this model was built for at most {self.max_length} (the longest "
                "of the corpus it was trained on); shorten the sentence or train with a corpus that has longer ones"
            )
        table = self.waves if self.learned is None else self.learned.weight
        return x if table is None else x + table[start:end]
