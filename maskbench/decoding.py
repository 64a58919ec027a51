"""Greedy decoding: the likeliest token, again and again, until the end mark.

A decoding step either computes the new position alone, from keys and values kept in a cache, or recomputes the whole
prefix. Both give the same tokens; a plan with a strategy that needs earlier queries' states asks for the second. A
sentence is translated as if it were alone: its limit is its own, and sentences that end leave the batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskbench.data.vocabulary import BOS, EOS, MASK, PAD
from maskbench.masks.clock import Clock
from maskbench.masks.context import LogitContext, Source
from maskbench.model.cache import DecoderCache
from maskbench.model.transformer import EncoderDecoder

NEVER = (PAD, BOS, MASK)
"""Entries that mean nothing in a translation; an unknown word is an answer, if a poor one."""
SPARE_LENGTH = 10
"""What a translation may have beyond its share of the source's length."""
_FULL_ENOUGH = 0.75
"""Copying the cache to drop ended sentences pays once a quarter of the batch has ended."""


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
    source: Source,
    clock: Clock,
    *,
    max_length_ratio: float,
    cached: bool | None = None,
) -> list[list[int]]:
    """Return the greedy translation of every source as token ids without the end mark.

    Args:
        source: the sentences to translate, each ending with EOS.
        clock: of phase "eval".
        max_length_ratio: a translation that has not ended is cut at this share of the source's length plus 10
            tokens, or at the model's last position.
        cached: whether to keep keys and values; None asks the plan whether it may.
    """
    with evaluating(model):
        search = _start(model, source, clock, max_length_ratio)
        keep_states = model.masks.cacheable if cached is None else cached
        search.cache = DecoderCache(model.config.decoder_layers, search.longest) if keep_states else None
        return search.run()


@dataclass(slots=True)
class _Search:
    """The sentences of a batch that have not ended, and what has been said so far."""

    model: EncoderDecoder
    original: Source
    """Before any token mask."""
    source: Source
    """As the encoder read it."""
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
        model, source, examples = self.model, self.source, self.source.examples
        start = 0 if self.cache is None else self.cache.length
        so_far = torch.full_like(self.limits, self.said.shape[1])
        inputs = model.masks.corrupt(
            "decoder_input", self.said[:, start:], so_far, examples, self.clock, start=start
        )
        hidden = model.decode(inputs, self.memory, source, self.clock, cache=self.cache)
        last = self.said.shape[1] - 1
        positions = torch.arange(last, last + 1, device=self.said.device)
        context = LogitContext(self.said, positions, self.original.ids, self.original.lengths, self.clock)
        scores = model.masks.gated_logits(model.logits(hidden[:, -1:]), self.clock, examples, last)
        logits = model.masks.banned(scores, context, None, examples)[:, 0]
        logits[:, NEVER] = -math.inf
        return logits.argmax(-1)

    def _drop(self, ended: Tensor) -> None:
        """Go on without the sentences that have ended."""
        rows = (~ended).nonzero().flatten()
        self.original, self.source = self.original.select(rows), self.source.select(rows)
        self.memory, self.limits = self.memory[rows], self.limits[rows]
        self.said, self.rows = self.said[rows], self.rows[rows]
        if self.cache is not None:
            self.cache.select(rows)


def _start(model: EncoderDecoder, source: Source, clock: Clock, max_length_ratio: float) -> _Search:
    """Read the sources and say nothing yet."""
    inputs = model.masks.corrupt("encoder_input", source.ids, source.lengths, source.examples, clock)
    limits = length_limits(source.lengths, max_length_ratio, model.max_length)
    read = source.after(inputs)
    memory = model.encode(inputs, read, clock)
    said = torch.full_like(limits[:, None], BOS)
    rows = torch.arange(len(limits), device=limits.device)
    return _Search(model, source, read, clock, memory, limits, said, rows, longest=int(limits.max()))
