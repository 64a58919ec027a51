"""Token, loss and logit masks: how many are picked, what becomes of them, who is protected."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import TRAIN, VOCAB, placement, plan
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from maskbench.config.schema import ModelConfig
from maskbench.data.vocabulary import BOS, EOS, MASK, N_SPECIAL, PAD
from maskbench.errors import ConfigError
from maskbench.masks.clock import Clock
from maskbench.masks.context import TokenInput
from maskbench.masks.tokens import Replacement, Tokens, TokensOptions


def sentences(count: int, words: int, extra: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Ids (words, the end mark, padding), true lengths and example ids."""
    generator = torch.Generator().manual_seed(words)
    ids = torch.randint(N_SPECIAL, VOCAB, (count, words), generator=generator)
    tail = torch.full((count, 1 + extra), PAD)
    tail[:, 0] = EOS
    return torch.cat([ids, tail], 1), torch.full((count,), words + 1), torch.arange(count)


def corrupt(
    n: int, words: int, clock: Clock = TRAIN, extra: int = 0, **options: Any
) -> tuple[Tensor, TokenInput]:
    ids, lengths, examples = sentences(n, words, extra)
    arm = plan(placement("encoder_input", "tokens", **options))
    return ids, arm.corrupt("encoder_input", ids, lengths, examples, clock)


@given(st.integers(1, 9), st.floats(0, 1))
def test_rounding_picks_one_of_the_two_nearest_counts(words, ratio):
    _, changed = corrupt(7, words, ratio=ratio)
    assert changed.picked is not None
    counts = changed.picked.sum(1)
    assert bool(((counts - ratio * words).abs() < 1).all())


@pytest.mark.parametrize("count", ["rounded", "bernoulli"])
@pytest.mark.parametrize("words", [3, 8])
def test_the_mean_share_of_picked_words_is_the_ratio(count, words):
    n, ratio = 6000, 0.15
    _, changed = corrupt(n, words, ratio=ratio, count=count)
    assert changed.picked is not None
    share = changed.picked.sum().item() / (n * words)
    assert share == pytest.approx(ratio, abs=4 * (ratio * (1 - ratio) / (n * words)) ** 0.5)


def test_every_position_is_equally_likely_to_be_picked():
    n, words, ratio = 6000, 5, 0.3
    _, changed = corrupt(n, words, ratio=ratio)
    assert changed.picked is not None
    shares = changed.picked[:, :words].double().mean(0)
    assert float((shares - ratio).abs().max()) < 4 * (ratio * (1 - ratio) / n) ** 0.5


def test_special_tokens_and_padding_are_never_picked():
    ids, changed = corrupt(50, 4, extra=3, ratio=1.0)
    assert changed.picked is not None
    assert torch.equal(changed.picked, ids >= N_SPECIAL)
    assert torch.equal(changed.ids[ids < N_SPECIAL], ids[ids < N_SPECIAL])


def test_padding_and_batch_mates_change_no_pick():
    _, alone = corrupt(1, 6, ratio=0.4)
    _, padded = corrupt(9, 6, extra=5, ratio=0.4)
    assert alone.picked is not None and padded.picked is not None
    assert torch.equal(alone.picked[0], padded.picked[0, :7])


def test_each_replacement_does_what_its_name_says():
    for replace in ("mask", "random", "keep", "zero"):
        ids, changed = corrupt(40, 6, ratio=0.5, replace=replace)
        assert changed.picked is not None
        there, before = changed.ids[changed.picked], ids[changed.picked]
        assert torch.equal(changed.ids[~changed.picked], ids[~changed.picked])
        assert bool((there == MASK).all()) is (replace == "mask")
        assert torch.equal(there, before) is (replace in ("keep", "zero"))
        assert (changed.zeroed is not None) is (replace == "zero")
        if changed.zeroed is not None:
            assert torch.equal(changed.zeroed, changed.picked)
        if replace == "random":
            assert set(there.tolist()) == set(range(N_SPECIAL, VOCAB))


def test_a_mix_of_replacements_has_the_asked_shares():
    ids, changed = corrupt(3000, 8, ratio=0.5, replace={"mask": 0.8, "random": 0.1, "keep": 0.1})
    assert changed.picked is not None
    there, before = changed.ids[changed.picked], ids[changed.picked]
    n = len(there)
    masked = (there == MASK).double().mean().item()
    unchanged = (there == before).double().mean().item()
    assert masked == pytest.approx(0.8, abs=4 * (0.16 / n) ** 0.5)
    assert unchanged == pytest.approx(0.1 + 0.1 / (VOCAB - N_SPECIAL), abs=4 * (0.1 / n) ** 0.5)


