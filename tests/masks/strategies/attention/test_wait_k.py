"""Waiting for k source words: the pattern, its reach through the whole model, and what it asks of the encoder."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from helpers import placement, plan, request, tiny_batch, tiny_model
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from maskbench.config.schema.experiment import PlacementConfig
from maskbench.data.batches import Batch
from maskbench.data.vocabulary import N_SPECIAL
from maskbench.errors import ConfigError
from maskbench.masks.clock import Clock
from maskbench.masks.strategies.attention.wait_k import CAUSAL_ENCODER, WaitK
from maskbench.model.transformer import EncoderDecoder

TRAIN, EVAL = Clock("train", 20, 100), Clock.evaluation(20, 100)


def kept(k: Any, q_len: int, kv_len: int, start: int = 0, batch: int = 2, clock: Clock = TRAIN) -> Tensor:
    asked = request(q_len, kv_len, batch=batch, clock=clock)
    asked = replace(asked, q_idx=torch.arange(start, start + q_len))
    return plan(placement("cross", "wait_k", k=k), CAUSAL_ENCODER).decide_attention("cross", 0, asked).keep


@given(st.integers(1, 7), st.integers(1, 9), st.integers(1, 5), st.integers(0, 4))
def test_a_target_position_sees_k_source_tokens_and_one_more_for_each_before_it(q_len, kv_len, k, start):
    expected = [[s < k + start + i for s in range(kv_len)] for i in range(q_len)]
    keep = kept(k, q_len, kv_len, start)
    assert all(row.tolist() == expected for row in keep[:, 0])


@pytest.mark.parametrize(("k", "q_len", "kv_len"), [(1, 1, 1), (2, 5, 7), (3, 9, 4)])
def test_the_density_is_the_share_that_is_kept(k, q_len, kv_len):
    arm = plan(placement("cross", "wait_k", k=k), CAUSAL_ENCODER)
    found = arm.placed[0].strategy.density(arm.placed[0].options, q_len, kv_len)
    assert found == pytest.approx(kept(k, q_len, kv_len).double().mean().item())


def test_a_k_drawn_for_each_example_is_one_number_for_each_row_and_the_middle_in_evaluation():
    keep = kept({"sample_per_example": [1, 7]}, 3, 12, batch=40)[:, 0]
    ks = keep[:, 0].sum(-1)
    assert all(
        row.tolist() == [[s < k + i for s in range(12)] for i in range(3)]
        for row, k in zip(keep, ks.tolist(), strict=True)
    )
    assert set(ks.tolist()) == set(range(1, 8))
    assert set(
        kept({"sample_per_example": [1, 7]}, 1, 12, batch=9, clock=EVAL).sum(-1).flatten().tolist()
    ) == {4}


def test_a_k_drawn_at_each_step_is_the_same_for_all_examples():
    ks = set()
    for step in range(30):
        counts = kept({"sample": [1, 7]}, 1, 12, clock=replace(TRAIN, step=step)).sum(-1).flatten()
        assert len(set(counts.tolist())) == 1
        ks.add(int(counts[0]))
    assert min(ks) >= 1 and max(ks) <= 7 and len(ks) > 4


def logits(model: EncoderDecoder, batch: Batch, clock: Clock) -> Tensor:
    with torch.no_grad():
        return model.train(clock.phase == "train")(batch, clock)


def from_source_word(batch: Batch, first: int) -> Batch:
    """The batch with other words in its sources from place `first` on."""
    other = N_SPECIAL + (batch.src - N_SPECIAL + 7) % 18
    changes = (torch.arange(batch.src.shape[1]) >= first) & (batch.src >= N_SPECIAL)
    return replace(batch, src=torch.where(changes, other, batch.src))


@pytest.mark.parametrize("clock", [TRAIN, EVAL], ids=["train", "eval"])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_source_words_not_read_yet_have_no_influence_through_the_whole_model(k, clock):
    batch, model = tiny_batch(), tiny_model(plan(placement("cross", "wait_k", k=k), CAUSAL_ENCODER))
    whole = logits(model, batch, clock)
    moved = []
    for t in range(batch.tgt_in.shape[1]):
        changed = logits(model, from_source_word(batch, k + t), clock)
        assert torch.equal(changed[:, : t + 1], whole[:, : t + 1])
        # What has just been read does matter, in the first sentence, which is longest.
        if k + t <= 5:
            last = logits(model, from_source_word(batch, k + t - 1), clock)
            moved.append((last[0, t] - whole[0, t]).abs().max().item())
    assert min(moved) > 1e-6


def test_the_rest_of_the_source_can_be_cut_off():
    batch, k = tiny_batch(), 2
    model = tiny_model(plan(placement("cross", "wait_k", k=k), CAUSAL_ENCODER))
    whole = logits(model, batch, EVAL)
    for t in range(5):
        n = k + t
        cut = replace(batch, src=batch.src[:, :n], src_lengths=batch.src_lengths.clamp(max=n))
        torch.testing.assert_close(
            logits(model, cut, EVAL)[:, : t + 1], whole[:, : t + 1], rtol=1e-10, atol=1e-10
        )


def test_an_encoder_that_looks_ahead_would_carry_unread_words_past_the_mask(monkeypatch):
    monkeypatch.setattr(WaitK, "check_arm", classmethod(lambda cls, placement, arm: None))
    batch, model = tiny_batch(), tiny_model(plan(placement("cross", "wait_k", k=1)))
    changed = logits(model, from_source_word(batch, 1), EVAL)
    assert (changed - logits(model, batch, EVAL))[:, 0].abs().max() > 1e-3


def at_encoder(mask: str = "window", **changes: Any) -> PlacementConfig:
    options = changes.pop("options", {"right": 0})
    return placement("encoder_self", mask, **options).model_copy(update=changes)


@pytest.mark.parametrize(
    "beside",
    [
        [],
        [at_encoder(options={"left": 0})],
        [at_encoder(options={"radius": 1})],
        [at_encoder(options={"left": 2, "right": {"linear": [0, 1]}})],
        [at_encoder(layers=(0, 1))],
        [at_encoder(heads=(0,))],
        [at_encoder(phases=("train",))],
        [at_encoder("alibi", options={})],
        [placement("cross", "window", right=0)],
    ],
)
def test_an_arm_without_an_encoder_that_never_looks_ahead_is_refused_with_the_line_to_add(beside):
    with pytest.raises(
        ConfigError, match=r"encoder looks ahead.*\{site: encoder_self, mask: window, right: 0\}"
    ):
        plan(placement("cross", "wait_k", k=2), *beside)


@pytest.mark.parametrize(
    "beside",
    [
        [at_encoder()],
        [at_encoder(options={"radius": 0})],
        [at_encoder(options={"left": 3, "right": 0})],
        [at_encoder(options={"left": 1}), at_encoder(phases=("train", "eval"))],
        [at_encoder(phases=("train",)), at_encoder(phases=("eval",))],
    ],
)
def test_any_mask_that_looks_at_nothing_ahead_will_do(beside):
    plan(placement("cross", "wait_k", k=2), *beside)
    plan(*beside, placement("cross", "wait_k", k=2))


def test_a_wait_in_training_alone_asks_for_no_more_than_that():
    training = placement("cross", "wait_k", k=2).model_copy(update={"phases": ("train",)})
    plan(training, at_encoder(phases=("train",)))
    with pytest.raises(ConfigError, match="phases train"):
        plan(training, at_encoder(phases=("eval",)))


def test_a_normaliser_that_mixes_queries_is_refused_beside_it():
    causal = placement("encoder_self", "window", right=0)
    with pytest.raises(
        ConfigError, match="inverted lets what an encoder position reads depend on later ones"
    ):
        plan(causal, placement("encoder_self", "inverted"), placement("cross", "wait_k", k=2))
