"""Statistics of attention on a split, summed up during one teacher-forced pass.

Attention weights of a split are far too many to keep, so every layer's are reduced to the three things that the metrics
of attention need, as soon as they are computed: sums of entropies, sums of attention on junk, and where each target
token looks. Heads and layers count alike, whatever head gates do with what they read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from maskbench.data.batches import collate, plan_evaluation_batches
from maskbench.data.corpus import Split
from maskbench.data.padding import real_tokens
from maskbench.data.vocabulary import EOS
from maskbench.decoding import evaluation_mode
from maskbench.masks.clock import Clock
from maskbench.masks.context import SourceBatch, TokenInput
from maskbench.metrics.alignment import NOWHERE, most_attended
from maskbench.metrics.teacher_forcing import BATCH_TOKENS
from maskbench.model.attention import Watcher
from maskbench.model.transformer import EncoderDecoder


def attention_shares(weights: Float[Tensor, "*rows kv"]) -> Float[Tensor, "*rows kv"]:
    """Return the weights of every row as shares of the row, float64; all zero where the row has no weight."""
    sizes = weights.double().abs()
    sums = sizes.sum(-1, keepdim=True)
    return sizes / sums.masked_fill(sums == 0, 1.0)


def normalised_entropy(
    weights: Float[Tensor, "*rows kv"], keep: Bool[Tensor, "*rows kv"]
) -> Float[Tensor, "*rows"]:
    """Return the entropy of every row as a share of the largest possible: -sum_j a_j ln a_j / ln k.

    0 where all attention is on one key, 1 where it is spread evenly; NaN where the row has no choice (k < 2) or
    attends to nothing. k is the number of keys the row may attend to. A mask that is applied in a way that leaks
    leaves weight on keys it hides; those count as well, since attention can be spread over them.

    Args:
        weights: of any sign and sum.
        keep: True on keys that may be attended to.
    """
    parts = attention_shares(weights)
    choices = (keep | (weights != 0)).sum(-1)
    spread: Tensor = torch.special.entr(parts).sum(-1) / choices.clamp(min=2).double().log()
    # Rounding alone can lift even attention above 1.
    return spread.clamp(max=1.0).masked_fill((choices < 2) | (parts.sum(-1) == 0), torch.nan)


def attention_mass(
    weights: Float[Tensor, "*rows kv"], on: Bool[Tensor, "*rows kv"]
) -> Float[Tensor, "*rows"]:
    """Return the share of every row's attention that lies on certain keys, 0 to 1; NaN where it attends to nothing.

    Args:
        weights: of any sign and sum.
        on: True on those keys.
    """
    parts = attention_shares(weights)
    return (parts * on).sum(-1).clamp(max=1.0).masked_fill(parts.sum(-1) == 0, torch.nan)


@contextmanager
def watch_attention(model: EncoderDecoder, watcher: Watcher) -> Iterator[None]:
    """Inside, `watcher` is shown the weights of every attention layer that runs; the model computes the same."""
    before = model.watcher
    model.watcher = watcher
    try:
        yield
    finally:
        model.watcher = before


@dataclass(slots=True)
class RunningMean:
    """A mean of values that arrive in batches."""

    total: float = 0.0
    count: int = 0

    def add(self, values: Tensor) -> None:
        """Add all values that are not NaN."""
        there = ~values.isnan()
        self.total += float(values[there].sum())
        self.count += int(there.sum())


@dataclass(slots=True, eq=False)
class AttentionStatistics:
    """Statistics of attention on a split."""

    aligned: npt.NDArray[np.int64]
    """Int64[decoder layers, N]: of every target token the position in its source that its query attends to most, heads
    averaged and end marks aside; `NOWHERE` where there is none."""
    entropies: dict[str, RunningMean] = field(default_factory=dict)
    """By site, over heads, layers and real queries with a choice of at least two keys."""
    junk: dict[str, RunningMean] = field(default_factory=dict)
    """By site (the encoder and cross attention): attention on junk source tokens, over heads, layers and real queries
    that are not junk themselves. Empty where the split does not say what is junk."""


def collect_attention(
    model: EncoderDecoder, data: Split, clock: Clock, batch_tokens: int = BATCH_TOKENS
) -> AttentionStatistics:
    """Return what the model attends to on a split under teacher forcing.

    Args:
        clock: of phase "eval"; the plan decides which masks act then.
    """
    layers = model.config.decoder_layers
    found = AttentionStatistics(np.full((layers, len(data.tgt.values)), NOWHERE, dtype=np.int64))
    with evaluation_mode(model):
        for ids in plan_evaluation_batches(data, batch_tokens):
            batch = collate(data, ids).to(model.device)
            masked, source = model.read(batch, clock)
            watcher = _Reducing(found, masked, source, batch.tgt_lengths, data.tgt.offsets[ids])
            with watch_attention(model, watcher):
                model.hidden(batch, clock)
    return found


class _Reducing:
    """Adds one batch to what was seen."""

    def __init__(
        self,
        found: AttentionStatistics,
        masked: TokenInput,
        source: SourceBatch,
        tgt_lengths: Tensor,
        starts: npt.NDArray[np.int64],
    ) -> None:
        self.found, self.starts = found, starts
        self.tgt_lengths = tgt_lengths
        self.src_real = real_tokens(source.lengths, source.ids.shape[1])
        self.candidates = (self.src_real & (source.ids != EOS)).cpu().numpy()
        self.junk = source.annotations.junk
        self.origin = None if masked.origin is None else masked.origin.cpu().numpy()

    def __call__(self, site: str, layer: int, weights: Tensor, keep: Tensor) -> None:
        real = self.src_real if site == "encoder_self" else real_tokens(self.tgt_lengths, weights.shape[2])
        spread = normalised_entropy(weights, keep.expand(weights.shape))
        self.found.entropies.setdefault(site, RunningMean()).add(_of_queries(spread, real))
        if self.junk is not None and site != "decoder_self":
            queries = real & ~self.junk if site == "encoder_self" else real
            on_junk = attention_mass(weights, self.junk[:, None, None].expand(weights.shape))
            self.found.junk.setdefault(site, RunningMean()).add(_of_queries(on_junk, queries))
        if site == "cross":
            self._align(layer, attention_shares(weights).mean(1).cpu().numpy())

    def _align(self, layer: int, weights: npt.NDArray[np.float64]) -> None:
        """Note where the queries look; the query at t, which holds token t - 1, is the one that predicts token t."""
        places = most_attended(weights, self.candidates)
        if self.origin is not None:
            # Positions of the source as the corpus has it; a token that a mask put in has none.
            there = np.take_along_axis(self.origin, places.clip(min=0), 1)
            places = np.where(places == NOWHERE, NOWHERE, there)
        for start, length, row in zip(self.starts, self.tgt_lengths.tolist(), places, strict=True):
            self.found.aligned[layer, start : start + length] = row[:length]


def _of_queries(values: Tensor, queries: Tensor) -> Tensor:
    """Return the values `[batch heads q]` of the chosen queries `[batch q]` in every head."""
    return values.transpose(0, 1)[:, queries]
