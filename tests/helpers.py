"""What several tests build: sizes, placements, requests and small models."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from maskbench.config.schema import ModelConfig, PlacementConfig, Refresh
from maskbench.data.batches import Batch
from maskbench.data.vocabulary import BOS, EOS, N_SPECIAL, PAD
from maskbench.masks.clock import Clock
from maskbench.masks.context import AttentionRequest, Sizes
from maskbench.masks.plan import MaskPlan
from maskbench.model.transformer import EncoderDecoder

HEADS, HEAD_DIM, VOCAB, TABLE = 3, 4, 23, 19
TRAIN = Clock("train", 0, 100)


def _id_of(token: str) -> int | None:
    return int(token[1:]) if token[1:].isdigit() else None


def sizes(n_heads: int = HEADS, encoder_layers: int = 2, decoder_layers: int = 2) -> Sizes:
    """Sizes that no two axes share; the vocabulary calls its tokens w5, w6, ..."""
    return Sizes(n_heads, n_heads * HEAD_DIM, encoder_layers, decoder_layers, VOCAB, TABLE, _id_of)


def placement(site: str, mask: str, refresh: Any = None, **options: Any) -> PlacementConfig:
    """A placement with the given options; `refresh` as in the experiment file."""
    chosen = None if refresh is None else Refresh.model_validate(refresh)
    return PlacementConfig.model_validate({"site": site, "mask": mask, "refresh": chosen, "options": options})


def plan(
    *placements: PlacementConfig, seed: int = 0, streams: str = "a", of: Sizes | None = None
) -> MaskPlan:
    """The plan of an arm with these placements."""
    return MaskPlan(placements, seed=seed, streams=streams, sizes=of or sizes())


def causal(q_len: int, kv_len: int) -> Tensor:
    """The causal legality as nested loops."""
    return torch.tensor([[[[j <= i for j in range(kv_len)] for i in range(q_len)]]])


def request(
    q_len: int = 5, kv_len: int = 7, batch: int = 2, legal: Tensor | None = None, clock: Clock = TRAIN
) -> AttentionRequest:
    """A request with random queries and keys where everything is legal unless said otherwise."""
    generator = torch.Generator().manual_seed(q_len * 100 + kv_len)
    query = torch.randn(batch, HEADS, q_len, HEAD_DIM, generator=generator, dtype=torch.float64)
    key = torch.randn(batch, HEADS, kv_len, HEAD_DIM, generator=generator, dtype=torch.float64)
    x = torch.randn(batch, q_len, HEADS * HEAD_DIM, generator=generator, dtype=torch.float64)
    if legal is None:
        legal = torch.ones(1, 1, q_len, kv_len, dtype=torch.bool)
    return AttentionRequest(
        query, key, x, torch.arange(q_len), torch.arange(kv_len), legal, None, torch.arange(batch) + 40, clock
    )


def tiny_model(arm: MaskPlan, dropout: float = 0.0) -> EncoderDecoder:
    """A float64 model around `arm`: two encoder and two decoder layers, every parameter random, masks' too."""
    of = arm.sizes
    config = ModelConfig(
        d_model=of.d_model,
        n_heads=of.n_heads,
        encoder_layers=of.encoder_layers,
        decoder_layers=of.decoder_layers,
        d_ff=17,
        dropout=dropout,
    )
    model = EncoderDecoder(config, arm, of.vocab_size, of.max_length).double()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.4)
    return model


def tiny_batch() -> Batch:
    """Three pairs of different lengths, ids and padding included."""
    generator = torch.Generator().manual_seed(8)
    src_lengths, tgt_lengths = torch.tensor([7, 4, 6]), torch.tensor([5, 8, 3])
    src = torch.randint(N_SPECIAL, VOCAB, (3, 7), generator=generator)
    tgt = torch.randint(N_SPECIAL, VOCAB, (3, 8), generator=generator)
    src = torch.where(torch.arange(7) < src_lengths[:, None] - 1, src, EOS)
    src = torch.where(torch.arange(7) < src_lengths[:, None], src, PAD)
    out = torch.where(torch.arange(8) < tgt_lengths[:, None] - 1, tgt, EOS)
    real = torch.arange(8) < tgt_lengths[:, None]
    tgt_in = torch.cat([torch.full((3, 1), BOS), out[:, :-1]], 1)
    return Batch(
        torch.tensor([31, 12, 77]),
        src,
        src_lengths,
        torch.where(real, tgt_in, PAD),
        torch.where(real, out, PAD),
        tgt_lengths,
    )
