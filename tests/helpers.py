"""What several tests build: sizes, placements, requests and small models."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from maskbench.config.schema.experiment import ModelConfig, PlacementConfig, Refresh
from maskbench.data.batches import Batch
from maskbench.data.corpus import Ragged
from maskbench.data.vocabulary import BOS, EOS, N_SPECIAL, PAD
from maskbench.masks.clock import Clock
from maskbench.masks.context import Annotations, AttentionRequest, LogitContext, Sizes
from maskbench.masks.corpus_statistics import CorpusStatistics, edges_of_starts
from maskbench.masks.plan import MaskPlan
from maskbench.metrics.likelihood import NegativeLogLikelihood, TokenAccuracy
from maskbench.metrics.teacher_forcing import TeacherForcedScores
from maskbench.model.transformer import EncoderDecoder

HEADS, HEAD_DIM, VOCAB, TABLE = 3, 4, 23, 19
TRAIN = Clock("train", 0, 100)


def _id_of(token: str) -> int | None:
    if token == ".":
        return 12
    return int(token[1:]) if token[1:].isdigit() else None


def facts() -> CorpusStatistics:
    """Facts of a corpus of seven pairs that marks everything; every third token continues a word."""
    rows = [[N_SPECIAL + (5 * i + 3 * j) % (VOCAB - N_SPECIAL) for j in range(2 + i)] for i in range(14)]
    sides = Ragged.from_rows([*map(_ended, rows[:7])]), Ragged.from_rows([*map(_ended, rows[7:])])
    seen = torch.tensor([*sides[0].values, *sides[1].values])
    starts = edges_of_starts(torch.tensor([i < N_SPECIAL or i % 3 > 0 for i in range(VOCAB)]))
    return CorpusStatistics(
        source_words=starts,
        target_words=starts,
        counts=torch.bincount(seen, minlength=VOCAB),
        length_ratio=1.25,
        pairs=lambda: sides,
        annotations=frozenset({"junk", "links"}),
    )


def _ended(row: list[int]) -> list[int]:
    return [*row, EOS]


def sizes(n_heads: int = HEADS, encoder_layers: int = 2, decoder_layers: int = 2) -> Sizes:
    """Sizes that no two axes share; the vocabulary calls its tokens w5, w6, ..., and w12 a full stop as well."""
    return Sizes(n_heads, n_heads * HEAD_DIM, encoder_layers, decoder_layers, VOCAB, TABLE, _id_of, facts())


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
    tokens = torch.arange(batch)[:, None] * 7 + torch.arange(max(q_len, kv_len))
    tokens = N_SPECIAL + tokens * 5 % (VOCAB - N_SPECIAL)
    return AttentionRequest(
        query,
        key,
        x,
        torch.arange(q_len),
        torch.arange(kv_len),
        legal,
        torch.full((batch,), kv_len),
        torch.arange(batch) + 40,
        clock,
        src_ids=tokens[:, :kv_len],
        tgt_ids=tokens[:, :q_len],
        annotations=annotations(torch.full((batch,), kv_len), torch.full((batch,), q_len)),
    )


def annotations(src_lengths: Tensor, tgt_lengths: Tensor) -> Annotations:
    """Every third source token but the first is junk; target token t translates 2 t + 1, counted round the source.

    The end marks translate each other, and every fourth target token translates nothing.
    """
    s, t = torch.arange(int(src_lengths.max())), torch.arange(int(tgt_lengths.max()))
    last_s, last_t = src_lengths[:, None] - 1, tgt_lengths[:, None] - 1
    junk = (s % 3 == 2) & (s < last_s)
    partner = torch.where(t == last_t, last_s, (2 * t + 1) % last_s.clamp(min=1))
    linked = (t <= last_t) & ((t % 4 != 3) | (t == last_t))
    return Annotations(junk, (partner[:, :, None] == s) & linked[:, :, None])


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
    """Three pairs of different lengths, ids, padding and annotations included."""
    generator = torch.Generator().manual_seed(8)
    src_lengths, tgt_lengths = torch.tensor([7, 4, 6]), torch.tensor([5, 8, 3])
    src = torch.randint(N_SPECIAL, VOCAB, (3, 7), generator=generator)
    tgt = torch.randint(N_SPECIAL, VOCAB, (3, 8), generator=generator)
    src = torch.where(torch.arange(7) < src_lengths[:, None] - 1, src, EOS)
    src = torch.where(torch.arange(7) < src_lengths[:, None], src, PAD)
    out = torch.where(torch.arange(8) < tgt_lengths[:, None] - 1, tgt, EOS)
    real = torch.arange(8) < tgt_lengths[:, None]
    tgt_in = torch.cat([torch.full((3, 1), BOS), out[:, :-1]], 1)
    marks = annotations(src_lengths, tgt_lengths)
    return Batch(
        torch.tensor([31, 12, 77]),
        src,
        src_lengths,
        torch.where(real, tgt_in, PAD),
        torch.where(real, out, PAD),
        tgt_lengths,
        marks.junk,
        marks.links,
    )


def widened(batch: Batch, columns: int, fill: int) -> Batch:
    """The batch with more padding behind its sources, filled with the id `fill`."""
    pad = torch.nn.functional.pad
    return replace(
        batch,
        src=pad(batch.src, (0, columns), value=fill),
        junk=None if batch.junk is None else pad(batch.junk, (0, columns)),
        links=None if batch.links is None else pad(batch.links, (0, columns)),
    )


def row_of(batch: Batch, i: int) -> Batch:
    """The batch that holds sentence i alone, padded as before."""
    return Batch(**{f.name: getattr(batch, f.name)[i : i + 1] for f in fields(batch)})


def logit_context(batch: Batch, clock: Clock) -> LogitContext:
    """What a logit mask is told of every target position of a batch under teacher forcing."""
    positions = torch.arange(batch.tgt_in.shape[1])
    return LogitContext(batch.tgt_in, positions, batch.src, batch.src_lengths, clock)


def losses_of(real: Tensor) -> Tensor:
    """Different losses for the tokens of a batch: what a loss mask is offered where no model has run."""
    place = (torch.arange(real.shape[1]) * 5).expand(real.shape)
    return torch.where(real, (place % 7) / 7.0, 0.0)


def png_size(data: bytes) -> tuple[int, int]:
    """Width and height that a PNG file states in its header."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def nll(tokens: TeacherForcedScores) -> float:
    """The mean negative log-likelihood in nats per token, as the metric has it."""
    return float(NegativeLogLikelihood().token_values(tokens).mean())


def token_accuracy(tokens: TeacherForcedScores) -> float:
    """The share of tokens ranked first, as the metric has it."""
    return float(TokenAccuracy().token_values(tokens).mean())
