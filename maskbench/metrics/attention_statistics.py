"""Statistics of attention on a split, computed in one teacher-forced pass.

The attention weights of a split are too many to keep, so every layer's weights are reduced as soon as they
are computed to what the metrics need: sums of entropies, sums of attention on junk, and the most attended
source position of each target token. All heads and layers have equal weight; head gates do not change that.
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
    """Return |weights| divided by their sum over every row, float64; zeros where the sum is 0."""
    sizes = weights.double().abs()
    sums = sizes.sum(-1, keepdim=True)
    return sizes / sums.masked_fill(sums == 0, 1.0)


def normalised_entropy(
    weights: Float[Tensor, "*rows kv"], keep: Bool[Tensor, "*rows kv"]
) -> Float[Tensor, "*rows"]:
    """Return the entropy of every row divided by its maximum: -sum_j a_j ln a_j / ln k; 0 to 1.

    a is `attention_shares` of the row; k is the number of keys that are allowed or have a weight other than
    0 (a mask that leaks leaves weight on hidden keys). 0: all attention on one key, 1: equal on all keys.
    NaN where k < 2 or all weights are 0.

    Args:
        weights: of any sign and sum.
        keep: True at keys that may be attended to.
    """
    parts = attention_shares(weights)
    choices = (keep | (weights != 0)).sum(-1)
    spread: Tensor = torch.special.entr(parts).sum(-1) / choices.clamp(min=2).double().log()
    # Rounding can give slightly more than 1 for equal weights.
    return spread.clamp(max=1.0).masked_fill((choices < 2) | (parts.sum(-1) == 0), torch.nan)


def attention_mass(
    weights: Float[Tensor, "*rows kv"], on: Bool[Tensor, "*rows kv"]
) -> Float[Tensor, "*rows"]:
    """Return the share of every row's attention on the keys `on`, 0 to 1; NaN where all weights are 0.

    Args:
        weights: of any sign and sum.
        on: True at the keys to count.
    """
    parts = attention_shares(weights)
    return (parts * on).sum(-1).clamp(max=1.0).masked_fill(parts.sum(-1) == 0, torch.nan)


@contextmanager
def watch_attention(model: EncoderDecoder, watcher: Watcher) -> Iterator[None]:
    """Call `watcher` with the weights of every attention layer that runs; the outputs stay the same."""
    before = model.watcher
    model.watcher = watcher
    try:
        yield
    finally:
        model.watcher = before


@dataclass(slots=True)
class RunningMean:
    """A mean over values that are added in batches."""

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
    """Int64[decoder layers, N]: for every target token, the source position that the query predicting it
    attends to most, averaged over heads, without end marks; `NOWHERE` where there is none."""
    entropies: dict[str, RunningMean] = field(default_factory=dict)
    """By site: normalised entropy over heads, layers and real queries with at least two allowed keys."""
    junk: dict[str, RunningMean] = field(default_factory=dict)
    """By site (`encoder_self` and `cross`): share of attention on junk source tokens, over heads, layers and
    real queries that are not junk. Empty where the split does not mark junk."""


def collect_attention(
    model: EncoderDecoder, data: Split, clock: Clock, batch_tokens: int = BATCH_TOKENS
) -> AttentionStatistics:
    """Return the statistics of the model's attention on a split under teacher forcing.

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
    """Watcher that adds the attention of one batch to the statistics."""

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
        """Record the most attended source position per target token; the query at t predicts token t."""
        places = most_attended(weights, self.candidates)
        if self.origin is not None:
            # Map to positions in the corpus's source; tokens that a mask inserted have none.
            there = np.take_along_axis(self.origin, places.clip(min=0), 1)
            places = np.where(places == NOWHERE, NOWHERE, there)
        for start, length, row in zip(self.starts, self.tgt_lengths.tolist(), places, strict=True):
            self.found.aligned[layer, start : start + length] = row[:length]


def _of_queries(values: Tensor, queries: Tensor) -> Tensor:
    """Return the values `[batch heads q]` of the queries that `queries` `[batch q]` selects, per head."""
    return values.transpose(0, 1)[:, queries]
