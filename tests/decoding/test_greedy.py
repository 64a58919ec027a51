"""Greedy decoding: the same tokens with and without a cache, alone and in company."""

from __future__ import annotations

import math

import pytest
import torch
from helpers import VOCAB, placement, plan, tiny_batch, tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from maskbench.data.vocabulary import BOS, EOS, MASK, PAD, UNK
from maskbench.decoding import evaluation_mode, greedy_search, length_limits
from maskbench.masks.clock import Clock
from maskbench.masks.context import SourceBatch, TokenInput
from maskbench.model.transformer import EncoderDecoder

EVAL = Clock.evaluation(3, 10)
ARMS = [
    (),
    (placement("decoder_self", "window", radius=2), placement("decoder_self", "alibi")),
    (placement("encoder_self", "window", radius=1),),
]


def model_that_ends(*arm, ending: float = 1.5) -> EncoderDecoder:
    """A random model inclined to end its sentences, so that lengths differ."""
    model = tiny_model(plan(*arm)).eval()
    with torch.no_grad():
        model.decoder.norm.weight.fill_(1.0)
        model.decoder.norm.bias.copy_(ending * model.words.table("output")[EOS])
    return model


def sentences(n: int, seed: int) -> SourceBatch:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 8, (n,), generator=generator)
    ids = torch.randint(5, VOCAB, (n, 7), generator=generator)
    columns = torch.arange(7)
    ids = torch.where(columns < lengths[:, None] - 1, ids, EOS)
    return SourceBatch(torch.where(columns < lengths[:, None], ids, PAD), lengths, torch.arange(n) + 50)


def stepwise(model: EncoderDecoder, sources: SourceBatch, row: int, ratio: float) -> list[int]:
    """One sentence alone, without padding: the whole prefix through the model for every token."""
    n = int(sources.lengths[row])
    ids = sources.ids[row : row + 1, :n]
    one = SourceBatch(ids, sources.lengths[row : row + 1], sources.examples[row : row + 1])
    said = [BOS]
    with torch.no_grad():
        memory = model.encode(TokenInput(ids), one, EVAL)
        while len(said) - 1 < min(math.ceil(ratio * n) + 10, model.max_length):
            hidden = model.decode(TokenInput(torch.tensor([said])), memory, one, EVAL)
            scores = model.logits(hidden)[0, -1].tolist()
            allowed = [i for i in range(VOCAB) if i not in (PAD, BOS, MASK)]
            said.append(max(allowed, key=lambda i: scores[i]))
            if said[-1] == EOS:
                return said[1:-1]
    return said[1:]


@pytest.mark.parametrize("arm", ARMS, ids=["none", "decoder-masks", "encoder-mask"])
def test_greedy_is_the_likeliest_token_again_and_again(arm):
    model, sources = model_that_ends(*arm), sentences(9, 0)
    expected = [stepwise(model, sources, row, 1.5) for row in range(9)]
    assert len({len(said) for said in expected}) > 3
    for cached in (True, False, None):
        assert greedy_search(model, sources, EVAL, max_length_ratio=1.5, cached=cached) == expected


@settings(max_examples=25)
@given(st.permutations(range(6)), st.integers(1, 6), st.integers(0, 4))
def test_batch_mates_order_and_padding_never_matter(order, cut, padding):
    model, sources = model_that_ends(), sentences(6, 1)
    whole = greedy_search(model, sources, EVAL, max_length_ratio=2.0)
    for rows in filter(None, (order[:cut], order[cut:])):
        wider = torch.nn.functional.pad(sources.ids[rows], (0, padding), value=9)
        part = SourceBatch(wider, sources.lengths[rows], sources.examples[rows])
        assert greedy_search(model, part, EVAL, max_length_ratio=2.0) == [whole[row] for row in rows]


def test_marks_are_never_said_but_an_unknown_word_may_be(monkeypatch):
    model, sources = model_that_ends(), sentences(4, 2)

    def scores(hidden: Tensor) -> Tensor:
        wanted = torch.arange(VOCAB, 0, -1, dtype=torch.float64)  # PAD, BOS, EOS, UNK, MASK, ...
        wanted[EOS], wanted[MASK] = -1.0, 99.0
        return wanted.expand(*hidden.shape[:-1], VOCAB).clone()

    monkeypatch.setattr(model, "logits", scores)
    for said in greedy_search(model, sources, EVAL, max_length_ratio=0.0):
        assert said == [UNK] * 10


def test_a_translation_without_an_end_is_cut_at_its_own_limit():
    model, sources = model_that_ends(ending=-3.0), sentences(5, 3)
    said = greedy_search(model, sources, EVAL, max_length_ratio=1.2)
    assert [len(s) for s in said] == [min(math.ceil(1.2 * n) + 10, 19) for n in sources.lengths.tolist()]


def test_limits_round_up_and_stop_at_the_last_position():
    assert length_limits(torch.tensor([1, 3, 9]), 1.5, 20).tolist() == [12, 15, 20]


def test_a_plan_that_cannot_be_cached_recomputes(monkeypatch):
    arm = plan(placement("decoder_self", "window", radius=2))
    model = tiny_model(arm)
    starts: list[int] = []
    honest = model.decode

    def decode(inputs, *rest, cache=None):
        starts.append(inputs.ids.shape[1])
        return honest(inputs, *rest, cache=cache)

    monkeypatch.setattr(model, "decode", decode)
    greedy_search(model, sentences(2, 4), EVAL, max_length_ratio=0.0)
    assert set(starts) == {1}
    starts.clear()
    monkeypatch.setattr(type(arm), "cacheable", False)
    greedy_search(model, sentences(2, 4), EVAL, max_length_ratio=0.0)
    assert starts == list(range(1, len(starts) + 1))


def test_an_evaluation_mask_at_the_decoder_input_acts_alike_with_and_without_a_cache():
    dropped = placement("decoder_input", "tokens", ratio=0.5)
    model = model_that_ends(dropped.model_copy(update={"phases": ["eval"]}))
    sources = sentences(8, 5)
    first = greedy_search(model, sources, EVAL, max_length_ratio=2.0, cached=True)
    assert first == greedy_search(model, sources, EVAL, max_length_ratio=2.0, cached=False)
    plain = model_that_ends()
    assert first != greedy_search(plain, sources, EVAL, max_length_ratio=2.0)


def test_evaluating_restores_the_mode_even_after_an_error():
    model = tiny_model(plan()).train()
    with pytest.raises(RuntimeError, match="stop"), evaluation_mode(model):
        assert not model.training and not torch.is_grad_enabled()
        raise RuntimeError("stop")
    assert model.training and torch.is_grad_enabled()


def test_sources_are_a_batchs_source_side():
    batch = tiny_batch()
    sources = SourceBatch.of(batch)
    assert sources.ids is batch.src and sources.lengths is batch.src_lengths and sources.examples is batch.ids
