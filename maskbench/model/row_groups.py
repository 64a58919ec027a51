"""Rows of a decoding batch in groups by sentence, so that the rows of a sentence share its keys and values.

Beam search translates one sentence in several rows. Attention to the encoder's output then needs one product
per sentence, with its rows as queries, instead of one product per row, with its own copy of the keys.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, slots=True)
class RowGroups:
    """Which sentence each row translates."""

    sentence: Int[Tensor, "rows"]
    """Index of each row's sentence, in [0, `n_sentences`)."""
    n_sentences: int
    width: int
    """The largest number of rows of one sentence."""
    slots: Int[Tensor, "rows"] | None
    """Place of each row in a table of `n_sentences` x `width` rows; None where the rows are this table."""

    @classmethod
    def of(cls, sentence: Int[Tensor, "rows"], n_sentences: int) -> RowGroups | None:
        """Return the groups of rows; None where row i translates sentence i and no sentence has two rows.

        Args:
            sentence: index of each row's sentence, in any order.
            n_sentences: number of sentences; those without a row count.
        """
        counts = sentence.bincount(minlength=n_sentences)
        width = int(counts.max()) if len(sentence) else 0
        order = sentence.argsort(stable=True)
        first = counts.cumsum(0) - counts
        place = torch.empty_like(sentence)
        here = torch.arange(len(sentence), device=sentence.device)
        place[order] = here - first[sentence[order]]
        slots = sentence * width + place
        is_table = len(sentence) == n_sentences * width and torch.equal(slots, here)
        if is_table and width == 1:
            return None
        return cls(sentence, n_sentences, width, None if is_table else slots)

    def multiply(
        self, rows: Float[Tensor, "rows heads q n"], shared: Float[Tensor, "sentences heads n m"]
    ) -> Float[Tensor, "rows heads q m"]:
        """Return `rows[i] @ shared[sentence[i]]` for every row i."""
        _, heads, q, n = rows.shape
        if self.slots is not None:
            table = rows.new_zeros(self.n_sentences * self.width, heads, q, n)
            rows = table.index_copy_(0, self.slots, rows)
        # [sentences*width heads q n] -> [sentences heads width*q n]: the rows of a sentence are queries of
        # one product.
        folded = rows.view(self.n_sentences, self.width, heads, q, n).transpose(1, 2).flatten(2, 3)
        product = (folded @ shared).view(self.n_sentences, heads, self.width, q, shared.shape[-1])
        product = product.transpose(1, 2).flatten(0, 1)
        return product if self.slots is None else product.index_select(0, self.slots)
