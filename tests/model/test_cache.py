"""The decoder's cache: whatever is appended and selected, each row keeps its own past and its own sentence."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import placement, plan, tiny_batch, tiny_model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from maskbench.masks.base import ScoreBias, StrategyOptions
from maskbench.masks.clock import Clock
from maskbench.masks.context import AttentionContext, SourceBatch, TokenInput
from maskbench.model.cache import DecoderCache, LayerCache
from maskbench.registry import Registry

EVAL = Clock.evaluation(3, 10)
CAPACITY = 30
MOVES = st.lists(
    st.one_of(st.integers(1, 12), st.lists(st.integers(0, 99), min_size=1, max_size=6)), max_size=8
)
"""The number of new positions, or the rows to keep (modulo the rows there are)."""


@settings(max_examples=60)
@given(MOVES)
def test_a_layer_returns_the_past_of_every_row(moves):
    layer, past, rows, made = LayerCache(CAPACITY), torch.zeros(4, 2, 0, 3), 4, 0
    for move in moves:
        if isinstance(move, list):
            kept = torch.tensor([row % rows for row in move])
            layer.select(kept)
            past, rows = past[kept], len(kept)
        elif past.shape[2] + move <= CAPACITY:
            new = torch.arange(made, made + rows * 6 * move).view(rows, 2, move, 3).float()
            made += new.numel()
            past = torch.cat((past, new), dim=2)
            keys, values = layer.extend(new, -new)
            assert torch.equal(keys, past) and torch.equal(values, -past)


class KeyReader(ScoreBias):
    """A bias that is the sum of each key of the row's own sentence."""

    sites = frozenset({"cross"})
    source = "test"
    Options = StrategyOptions
    depends_on = frozenset({"input"})

    def bias(self, options: Any, ctx: AttentionContext) -> Tensor:
        return ctx.request.key.sum(-1)[:, :, None].expand(-1, -1, len(ctx.request.q_idx), -1)


@pytest.fixture
def key_reader(monkeypatch: pytest.MonkeyPatch) -> str:
    registry: Registry[Any] = Registry("mask strategy")
    registry.register("keyreader")(KeyReader)
    monkeypatch.setattr("maskbench.masks.placement.MASKS", registry)
    return "keyreader"


@pytest.mark.parametrize("reads_keys", [False, True])
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(selections=st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=6), min_size=1, max_size=4))
def test_rows_that_share_a_sentence_get_the_states_of_rows_that_do_not(key_reader, reads_keys, selections):
    arm = plan(placement("cross", key_reader)) if reads_keys else plan()
    model, batch = tiny_model(arm).eval(), tiny_batch()
    source = SourceBatch.of(batch)
    cache, tokens, sentence = DecoderCache(2, 8), batch.tgt_in[:, :1], torch.arange(len(batch.ids))
    with torch.no_grad():
        memory = model.encode(TokenInput(batch.src), source, EVAL)
        model.decode(TokenInput(tokens), memory, source, EVAL, cache)
        for step, selection in enumerate(selections):
            rows = torch.tensor([row % len(tokens) for row in selection])
            cache.select(rows)
            sentence = sentence[rows]
            new = 5 + (torch.arange(len(rows)) * 3 + step)[:, None] % 9
            tokens = torch.cat((tokens[rows], new), dim=1)
            few = source.select(sentence)
            found = model.decode(TokenInput(new), memory, few, EVAL, cache)
            whole = model.decode(TokenInput(tokens), memory[sentence], few, EVAL)
            torch.testing.assert_close(found[:, -1], whole[:, -1], rtol=1e-10, atol=1e-10)


def test_a_cache_without_positions_has_no_rows_to_select():
    with pytest.raises(RuntimeError, match="no rows"):
        DecoderCache(2, 8).select(torch.tensor([0]))


def test_keys_of_the_source_are_kept_once_a_sentence_and_only_of_sentences_with_rows():
    model, batch = tiny_model(plan()).eval(), tiny_batch()
    source = SourceBatch.of(batch)
    cache = DecoderCache(2, 8)
    with torch.no_grad():
        memory = model.encode(TokenInput(batch.src), source, EVAL)
        model.decode(TokenInput(batch.tgt_in[:, :1]), memory, source, EVAL, cache)

    def kept() -> list[int]:
        return [len(part) for layer in cache.layers for part in layer.memory(lambda: ())]

    n = len(batch.ids)
    cache.select(torch.arange(n).repeat_interleave(3))
    assert kept() == [n] * 4
    cache.select(torch.tensor([3 * n - 1, 3 * n - 2, 3 * n - 1, 3 * n - 3]))  # rows of the last sentence
    assert kept() == [1] * 4
