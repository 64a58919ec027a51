"""Models of many architectures that keep every promise."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from mixers import Convolution, Decay, Experts, Filter, Heads, Linear, Recurrence, Shift
from torch import Tensor, nn
from trunk import LONGEST, WORDS, ToldTrunk, TrunkSubject, trunk

from maskbench.model_audit import ModelSubject
from maskbench.model_audit.adapters.torch_modules import Layer, TorchEncoder
from maskbench.model_audit.inputs import Inputs
from maskbench.model_audit.structure import in_documents, windowed, with_prefix


def two(mixer: Callable[..., nn.Module], *words: Any, **how: Any) -> tuple[Callable[[], nn.Module], ...]:
    """Two layers of a mixer."""
    return (partial(mixer, *words, **how),) * 2


class PackedTagger(nn.Module):
    """Two directions over packed sequences."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.words, self.dropout = nn.Embedding(WORDS, 12), nn.Dropout(dropout)
        self.cell, self.head = nn.LSTM(12, 8, batch_first=True, bidirectional=True), nn.Linear(16, WORDS)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        x = nn.utils.rnn.pack_padded_sequence(
            self.dropout(self.words(ids)), lengths, batch_first=True, enforce_sorted=False
        )
        found = nn.utils.rnn.pad_packed_sequence(self.cell(x)[0], batch_first=True, total_length=ids.shape[1])
        return self.head(found[0])


class PackedSubject(ModelSubject):
    kind = "encoder"

    def logits(self, inputs: Inputs) -> Tensor:
        return self.module(inputs.target.ids, inputs.target.lengths)


def seeded(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build().eval()


def packed(seed: int, dropout: float) -> ModelSubject:
    module = seeded(lambda: PackedTagger(dropout), seed)
    return PackedSubject(module, vocab_size=WORDS, max_length=LONGEST)


def torch_encoder(seed: int, dropout: float) -> ModelSubject:
    def build() -> nn.Module:
        layer = nn.TransformerEncoderLayer(24, 4, 32, dropout, batch_first=True)
        return nn.TransformerEncoder(layer, 2)

    return TorchEncoder(seeded(build, seed))


def bare_layer(seed: int, dropout: float) -> ModelSubject:
    class CausalLayer(nn.TransformerEncoderLayer):
        def forward(self, x: Tensor) -> Tensor:
            n = x.shape[1]
            return super().forward(x, src_mask=torch.ones(n, n, dtype=torch.bool).triu(1))

    return Layer(seeded(lambda: CausalLayer(24, 4, 32, dropout, batch_first=True), seed))


def minus_infinity(_trunk: Any, scores: Tensor, _ids: Tensor) -> Tensor:
    """The first word is never chosen."""
    return scores.index_fill(-1, torch.tensor([0]), float("-inf"))


WINDOW, PREFIX, DOCUMENTS = windowed(3, layers=2), with_prefix(4), in_documents([0, 4, 7])
SOUND: dict[str, Callable[..., ModelSubject]] = {
    "post-norm": partial(trunk, post_norm=True),
    "rms norm, rotary positions": partial(
        trunk, *two(Heads, position="rotary"), norm=nn.RMSNorm, places=False
    ),
    "linear bias": partial(trunk, *two(Heads, position="alibi"), places=False),
    "relative bias": partial(trunk, *two(Heads, position="relative"), places=False),
    "grouped keys, tied words": partial(trunk, *two(Heads, kv_heads=2), tied=True),
    "told of padding": partial(trunk, subject=ToldTrunk),
    "fused attention, told of padding": partial(
        trunk, *two(Heads, kernel="sdpa, bias of minus infinity"), subject=ToldTrunk
    ),
    "fill of -1e9 without a norm": partial(trunk, *two(Heads, fill=-1e9), norm=lambda _: nn.Identity()),
    "lstm": partial(trunk, partial(Recurrence, nn.LSTM)),
    "linear attention": partial(trunk, *two(Linear)),
    "dilated convolutions": partial(trunk, Convolution, partial(Convolution, dilation=2), places=False),
    "filter by Fourier transform": partial(trunk, Filter, subject=TrunkSubject),
    "token shift and decay": partial(trunk, Shift, Decay, places=False),
    "experts chosen by tokens": partial(trunk, Heads, Experts),
    "window": partial(trunk, *two(Heads, window=3), how={"may_read": WINDOW}),
    "prefix": partial(
        trunk, *two(Heads, prefix=4), subject=TrunkSubject, how={"may_read": PREFIX, "causal": False}
    ),
    "packed documents": partial(trunk, *two(Heads, documents=(0, 4, 7)), how={"may_read": DOCUMENTS}),
    "a score of minus infinity": partial(trunk, Heads, spoil_scores=minus_infinity),
    "two directions over packed sequences": packed,
    "encoder of torch": torch_encoder,
    "bare layer": bare_layer,
}
"""By name: a function of a seed and of the probability of dropout."""
