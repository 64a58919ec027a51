"""Translations in progress, and what the model would say next in each.

A step either computes the new position alone, from keys and values kept in a cache, or recomputes the whole prefix.
Both give the same scores; a plan with a strategy that needs earlier queries' states asks for the second.
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
from maskbench.masks.context import LogitContext, SourceBatch
from maskbench.model.cache import DecoderCache
from maskbench.model.transformer import EncoderDecoder

FORBIDDEN_TOKENS = (PAD, BOS, MASK)
"""Entries that mean nothing in a translation; an unknown word is an answer, if a poor one."""
SPARE_LENGTH = 10
"""What a translation may have beyond its share of the source's length."""


@contextmanager
def evaluation_mode(model: EncoderDecoder) -> Iterator[None]:
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


@dataclass(slots=True)
class DecodingState:
    """What has been said so far, a row each; several rows may translate the same source."""

    model: EncoderDecoder
    original: SourceBatch
    """Before any token mask."""
    source: SourceBatch
    """As the encoder read it."""
    clock: Clock
    memory: Float[Tensor, "rows src d_model"]
    tokens: Int[Tensor, "rows length"]
    """BOS and the tokens so far."""
    cache: DecoderCache | None

    @classmethod
    def start(
        cls, model: EncoderDecoder, source: SourceBatch, clock: Clock, longest: int, cached: bool | None
    ) -> DecodingState:
        """Read the sources and say nothing yet: one row for each.

        Args:
            longest: the most tokens that will be said.
            cached: whether to keep keys and values; None asks the plan whether it may.
        """
        inputs = model.masks.corrupt("encoder_input", source.ids, source.lengths, source.examples, clock)
        read = source.after(inputs)
        memory = model.encode(inputs, read, clock)
        keep_states = model.masks.cacheable if cached is None else cached
        cache = DecoderCache(model.config.decoder_layers, longest) if keep_states else None
        said = torch.full_like(source.ids[:, :1], BOS)
        return cls(model, source, read, clock, memory, said, cache)

    @property
    def length(self) -> int:
        """How many tokens have been said, which is the same in every row."""
        return self.tokens.shape[1] - 1

    def next_token_scores(self) -> Float[Tensor, "rows vocab"]:
        """Return the model's scores of the next token: raw ones, gates applied, nothing ruled out."""
        model, source, examples = self.model, self.source, self.source.examples
        start = 0 if self.cache is None else self.cache.length
        so_far = torch.full_like(source.lengths, self.tokens.shape[1])
        inputs = model.masks.corrupt(
            "decoder_input", self.tokens[:, start:], so_far, examples, self.clock, start=start
        )
        hidden = model.decode(inputs, self.memory, source, self.clock, cache=self.cache)
        return model.masks.gate_logits(model.logits(hidden[:, -1:]), self.clock, examples, self.length)[:, 0]

    def mask_forbidden(self, scores: Float[Tensor, "rows vocab"]) -> Float[Tensor, "rows vocab"]:
        """Return the scores with -inf for what cannot be said: marks, and what the logit masks hide.

        The end mark is always possible, or a sentence could be left without a way to go on.
        """
        here = torch.arange(self.length, self.length + 1, device=self.tokens.device)
        context = LogitContext(self.tokens, here, self.original.ids, self.original.lengths, self.clock)
        left = self.model.masks.mask_logits(scores[:, None], context, None, self.source.examples)[
            :, 0
        ].clone()
        left[:, FORBIDDEN_TOKENS] = -math.inf
        left[:, EOS] = scores[:, EOS]
        return left

    def select(self, rows: Int[Tensor, "kept"]) -> None:
        """Go on with these rows, in this order; a row may be there several times."""
        self.original, self.source = self.original.select(rows), self.source.select(rows)
        self.memory, self.tokens = self.memory[rows], self.tokens[rows]
        if self.cache is not None:
            self.cache.select(rows)

    def append(self, tokens: Int[Tensor, "rows"]) -> None:
        """Say one more token in every row."""
        self.tokens = torch.cat((self.tokens, tokens[:, None]), dim=1)
