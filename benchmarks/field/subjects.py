"""Subjects of models that are called with token ids and a mask of padding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from maskbench.model_audit.adapters.outputs import first_tensor, scores_for
from maskbench.model_audit.inputs import Inputs
from maskbench.model_audit.subject import ModelSubject

WORDS = 60
"""Number of words of the small models."""
LONGEST = 48
"""Longest sentence that they are asked, in tokens."""


class _Masked(ModelSubject):
    """A model that takes token ids and, under a name of its own, a mask that is True at tokens."""

    def __init__(self, module: nn.Module, mask: str = "mask", **further: Any) -> None:
        super().__init__(module.eval(), **{"vocab_size": WORDS, "max_length": LONGEST, **further})
        self._mask = mask

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the scores at every position."""
        tokens = inputs.target
        found = self.module(tokens.ids, **({self._mask: tokens.real} if self.padding else {}))
        return scores_for(tokens.ids, first_tensor(found))


class MaskedDecoder(_Masked):
    """A decoder; with `padding=()` it is called without a mask."""

    kind = "decoder"


class MaskedEncoder(_Masked):
    """An encoder; with `padding=()` it is called without a mask."""

    kind = "encoder"


class WithWords(nn.Module):
    """A package's layers, which take vectors `[batch len width]`, between a table of words and a head."""

    def __init__(self, layers: nn.Module, width: int) -> None:
        super().__init__()
        self.words, self.layers, self.head = nn.Embedding(WORDS, width), layers, nn.Linear(width, WORDS)

    def forward(self, ids: Tensor, **how: Any) -> Tensor:
        """Return the scores at every position."""
        found = self.layers(self.words(ids), **how)
        vectors: Tensor = found if isinstance(found, torch.Tensor) else found[0]
        scores: Tensor = self.head(vectors)
        return scores
