"""Greedy decoding: the likeliest token, again and again, until the end mark.

A decoding step either computes the new position alone, from keys and values kept in a cache, or recomputes the whole
prefix. Both give the same tokens; a plan with a strategy that needs earlier queries' states asks for the second. A
sentence is translated as if it were alone: its limit is its own, and sentences that end leave the batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskbench.data.batches import Batch
from maskbench.data.vocabulary import BOS, EOS, MASK, PAD
from maskbench.masks.clock import Clock
from maskbench.model.cache import DecoderCache
from maskbench.model.transformer import EncoderDecoder

NEVER = (PAD, BOS, MASK)
"""Entries that mean nothing in a translation; an unknown word is an answer, if a poor one."""
SPARE_LENGTH = 10
"""What a translation may have beyond its share of the source's length."""
_FULL_ENOUGH = 0.75
"""Copying the cache to drop ended sentences pays once a quarter of the batch has ended."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Sentences to translate."""

    ids: Int[Tensor, "batch src"]
    """Token ids, each sentence ending with EOS, padding behind."""
    lengths: Int[Tensor, "batch"]
    examples: Int[Tensor, "batch"]
    """Example ids, which key random masks."""

    @classmethod
    def of(cls, batch: Batch) -> Sources:
        """Return a batch's source side."""
        return cls(batch.src, batch.src_lengths, batch.ids)


@contextmanager
def evaluating(model: EncoderDecoder) -> Iterator[None]:
    """Inside, the model drops nothing and records no gradients; afterwards it is as it was."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)


def length_limits(
    src_lengths: Int[Tensor, "batch"], max_length_ratio: float, max_length: int
) -> Int[Tensor, "batch"]:
    """Return how many tokens, end mark included, each translation may have."""
    limits = [math.ceil(max_length_ratio * n) + SPARE_LENGTH for n in src_lengths.tolist()]
    return torch.tensor(limits, device=src_lengths.device).clamp(max=max_length)


def greedy(
    model: EncoderDecoder,
    sources: Sources,
    clock: Clock,
    *,
    max_length_ratio: float,
    cached: bool | None = None,
) -> list[list[int]]:
    """Return the greedy translation of every source as token ids without the end mark.

    Args:
        clock: of phase "eval".
        max_length_ratio: a translation that has not ended is cut at this share of the source's length plus 10
            tokens, or at the model's last position.
        cached: whether to keep keys and values; None asks the plan whether it may.
    """
    with evaluating(model):
        search = _start(model, sources, clock, max_length_ratio)
        keep_states = model.masks.cacheable if cached is None else cached
        search.cache = DecoderCache(model.config.decoder_layers, search.longest) if keep_states else None
        return search.run()


@dataclass(slots=True)
class _Search:
    """The sentences of a batch that have not ended, and what has been said so far."""

    model: EncoderDecoder
    sources: Sources
    clock: Clock
    memory: Float[Tensor, "batch src d_model"]
    limits: Int[Tensor, "batch"]
    said: Int[Tensor, "batch said"]
    """BOS and the tokens so far."""
    rows: Int[Tensor, "batch"]
    """Where the sentences stood when the search began."""
    longest: int
    cache: DecoderCache | None = None

    def run(self) -> list[list[int]]:
        """Say tokens until every sentence has ended."""
        translations: list[list[int]] = [[] for _ in range(len(self.rows))]
        ended = torch.zeros_like(self.rows, dtype=torch.bool)
        while not ended.all():
            if len(ended) - int(ended.sum()) <= _FULL_ENOUGH * len(ended):
                self._drop(ended)
                ended = ended[~ended]
            token = self._next_token()
            self.said = torch.cat((self.said, token[:, None]), dim=1)
            ends = ~ended & ((token == EOS) | (self.said.shape[1] > self.limits))
            for row in ends.nonzero().flatten().tolist():
                said = self.said[row, 1:].tolist()
                translations[int(self.rows[row])] = said[:-1] if said[-1] == EOS else said
            ended |= ends
        return translations

    def _next_token(self) -> Int[Tensor, "batch"]:
        model, examples = self.model, self.sources.examples
        start = 0 if self.cache is None else self.cache.length
        so_far = torch.full_like(self.limits, self.said.shape[1])
        inputs = model.masks.corrupt(
            "decoder_input", self.said[:, start:], so_far, examples, self.clock, start=start
        )
        hidden = model.decode(
            inputs, self.memory, self.sources.lengths, examples, self.clock, cache=self.cache
        )
        logits = model.masks.logits(model.logits(hidden[:, -1:]), self.clock, None, examples)[:, 0]
        logits[:, NEVER] = -math.inf
        return logits.argmax(-1)

    def _drop(self, ended: Tensor) -> None:
        """Go on without the sentences that have ended."""
        rows = (~ended).nonzero().flatten()
        old = self.sources
        self.sources = replace(old, ids=old.ids[rows], lengths=old.lengths[rows], examples=old.examples[rows])
        self.memory, self.limits = self.memory[rows], self.limits[rows]
        self.said, self.rows = self.said[rows], self.rows[rows]
        if self.cache is not None:
            self.cache.select(rows)


def _start(model: EncoderDecoder, sources: Sources, clock: Clock, max_length_ratio: float) -> _Search:
    """Read the sources and say nothing yet."""
    inputs = model.masks.corrupt("encoder_input", sources.ids, sources.lengths, sources.examples, clock)
    memory = model.encode(inputs, sources.lengths, sources.examples, clock)
    limits = length_limits(sources.lengths, max_length_ratio, model.max_length)
    said = torch.full_like(limits[:, None], BOS)
    rows = torch.arange(len(limits), device=limits.device)
    return _Search(model, sources, clock, memory, limits, said, rows, longest=int(limits.max()))
