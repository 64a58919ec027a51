"""Token masks: how many are picked, which, what becomes of them, who is protected."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from helpers import TRAIN, VOCAB, placement, plan, sizes, tiny_batch, tiny_model
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from maskbench.config.schema.experiment import ModelConfig
from maskbench.data.vocabulary import BOS, EOS, MASK, N_SPECIAL, PAD
from maskbench.errors import ConfigError
from maskbench.masks.clock import Clock
from maskbench.masks.context import TokenContext, TokenInput
from maskbench.masks.corpus_statistics import CorpusStatistics
from maskbench.masks.strategies.inputs.token_replacement import Replacement
from maskbench.masks.strategies.inputs.tokens import Tokens, TokensOptions


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
    for fate in ("mask", "random", "keep", "zero"):
        ids, changed = corrupt(40, 6, ratio=0.5, replace=fate)
        assert changed.picked is not None
        there, before = changed.ids[changed.picked], ids[changed.picked]
        assert torch.equal(changed.ids[~changed.picked], ids[~changed.picked])
        assert bool((there == MASK).all()) is (fate == "mask")
        assert torch.equal(there, before) is (fate in ("keep", "zero"))
        assert (changed.zeroed is not None) is (fate == "zero")
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
    "mix", [{"mask": 0.5}, {"mask": 0.7, "random": 0.4}, "drop", {"mask": 1.0, "unk": 0.0}, {}]
)
def test_a_replacement_that_is_no_mix_is_refused(mix):
    with pytest.raises(ValidationError):
        TokensOptions.model_validate({"ratio": 0.1, "replace": mix})


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


ROUNDED_AT_15_PERCENT = {
    # words: floor, ceil, at least one; what r n is, worked out by hand
    1: (0, 1, 1),  # 0.15
    3: (0, 1, 1),  # 0.45
    6: (0, 1, 1),  # 0.9
    7: (1, 2, 1),  # 1.05
    8: (1, 2, 1),  # 1.2
    10: (1, 2, 2),  # 1.5, halves up
    20: (3, 3, 3),  # 3 exactly
}


@pytest.mark.parametrize("words", ROUNDED_AT_15_PERCENT)
@pytest.mark.parametrize(("place", "count"), [*enumerate(["floor", "ceil", "at_least_one"])])
def test_counts_on_short_sentences_are_those_worked_by_hand(words, place, count):
    _, changed = corrupt(3, words, ratio=0.15, count=count)
    assert changed.picked is not None
    assert changed.picked.sum(1).tolist() == [ROUNDED_AT_15_PERCENT[words][place]] * 3


@pytest.mark.parametrize(("ratio", "words"), [(0.07, 100), (0.29, 100), (0.55, 20), (0.1, 30)])
@pytest.mark.parametrize("count", ["rounded", "floor", "ceil", "at_least_one"])
def test_a_whole_product_is_not_rounded_away(ratio, words, count):
    _, changed = corrupt(20, words, ratio=ratio, count=count)
    assert changed.picked is not None
    assert changed.picked.sum(1).tolist() == [round(ratio * words)] * 20


def test_at_least_one_is_none_where_the_ratio_is_0():
    _, changed = corrupt(4, 5, ratio=0.0, count="at_least_one")
    assert changed.picked is not None and not changed.picked.any()


def test_two_of_the_nine_words_of_the_article_are_hidden():
    """The quick brown fox jumps over the lazy dog: hiding quick and lazy is a ratio of two ninths."""
    words = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog"]
    id_of = {word: N_SPECIAL + i for i, word in enumerate(dict.fromkeys(words))}
    ids = torch.tensor([[id_of[word] for word in words] + [EOS]])
    lengths, example = torch.tensor([10]), torch.tensor([0])
    others = [word for word in id_of if word not in ("quick", "lazy")]
    of = replace(sizes(), id_of=id_of.get)
    arm = plan(
        placement("encoder_input", "tokens", ratio=1.0, always_visible={"tokens": others}),
        of=of,
    )
    hidden = arm.corrupt("encoder_input", ids, lengths, example, TRAIN)
    shown = ["[Mask]" if i == MASK else word for i, word in zip(hidden.ids[0].tolist(), words, strict=False)]
    assert " ".join(shown) == "the [Mask] brown fox jumps over the [Mask] dog"
    drawn = plan(placement("encoder_input", "tokens", ratio=2 / 9), of=of)
    for epoch in range(30):
        clock = Clock("train", epoch, 100, epoch=epoch)
        assert int((drawn.corrupt("encoder_input", ids, lengths, example, clock).ids == MASK).sum()) == 2


# The half that is picked first, for sentences of 1 to 6 words, written out.
HALVES = {
    "prefix": ["1", "10", "110", "1100", "11100", "111000"],
    "suffix": ["1", "01", "011", "0011", "00111", "000111"],
    "middle": ["1", "11", "010", "0110", "01110", "011110"],
    "ends": ["0", "11", "101", "1001", "10001", "110011"],
}


@pytest.mark.parametrize("where", HALVES)
@pytest.mark.parametrize("words", range(1, 7))
def test_a_half_is_picked_first_and_evenly(where, words):
    half = [int(c) for c in HALVES[where][words - 1]]
    n, size = 2000, sum(half) or 1
    # As many picks as the half has, then one fewer, then one more.
    for quota in {size, max(1, size - 1), min(words, size + 1)}:
        _, changed = corrupt(n, words, ratio=quota / words, positions=where)
        assert changed.picked is not None
        shares = changed.picked[:, :words].double().mean(0)
        inside = min(1.0, quota / sum(half)) if sum(half) else 0.0
        outside = max(0, quota - sum(half)) / (words - sum(half)) if words > sum(half) else 0.0
        expected = torch.tensor([inside if c else outside for c in half], dtype=torch.float64)
        assert float((shares - expected).abs().max()) <= 4 * (0.25 / n) ** 0.5 * bool(0 < quota < words)
        certain = (expected == 0) | (expected == 1)
        assert torch.equal(shares[certain], expected[certain])


@pytest.mark.parametrize(("where", "first"), [("rare", [9, 6, 7]), ("frequent", [5, 8, 7])])
def test_rare_and_frequent_words_are_picked_by_their_counts(where, first):
    counts = torch.zeros(VOCAB, dtype=torch.int64)
    counts[torch.tensor([5, 6, 7, 8, 9])] = torch.tensor([50, 3, 7, 40, 1])
    facts = replace(sizes().facts, counts=counts)
    ids = torch.tensor([[5, 6, 7, 8, 9, EOS]]).expand(40, -1)
    arm = plan(
        placement("encoder_input", "tokens", ratio=0.6, positions=where), of=replace(sizes(), facts=facts)
    )
    changed = arm.corrupt("encoder_input", ids, torch.full((40,), 6), torch.arange(40), TRAIN)
    assert changed.picked is not None
    assert all(
        set(row[hidden].tolist()) == set(first) for row, hidden in zip(ids, changed.picked, strict=True)
    )


def test_what_is_always_visible_is_never_picked():
    ids, changed = corrupt(
        40, 8, extra=3, ratio=1.0, always_visible={"first": 2, "last": 1, "tokens": ["w9"]}
    )
    for row, picked in zip(ids.tolist(), changed.picked.tolist(), strict=True):  # type: ignore[union-attr]
        assert picked == [2 <= i < 7 and row[i] != 9 for i in range(len(row))]


def test_the_ratio_counts_what_is_not_always_visible():
    _, changed = corrupt(500, 9, ratio=0.5, always_visible={"first": 3})
    assert changed.picked is not None and changed.picked.sum(1).tolist() == [3] * 500


def test_the_first_words_of_the_decoder_stay_behind_the_front_mark():
    ids = torch.tensor([[BOS, 9, 8, 7, 6, 5]]).expand(20, -1)
    arm = plan(placement("decoder_input", "tokens", ratio=1.0, always_visible={"first": 2}))
    changed = arm.corrupt("decoder_input", ids, torch.full((20,), 6), torch.arange(20), TRAIN)
    assert changed.picked is not None
    assert changed.picked.tolist() == [[False, False, False, True, True, True]] * 20


def test_a_protected_word_the_vocabulary_lacks_is_an_error():
    with pytest.raises(ConfigError, match="'zebra'"):
        plan(placement("encoder_input", "tokens", ratio=0.5, always_visible={"tokens": ["zebra", "w7"]}))


@pytest.mark.parametrize("unit", ["token", "word", "span"])
@pytest.mark.parametrize("count", ["bernoulli", "rounded"])
def test_every_example_may_have_a_ratio_of_its_own(unit, count):
    ids, lengths, examples = sentences(300, 11)
    options = TokensOptions(ratio=0.0, unit=unit, count=count)
    each = torch.linspace(0, 1, 300, dtype=torch.float64)
    arm = plan(placement("encoder_input", "tokens", **options.model_dump(mode="json")))
    strategy, draws = arm.placed[0].strategy, arm.placed[0].draws(TRAIN, examples)
    assert isinstance(strategy, Tokens)
    context = TokenContext(TokenInput(ids), ids >= N_SPECIAL, torch.arange(12), draws, lengths)
    _, picked = strategy.change(options.model_copy(update={"ratio": each}), context)
    for ratio in (0, 150, 299):
        alone = strategy.change(options.model_copy(update={"ratio": float(each[ratio])}), context)[1]
        assert torch.equal(picked[ratio], alone[ratio])
    assert not picked[0].any() and torch.equal(picked[299], ids[299] >= N_SPECIAL)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"count": "floor"}, "use bernoulli"),
        ({"count": "at_least_one"}, "use bernoulli"),
        ({"positions": "prefix"}, "whole sentence"),
        ({"replace": "delete"}, "labels"),
        ({"unit": "word", "collapse": True}, "labels"),
        ({"always_visible": {"last": 1}}, "end"),
    ],
)
def test_what_needs_the_whole_sentence_is_refused_at_the_decoder(options, reason):
    parsed = TokensOptions.model_validate({"ratio": 0.1, **options})
    where = placement("decoder_input", "tokens", ratio=0.1, **options)
    with pytest.raises(ValueError, match=reason):
        Tokens.check("decoder_input", parsed, where, ModelConfig())
    Tokens.check("encoder_input", parsed, where.model_copy(update={"site": "encoder_input"}), ModelConfig())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"span": {"mean": 2}}, "unit: span"),
        ({"collapse": True}, "unit: word or span"),
        ({"unit": "span", "collapse": True, "replace": "zero"}, "replace must be mask"),
        ({"positions": "ends", "count": "bernoulli"}, "another count"),
        ({"positions": "rare", "unit": "span"}, "token or word"),
        ({"unit": "span", "span": {"lengths": "fixed", "mean": 2.5}}, "whole number"),
        ({"unit": "span", "span": {"lengths": "fixed", "mean": 12}}, "at most max"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, reason):
    with pytest.raises(ValidationError, match=reason):
        TokensOptions.model_validate({"ratio": 0.1, **options})


def test_a_corpus_that_says_nothing_of_words_is_refused():
    bare = replace(sizes(), facts=CorpusStatistics())
    for options, reason in [({"unit": "word"}, "words begin"), ({"positions": "rare"}, "counts")]:
        with pytest.raises(ConfigError, match=reason):
            plan(placement("encoder_input", "tokens", ratio=0.1, **options), of=bare)


def test_a_zeroed_word_is_unknown_but_no_padding():
    """Which word it was changes nothing; that it is there does, unlike a deleted one."""
    batch, clock = tiny_batch(), Clock("train", 0, 100)

    def scores(words: Tensor, fate: str) -> Tensor:
        arm = plan(placement("encoder_input", "tokens", ratio=1.0, replace=fate))
        answer: Tensor = tiny_model(arm)(replace(batch, src=words), clock)
        return answer

    others = torch.where(batch.src >= N_SPECIAL, N_SPECIAL + (batch.src * 7) % 18, batch.src)
    assert torch.equal(scores(batch.src, "zero"), scores(others, "zero"))
    assert not torch.equal(scores(batch.src, "keep"), scores(others, "keep"))
    moved = (scores(batch.src, "zero") - scores(batch.src, "delete")).abs().amax((1, 2))
    assert bool((moved > 1e-3).all())


def test_what_an_earlier_mask_zeroed_stays_zeroed():
    where = placement("encoder_input", "tokens", ratio=0.5, replace="zero")
    ids, lengths = torch.full((6, 9), N_SPECIAL + 4), torch.full((6,), 9)
    one, two = (
        plan(*arm).corrupt("encoder_input", ids, lengths, torch.arange(6), TRAIN)
        for arm in ([where], [where] * 2)
    )
    assert one.zeroed is not None and two.zeroed is not None
    assert bool((two.zeroed | ~one.zeroed).all()) and int(two.zeroed.sum()) > int(one.zeroed.sum())
