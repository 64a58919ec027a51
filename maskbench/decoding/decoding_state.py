"""The state of incremental decoding: the tokens so far, and the scores of the next token.

A step computes either the new position alone, with keys and values from a cache, or the whole prefix again.
Both give the same scores. Plans with a strategy that is not `cacheable`, or that leak at `decoder_self`,
need the second.
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
"""Vocabulary ids that decoding never chooses; the unknown word is allowed."""
SPARE_LENGTH = 10
"""Tokens added to the length limit of every translation."""


@contextmanager
def evaluation_mode(model: EncoderDecoder) -> Iterator[None]:
    """Put the model in evaluation mode without gradients; restore its mode at exit."""
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
    """Return the maximal length of each translation in tokens, end mark included.

    ceil(max_length_ratio * source length) + `SPARE_LENGTH`, at most `max_length`.
    """
    limits = [math.ceil(max_length_ratio * n) + SPARE_LENGTH for n in src_lengths.tolist()]
    return torch.tensor(limits, device=src_lengths.device).clamp(max=max_length)


@dataclass(slots=True)
class DecodingState:
    """Unfinished translations, one per row; several rows may translate the same source."""

    model: EncoderDecoder
    original: SourceBatch
    """The sources before any token mask; logit masks read these."""
    source: SourceBatch
    """The sources after the token masks."""
    clock: Clock
    memory: Float[Tensor, "sources src d_model"]
    """The encoder output: of every row's source without a cache, as at the start with one."""
    tokens: Int[Tensor, "rows length"]
    """BOS and the tokens so far."""
    cache: DecoderCache | None
    """Keys and values so far, and which source each row translates; None: every step recomputes the prefix."""

    @classmethod
    def start(
        cls, model: EncoderDecoder, source: SourceBatch, clock: Clock, longest: int, cached: bool | None
    ) -> DecodingState:
        """Encode the sources and return a state without tokens, one row per source.

        Args:
            longest: maximal number of tokens that will be appended.
            cached: whether to keep keys and values; None: where the plan allows it.
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
        """Number of tokens of every row, without BOS."""
        return self.tokens.shape[1] - 1

    def next_token_scores(self) -> Float[Tensor, "rows vocab"]:
        """Return the next token's scores before the softmax: with gates, without logit masks."""
        model, source, examples = self.model, self.source, self.source.examples
        start = 0 if self.cache is None else self.cache.length
        so_far = torch.full_like(source.lengths, self.tokens.shape[1])
        inputs = model.masks.corrupt(
            "decoder_input", self.tokens[:, start:], so_far, examples, self.clock, start=start
        )
        hidden = model.decode(inputs, self.memory, source, self.clock, cache=self.cache)
        return model.masks.gate_logits(model.logits(hidden[:, -1:]), self.clock, examples, self.length)[:, 0]

    def mask_forbidden(self, scores: Float[Tensor, "rows vocab"]) -> Float[Tensor, "rows vocab"]:
        """Return the scores with -inf for `FORBIDDEN_TOKENS` and for tokens that logit masks hide.

        Where no logit mask acts, the result is `scores` itself, changed in place. The end mark is never masked;
        otherwise a sentence could have no allowed token.
        """
        here = torch.arange(self.length, self.length + 1, device=self.tokens.device)
        context = LogitContext(self.tokens, here, self.original.ids, self.original.lengths, self.clock)
        left = self.model.masks.mask_logits(scores[:, None], context, None, self.source.examples)[:, 0]
        left[:, FORBIDDEN_TOKENS] = -math.inf
        left[:, EOS] = scores[:, EOS]
        return left

    def select(self, rows: Int[Tensor, "kept"]) -> None:
        """Keep these rows, in this order; a row may occur several times."""
        here = torch.arange(len(self.tokens), device=rows.device)
        if torch.equal(rows, here):
            return
        self.original, self.source = self.original.select(rows), self.source.select(rows)
        self.tokens = self.tokens[rows]
        if self.cache is None:
            self.memory = self.memory[rows]
        else:
            self.cache.select(rows)

    def append(self, tokens: Int[Tensor, "rows"]) -> None:
        """Append one token to every row."""
        self.tokens = torch.cat((self.tokens, tokens[:, None]), dim=1)
