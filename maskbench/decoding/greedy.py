"""Greedy decoding: append the likeliest token until the end mark.

A translation does not depend on the other sentences of its batch: each has its own length limit, and ended
sentences are dropped from the batch.
"""

from __future__ import annotations

import torch

from maskbench.data.vocabulary import EOS
from maskbench.decoding.best_tokens import stable_topk
from maskbench.decoding.decoding_state import DecodingState, evaluation_mode, length_limits
from maskbench.masks.clock import Clock
from maskbench.masks.context import SourceBatch
from maskbench.model.cache import FULL_ENOUGH
from maskbench.model.transformer import EncoderDecoder


def greedy_search(
    model: EncoderDecoder,
    source: SourceBatch,
    clock: Clock,
    *,
    max_length_ratio: float,
    cached: bool | None = None,
) -> list[list[int]]:
    """Return the greedy translation of every source as token ids without the end mark.

    Args:
        source: the sentences to translate, each ends with EOS.
        clock: of phase "eval".
        max_length_ratio: a translation is cut at this many tokens per source token plus 10, or at the
            model's last position.
        cached: whether to keep keys and values; None: where the plan allows it.
    """
    with evaluation_mode(model):
        limits = length_limits(source.lengths, max_length_ratio, model.max_length)
        rows = torch.arange(len(limits), device=limits.device)
        translations: list[list[int]] = [[] for _ in rows]
        ended = torch.zeros_like(rows, dtype=torch.bool)
        state = DecodingState.start(model, source, clock, int(limits.max()), cached)
        while not ended.all():
            if len(ended) - int(ended.sum()) <= FULL_ENOUGH * len(ended):
                left = (~ended).nonzero().flatten()
                state.select(left)
                limits, rows, ended = limits[left], rows[left], ended[left]
            token = stable_topk(state.mask_forbidden(state.next_token_scores()), 1)[:, 0]
            state.append(token)
            ends = ~ended & ((token == EOS) | (state.length >= limits))
            for row in ends.nonzero().flatten().tolist():
                said = state.tokens[row, 1:].tolist()
                translations[int(rows[row])] = said[:-1] if said[-1] == EOS else said
            ended |= ends
        return translations
