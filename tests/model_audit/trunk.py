"""A decoder of any mixers, and how it is called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mixers import WIDTH, Heads
from torch import Tensor, nn

from maskbench.model_audit.inputs import Inputs
from maskbench.model_audit.subject import ModelSubject

WORDS, LONGEST = 40, 40

Spoil = Callable[["Trunk", Tensor, Tensor], Tensor]
"""A fault: from the trunk, its vectors [batch len width] and the ids to other vectors."""


class Trunk(nn.Module):
    """Words, places, layers of a mixer and a small network each, and scores."""

    def __init__(
        self,
        mixers: Sequence[nn.Module],
        *,
        norm: type[nn.Module] = nn.LayerNorm,
        post_norm: bool = False,
        places: bool = True,
        tied: bool = False,
        dropout: float = 0.1,
        spoil: Spoil | None = None,
        spoil_scores: Spoil | None = None,
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.places = nn.Embedding(LONGEST, WIDTH) if places else None
        self.mixers = nn.ModuleList(mixers)
        self.norms = nn.ModuleList(norm(WIDTH) for _ in range(2 * len(mixers)))
        self.inner = nn.ModuleList(nn.Linear(WIDTH, 2 * WIDTH) for _ in mixers)
        self.outer = nn.ModuleList(nn.Linear(2 * WIDTH, WIDTH) for _ in mixers)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(WIDTH, WORDS, bias=False)
        if tied:
            self.head.weight = self.words.weight
        self.post_norm, self.spoil, self.spoil_scores = post_norm, spoil, spoil_scores

    def forward(self, ids: Tensor, real: Tensor | None = None, past: Any = None) -> tuple[Tensor, Any]:
        """Return scores [batch new words] and what the next step needs.

        Args:
            ids: [batch new].
            real: [batch len], True at tokens; with it padding may come first.
        """
        start = 0 if past is None else past[0]
        x = self.words(ids)
        if self.places is not None:
            place = start + torch.arange(ids.shape[1])
            if real is not None:
                place = (real.cumsum(1) - 1).clamp(min=0)[:, start : start + ids.shape[1]]
            x = x + self.places(place)
        kept: list[Any] = [start + ids.shape[1]]
        olds = [None] * len(self.mixers) if past is None else past[1:]
        for n, (mixer, old) in enumerate(zip(self.mixers, olds, strict=True)):
            if self.post_norm:
                y, new = mixer(x, old, real)
                x = self.norms[2 * n](x + self.dropout(y))
                x = self.norms[2 * n + 1](x + self.dropout(self.outer[n](F.gelu(self.inner[n](x)))))
            else:
                y, new = mixer(self.norms[2 * n](x), old, real)
                x = x + self.dropout(y)
                x = x + self.dropout(self.outer[n](F.gelu(self.inner[n](self.norms[2 * n + 1](x)))))
            if n == 0 and self.spoil is not None:
                x = self.spoil(self, x, ids)
            kept.append(new)
        scores = self.head(x)
        if self.spoil_scores is not None:
            scores = self.spoil_scores(self, scores, ids)
        return scores, kept


class TrunkSubject(ModelSubject):
    """A trunk that is told nothing of padding, which follows the tokens."""

    kind = "decoder"

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the scores of one pass."""
        return self.module(inputs.target.ids, self.real(inputs))[0]

    def real(self, _inputs: Inputs) -> Tensor | None:
        """Return what the model is told of padding."""
        return None


class CachedTrunk(TrunkSubject):
    """A trunk whose mixers keep what the next step needs."""

    def step(self, inputs: Inputs, start: int, state: Any) -> tuple[Tensor, Any]:
        """Return the scores from `start` on."""
        return self.module(inputs.target.ids[:, start:], self.real(inputs), state)


class ToldTrunk(CachedTrunk):
    """A trunk that is told what is padding, on either side."""

    def real(self, inputs: Inputs) -> Tensor | None:
        """Return what is a token."""
        return inputs.target.real


def trunk(
    *mixers: Callable[[], nn.Module],
    seed: int = 0,
    subject: type[TrunkSubject] = CachedTrunk,
    how: dict[str, Any] | None = None,
    **parts: Any,
) -> TrunkSubject:
    """Return a trunk of mixers with the weights of a seed.

    Args:
        how: what the subject takes.
        parts: what `Trunk` takes.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = Trunk([mixer() for mixer in mixers or (Heads, Heads)], **parts)
    left = subject is ToldTrunk
    return subject(
        module.eval(), **{"vocab_size": WORDS, "max_length": LONGEST, "left_padding": left, **(how or {})}
    )