@pytest.mark.parametrize(
    "replace", [{"mask": 0.5}, {"mask": 0.7, "random": 0.4}, "delete", {"mask": 1.0, "unk": 0.0}, {}]
)
def test_a_replacement_that_is_no_mix_is_refused(replace):
    with pytest.raises(ValidationError):
        TokensOptions.model_validate({"ratio": 0.1, "replace": replace})


def test_options_survive_dump_and_reparse():
    options = TokensOptions.model_validate(
        {"ratio": {"linear": [0.3, 0.1]}, "replace": {"mask": 0.8, "keep": 0.2}}
    )
    assert TokensOptions.model_validate(options.model_dump(mode="json")) == options
    assert options.replace == Replacement(mask=0.8, random=0.0, keep=0.2, zero=0.0)


def test_a_second_mask_never_picks_what_the_first_one_did():
    ids, lengths, examples = sentences(30, 6)
    arm = plan(
        placement("encoder_input", "tokens", ratio=0.5, replace="zero"),
        placement("encoder_input", "tokens", ratio=1.0),
    )
    changed = arm.corrupt("encoder_input", ids, lengths, examples, TRAIN)
    assert changed.zeroed is not None and changed.picked is not None
    assert torch.equal(changed.ids == MASK, (ids >= N_SPECIAL) & ~changed.zeroed)
    assert torch.equal(changed.picked, ids >= N_SPECIAL)


def test_token_masks_rest_in_evaluation_unless_told_otherwise():
    ids, lengths, examples = sentences(5, 6)
    clock = Clock.evaluation(3, 10)
    resting = plan(placement("encoder_input", "tokens", ratio=0.5)).corrupt(
        "encoder_input", ids, lengths, examples, clock
    )
    awake = placement("encoder_input", "tokens", ratio=0.5).model_copy(update={"phases": ("eval",)})
    acting = plan(awake).corrupt("encoder_input", ids, lengths, examples, clock)
    assert resting.picked is None and torch.equal(resting.ids, ids)
    assert acting.picked is not None and bool(acting.picked.any())


def test_the_decoder_picks_without_knowing_the_length():
    ids = torch.cat([torch.full((20, 1), BOS), torch.randint(N_SPECIAL, VOCAB, (20, 7))], 1)
    examples = torch.arange(20)
    arm = plan(placement("decoder_input", "tokens", ratio=0.4))
    whole = arm.corrupt("decoder_input", ids, torch.full((20,), 8), examples, TRAIN)
    for n in range(1, 8):
        prefix = arm.corrupt("decoder_input", ids[:, :n], torch.full((20,), n), examples, TRAIN)
        later = arm.corrupt("decoder_input", ids[:, n:], torch.full((20,), 8), examples, TRAIN, start=n)
        assert torch.equal(whole.ids[:, :n], prefix.ids)
        assert torch.equal(whole.ids[:, n:], later.ids)
    assert torch.equal(whole.ids[:, 0], ids[:, 0])


def test_rounding_is_refused_at_the_decoder():
    where = placement("decoder_input", "tokens", ratio=0.1, count="rounded")
    with pytest.raises(ValueError, match="use bernoulli"):
        Tokens.check("decoder_input", TokensOptions(ratio=0.1, count="rounded"), where, ModelConfig())


def test_loss_tokens_leaves_out_the_asked_share_and_never_counts_padding():
    n, words = 4000, 6
    real = torch.arange(words + 2) < torch.full((n, 1), words)
    weights = plan(placement("loss", "loss_tokens", ratio=0.25)).loss_weights(real, torch.arange(n), TRAIN)
    assert weights is not None
    assert bool((weights[~real] == 0).all())
    assert weights[real].mean().item() == pytest.approx(0.75, abs=4 * (0.1875 / (n * words)) ** 0.5)


def test_banned_words_get_no_probability_and_gold_is_never_banned():
    arm = plan(placement("logits", "ban_tokens", tokens=["w7", "w9"]))
    gold = torch.tensor([[7, 11, 9]])
    scores = torch.zeros(1, 3, VOCAB)
    trained = arm.logits(scores, TRAIN, gold, torch.tensor([0]))
    decoded = arm.logits(scores, Clock.evaluation(1, 1), None, torch.tensor([0]))
    assert [(row == -torch.inf).nonzero().flatten().tolist() for row in trained[0]] == [[9], [7, 9], [7]]
    assert [(row == -torch.inf).nonzero().flatten().tolist() for row in decoded[0]] == [[7, 9]] * 3


def test_a_word_the_vocabulary_lacks_cannot_be_banned():
    with pytest.raises(ConfigError, match="'zebra'"):
        plan(placement("logits", "ban_tokens", tokens=["zebra", "w7"]))
