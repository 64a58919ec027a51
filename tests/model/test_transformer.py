"""The whole model: what it may look at, what its settings change, and decoding in steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from helpers import VOCAB, plan, sizes, tiny_batch, tiny_model
from torch import Tensor

from maskbench.config.schema.experiment import ModelConfig
from maskbench.data.batches import Batch
from maskbench.errors import CorpusError
from maskbench.masks.clock import Clock
from maskbench.masks.context import SourceBatch, TokenInput
from maskbench.model.cache import DecoderCache
from maskbench.model.embedding import PositionEmbedding, sinusoids
from maskbench.model.initialise import initialise
from maskbench.model.transformer import EncoderDecoder

TRAIN, EVAL = Clock("train", 3, 10), Clock.evaluation(3, 10)


def built(**settings: Any) -> EncoderDecoder:
    config = ModelConfig(
        **{"d_model": 12, "n_heads": 3, "encoder_layers": 1, "decoder_layers": 2, "d_ff": 17, **settings}
    )
    model = EncoderDecoder(config, plan(of=sizes(encoder_layers=1)), VOCAB, 19)
    initialise(model, 0)
    return model.double().eval()


def with_target(batch: Batch, tgt_in: Tensor) -> Batch:
    return replace(batch, tgt_in=tgt_in)


@pytest.mark.parametrize("offset", range(8))
def test_changing_later_target_tokens_leaves_earlier_logits_bit_equal(offset):
    model, batch = tiny_model(plan(), dropout=0.2).train(), tiny_batch()
    changed = batch.tgt_in.clone()
    changed[:, offset + 1 :] = (changed[:, offset + 1 :] + 3) % VOCAB
    torch.manual_seed(0)
    before = model(batch, TRAIN)
    torch.manual_seed(0)
    after = model(with_target(batch, changed), TRAIN)
    assert torch.equal(before[:, : offset + 1], after[:, : offset + 1])
    assert offset == 7 or not torch.equal(before[:, offset + 1 :], after[:, offset + 1 :])


def test_logits_of_a_prefix_are_those_of_the_whole():
    model, batch = tiny_model(plan()).eval(), tiny_batch()
    whole = model(batch, EVAL)
    for end in range(1, 9):
        part = model(with_target(batch, batch.tgt_in[:, :end]), EVAL)
        torch.testing.assert_close(part, whole[:, :end], rtol=1e-10, atol=1e-10)


def test_every_reachable_pair_has_a_gradient_and_no_other():
    model, batch = tiny_model(plan()).eval(), tiny_batch()
    seen: list[Tensor] = []
    model.decoder.positions.register_forward_hook(lambda _, __, out: seen.append(out) or out.retain_grad())
    model(batch, EVAL)
    for t in range(8):
        seen.clear()
        model(batch, EVAL)[0, t].sum().backward()
        reached = (seen[0].grad[0] != 0).any(-1).tolist()
        assert reached == [j <= t for j in range(8)]
        assert bool((seen[0].grad[1:] == 0).all())


def test_cached_steps_and_chunks_give_the_states_of_full_decoding():
    model, batch = tiny_model(plan()).eval(), tiny_batch()
    rest = (SourceBatch.of(batch), EVAL)
    with torch.no_grad():
        memory = model.encode(TokenInput(batch.src), *rest)
        whole = model.decode(TokenInput(batch.tgt_in), memory, *rest)
        for cuts in ([1] * 8, [3, 2, 1, 2], [8]):
            cache, states, start = DecoderCache(2, 8), [], 0
            for n in cuts:
                states.append(
                    model.decode(TokenInput(batch.tgt_in[:, start : start + n]), memory, *rest, cache)
                )
                start += n
            torch.testing.assert_close(torch.cat(states, 1), whole, rtol=1e-10, atol=1e-10)
            assert cache.length == 8


def test_a_cache_follows_the_sentences_it_keeps():
    model, batch = tiny_model(plan()).eval(), tiny_batch()
    rows = torch.tensor([2, 0])
    with torch.no_grad():
        source = SourceBatch.of(batch)
        memory = model.encode(TokenInput(batch.src), source, EVAL)
        whole = model.decode(TokenInput(batch.tgt_in), memory, source, EVAL)
        cache = DecoderCache(2, 8)
        model.decode(TokenInput(batch.tgt_in[:, :5]), memory, source, EVAL, cache)
        cache.select(rows)
        kept = (memory[rows], source.select(rows), EVAL, cache)
        tail = model.decode(TokenInput(batch.tgt_in[rows, 5:]), *kept)
    torch.testing.assert_close(tail, whole[rows, 5:], rtol=1e-10, atol=1e-10)


def test_a_zeroed_word_leaves_only_its_position():
    model, batch = built(), tiny_batch()
    zeroed = torch.zeros_like(batch.src, dtype=torch.bool)
    zeroed[:, 2] = True
    other = batch.src.clone()
    other[:, 2] = 22
    rest = (SourceBatch.of(batch), EVAL)
    first, second = (model.encode(TokenInput(ids, zeroed), *rest) for ids in (batch.src, other))
    assert torch.equal(first, second)
    assert not torch.equal(first, model.encode(TokenInput(batch.src), *rest))


def test_words_enter_scaled_by_the_root_of_the_width():
    model, batch = built(), tiny_batch()
    found = model.words.embed("src", TokenInput(batch.src))
    torch.testing.assert_close(found[2, 1], model.words.table("src")[batch.src[2, 1]] * 12**0.5)


def test_tying_saves_two_tables():
    tied, loose = (sum(p.numel() for p in built(tied=t).parameters()) for t in (True, False))
    assert loose - tied == 2 * VOCAB * 12
    names = {name for name, _ in built(tied=False).named_parameters() if name.startswith("words")}
    assert names == {f"words.tables.{side}.weight" for side in ("src", "tgt", "output")}


def test_learned_positions_are_two_tables_and_no_positions_is_blind_to_order():
    extra = sum(p.numel() for p in built(positions="learned").parameters()) - sum(
        p.numel() for p in built().parameters()
    )
    assert extra == 2 * 19 * 12
    batch = tiny_batch()
    shuffled = batch.src.clone()
    shuffled[:, :3] = batch.src[:, [2, 0, 1]]
    source = SourceBatch.of(batch)
    for kind, blind in [("none", True), ("sinusoidal", False), ("learned", False)]:
        model = built(positions=kind)
        first, second = (model.encode(TokenInput(s), source, EVAL) for s in (batch.src, shuffled))
        assert torch.allclose(first[:, [2, 0, 1]], second[:, :3], atol=1e-12) == blind, kind


def test_sinusoids_turn_at_the_rates_of_the_paper():
    waves = sinusoids(11, 7)
    assert waves.shape == (11, 7)
    for position, column in [(0, 0), (3, 0), (10, 3), (7, 6)]:
        angle = torch.tensor(position / 10_000 ** (2 * (column // 2) / 7), dtype=torch.float64)
        expected = angle.cos() if column % 2 else angle.sin()
        torch.testing.assert_close(waves[position, column], expected.float())


@pytest.mark.parametrize("kind", ["sinusoidal", "learned", "none"])
def test_a_sequence_beyond_the_last_position_is_refused_with_both_numbers(kind):
    positions = PositionEmbedding(kind, 7, 4)
    assert positions(torch.zeros(2, 3, 4), 4).shape == (2, 3, 4)
    with pytest.raises(CorpusError, match="8 tokens, but this model was built for at most 7"):
        positions(torch.zeros(2, 3, 4), 5)


def test_evaluation_training_without_dropout_and_inference_agree():
    model, batch = tiny_model(plan()), tiny_batch()
    training = model.train()(batch, EVAL).detach()
    model.eval()
    with torch.inference_mode():
        inference = model(batch, EVAL)
    assert torch.equal(training, inference) and torch.equal(training, model(batch, EVAL))


def test_a_training_step_under_bfloat16_autocast_is_finite_and_near():
    model, batch = built().float().train(), tiny_batch()
    model.dropout.p = 0.0
    exact = model.eval()(batch, EVAL)
    with torch.autocast("cpu", torch.bfloat16):
        near = model(batch, EVAL)
        near.float().logsumexp(-1).sum().backward()
    assert near.dtype == torch.bfloat16
    assert float((near.float() - exact).abs().max().detach()) < 0.1
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters())


def test_the_first_logits_have_about_unit_variance():
    model = EncoderDecoder(ModelConfig(), plan(of=sizes(n_heads=4)), 4001, 19)
    initialise(model, 0)
    batch = tiny_batch()
    real = torch.arange(8) < batch.tgt_lengths[:, None]
    spread = float(model.eval()(batch, EVAL)[real].detach().std())
    assert 0.7 < spread < 1.5


def test_the_state_holds_nothing_but_parameters():
    for kind in ("sinusoidal", "learned", "none"):
        model = built(positions=kind)
        assert set(model.state_dict()) == {name for name, _ in model.named_parameters()}


def test_a_cache_keeps_the_tokens_of_the_sentences_that_stay():
    cache = DecoderCache(1, 5)
    cache.said(torch.tensor([[5, 6], [7, 8], [9, 10]]))
    cache.select(torch.tensor([2, 0]))
    assert cache.said(torch.tensor([[11], [12]])).tolist() == [[9, 10, 11], [5, 6, 12]]
