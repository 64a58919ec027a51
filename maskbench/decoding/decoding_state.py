"""The state of incremental decoding: the tokens so far, and the scores of the next ones.

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
"""Vocabulary entries that decoding never chooses; the unknown word is allowed."""
SPARE_LENGTH = 10
"""Tokens that a translation may have beyond its share of the source's length."""


@contextmanager
def evaluation_mode(model: EncoderDecoder) -> Iterator[None]:
    """Put the model in evaluation mode without gradients; restore its mode afterwards."""
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
    """Unfinished translations, one a row; several rows may translate the same source."""

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
        """Encode the sources and return a state with no tokens yet: one row for each source.

        Args:
            longest: the most tokens that will be appended.
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
        """How many tokens every row has."""
        return self.tokens.shape[1] - 1

    def next_token_scores(self) -> Float[Tensor, "rows vocab"]:
        """Return the model's scores of the next token: raw ones, gates applied, nothing masked."""
        model, source, examples = self.model, self.source, self.source.examples
        start = 0 if self.cache is None else self.cache.length
        so_far = torch.full_like(source.lengths, self.tokens.shape[1])
        inputs = model.masks.corrupt(
            "decoder_input", self.tokens[:, start:], so_far, examples, self.clock, start=start
        )
        hidden = model.decode(inputs, self.memory, source, self.clock, cache=self.cache)
        return model.masks.gate_logits(model.logits(hidden[:, -1:]), self.clock, examples, self.length)[:, 0]

    def mask_forbidden(self, scores: Float[Tensor, "rows vocab"]) -> Float[Tensor, "rows vocab"]:
        """Return the scores with -inf for forbidden tokens and for those that the logit masks hide.

        The end mark is never masked: otherwise a sentence could be left without any token.
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
        """Keep these rows, in this order; a row may be repeated."""
        self.original, self.source = self.original.select(rows), self.source.select(rows)
        self.memory, self.tokens = self.memory[rows], self.tokens[rows]
        if self.cache is not None:
            self.cache.select(rows)

    def append(self, tokens: Int[Tensor, "rows"]) -> None:
        """Append one token to every row."""
        self.tokens = torch.cat((self.tokens, tokens[:, None]), dim=1)
