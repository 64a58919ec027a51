"""Logit masks: what may not be said, and that the gold token always may in training."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from helpers import TRAIN, VOCAB, logit_context, placement, plan, sizes, tiny_batch, tiny_model
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from maskbench.data.corpus import Ragged
from maskbench.data.vocabulary import BOS, EOS, N_SPECIAL, PAD
from maskbench.decoding import greedy_search
from maskbench.errors import ConfigError
from maskbench.masks.base import LogitMask
from maskbench.masks.clock import Clock
from maskbench.masks.context import LogitContext, SourceBatch
from maskbench.masks.corpus_statistics import CorpusStatistics
from maskbench.masks.strategies.outputs import vocabulary_masks as lexicon_module
from maskbench.masks.strategies.outputs.vocabulary_masks import build_dice_lexicon, most_frequent_entries

EVAL = Clock.evaluation(1, 1)


def allowed(ctx: LogitContext, name: str, examples: Tensor | None = None, **options: Any) -> Tensor:
    placed = plan(placement("logits", name, **options)).placed[0]
    assert isinstance(placed.strategy, LogitMask)
    draws = None if examples is None else placed.draws(ctx.clock, examples)
    return placed.strategy.allowed(placed.options_at(ctx.clock, 0, examples), ctx.with_draws(draws))


def context(prefix: Tensor, start: int = 0) -> LogitContext:
    """Rows `start` and later of these decoder inputs."""
    source, rows = tiny_batch(), torch.arange(len(prefix))
    positions = torch.arange(start, prefix.shape[1])
    return LogitContext(prefix, positions, source.src[rows], source.src_lengths[rows], EVAL)


def test_banned_words_get_no_probability_and_gold_is_never_banned():
    arm = plan(placement("logits", "ban_tokens", tokens=["w7", "w9"]))
    gold = torch.tensor([[7, 11, 9]])
    scores = torch.zeros(1, 3, VOCAB)
    one, batch = torch.tensor([0]), tiny_batch()
    trained = arm.mask_logits(scores, logit_context(batch, TRAIN), gold, one)
    decoded = arm.mask_logits(scores, logit_context(batch, EVAL), None, one)
    assert [(row == -torch.inf).nonzero().flatten().tolist() for row in trained[0]] == [[9], [7, 9], [7]]
    assert [(row == -torch.inf).nonzero().flatten().tolist() for row in decoded[0]] == [[7, 9]] * 3


def test_what_any_logit_mask_bans_is_banned():
    arm = plan(
        placement("logits", "ban_tokens", tokens=["w7"]), placement("logits", "ban_tokens", tokens=["w9"])
    )
    batch = tiny_batch()
    scores = arm.mask_logits(torch.zeros(3, 8, VOCAB), logit_context(batch, EVAL), None, batch.ids)
    assert (scores[1, 2] == -torch.inf).nonzero().flatten().tolist() == [7, 9]


def test_a_word_the_vocabulary_lacks_cannot_be_banned():
    with pytest.raises(ConfigError, match="'zebra'"):
        plan(placement("logits", "ban_tokens", tokens=["zebra", "w7"]))


def test_multiplying_a_score_by_0_is_no_ban():
    scores = torch.tensor([2.0, -1.0, 0.5])
    keep = torch.tensor([True, False, True])
    assert float((scores * keep).softmax(-1)[1]) > 0.05
    assert float(scores.masked_fill(~keep, -torch.inf).softmax(-1)[1]) == 0.0


def test_a_share_of_the_vocabulary_is_dropped_for_each_sentence():
    examples, ratio = torch.arange(800), 0.2
    keep = allowed(context(torch.full((3, 4), 7)), "drop_vocabulary", examples, ratio=ratio)
    assert keep.shape == (800, 1, VOCAB) and bool(keep[..., :N_SPECIAL].all())
    ordinary = keep[:, 0, N_SPECIAL:].double()
    bound = 4 * (ratio * (1 - ratio)) ** 0.5
    assert float(1 - ordinary.mean()) == pytest.approx(ratio, abs=bound / ordinary.numel() ** 0.5)
    assert float((1 - ordinary.mean(0) - ratio).abs().max()) < bound / 800**0.5
    assert len({tuple(row) for row in ordinary.tolist()}) > 400


def test_dropping_the_whole_vocabulary_leaves_marks_and_gold():
    arm, batch = plan(placement("logits", "drop_vocabulary", ratio=1.0)), tiny_batch()
    scores = torch.zeros(3, 8, VOCAB)
    left = arm.mask_logits(scores, logit_context(batch, TRAIN), batch.tgt_out, batch.ids) == 0
    for row, gold in zip(left.flatten(0, 1).tolist(), batch.tgt_out.flatten().tolist(), strict=True):
        assert {v for v in range(VOCAB) if row[v]} == {*range(N_SPECIAL), gold}


def forbidden(said: list[int], n: int) -> set[int]:
    """The words that would say n tokens again, by brute force: say each and look."""
    banned = set()
    for word in range(VOCAB):
        runs = [tuple([*said, word][i : i + n]) for i in range(len(said) + 2 - n)]
        if runs and runs[-1] in runs[:-1]:
            banned.add(word)
    return banned


@given(
    st.lists(st.lists(st.integers(5, 8), min_size=9, max_size=9), min_size=3, max_size=3), st.integers(1, 4)
)
def test_what_would_repeat_an_ngram_is_banned_and_nothing_else(said, n):
    prefix = torch.tensor([[BOS, *row] for row in said])
    keep = allowed(context(prefix), "no_repeat_ngram", n=n)
    for b, row in enumerate(said):
        for t in range(10):
            found = {v for v in range(VOCAB) if not keep[b, t, v]}
            assert found == forbidden(row[:t], n)


@given(st.lists(st.integers(5, 7), min_size=8, max_size=8), st.integers(1, 3))
def test_a_row_asks_its_own_prefix_alone(said, n):
    prefix = torch.tensor([[BOS, *said], [BOS, *said[::-1]], [BOS, *[7] * 8]])
    whole = allowed(context(prefix), "no_repeat_ngram", n=n)
    for t in range(9):
        step = allowed(context(prefix[:, : t + 1], start=t), "no_repeat_ngram", n=n)
        assert torch.equal(step, whole[:, t : t + 1])
    assert torch.equal(allowed(context(prefix[:1]), "no_repeat_ngram", n=n), whole[:1])


def repeats(sentence: list[int], n: int) -> int:
    runs = [tuple(sentence[i : i + n]) for i in range(len(sentence) - n + 1)]
    return len(runs) - len(set(runs))


def sources(count: int) -> SourceBatch:
    generator = torch.Generator().manual_seed(4)
    lengths = torch.randint(2, 8, (count,), generator=generator)
    columns = torch.arange(7)
    ids = torch.where(
        columns < lengths[:, None] - 1, torch.randint(5, VOCAB, (count, 7), generator=generator), EOS
    )
    return SourceBatch(torch.where(columns < lengths[:, None], ids, PAD), lengths, torch.arange(count))


def translations(*arm: Any, cached: bool | None = None) -> list[list[int]]:
    model = tiny_model(plan(*arm)).eval()
    with torch.no_grad():
        model.words.table("output")[EOS] -= 0.3
    return greedy_search(model, sources(30), EVAL, max_length_ratio=2.0, cached=cached)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_no_translation_of_a_random_model_says_an_ngram_twice(n):
    free = translations()
    assert sum(repeats(said, n) for said in free) > 50
    bound = translations(placement("logits", "no_repeat_ngram", n=n))
    assert max(map(len, bound)) > n and not any(repeats(said, n) for said in bound)
    assert bound == translations(placement("logits", "no_repeat_ngram", n=n), cached=False)


def test_decode_time_masks_rest_in_training():
    batch, scores = tiny_batch(), torch.zeros(3, 8, VOCAB)
    for name in ("no_repeat_ngram", "source_vocabulary"):
        arm = plan(placement("logits", name))
        assert arm.mask_logits(scores, logit_context(batch, TRAIN), batch.tgt_out, batch.ids) is scores


def random_pairs(count: int, seed: int) -> tuple[list[list[int]], list[list[int]]]:
    draw = random.Random(seed)
    sides = [
        [[draw.randrange(3, 15) for _ in range(draw.randrange(0, 7))] + [EOS] for _ in range(count)]
        for _ in "ab"
    ]
    return sides[0], sides[1]


def brute_force(src: list[list[int]], tgt: list[list[int]], vocab: int, k: int) -> list[list[int]]:
    table = []
    for s in range(vocab):
        scored = []
        for t in range(N_SPECIAL, vocab):
            both = sum(s in a and t in b for a, b in zip(src, tgt, strict=True))
            if both and s >= N_SPECIAL:
                dice = 2 * both / (sum(s in a for a in src) + sum(t in b for b in tgt))
                scored.append((-dice, t))
        best = [t for _, t in sorted(scored)[:k]]
        table.append(best + [-1] * (k - len(best)))
    return table


@pytest.mark.parametrize("chunk", [1, 7, 4_000_000])
@pytest.mark.parametrize(("count", "k"), [(1, 2), (12, 3), (40, 20)])
def test_the_lexicon_is_that_of_brute_force(count, k, chunk, monkeypatch):
    monkeypatch.setattr(lexicon_module, "_CHUNK", chunk)
    src, tgt = random_pairs(count, count)
    found = build_dice_lexicon(Ragged.from_rows(src), Ragged.from_rows(tgt), 16, k)
    assert found.tolist() == brute_force(src, tgt, 16, k)


def test_a_corpus_of_marks_alone_has_an_empty_lexicon():
    rows = Ragged.from_rows([[EOS], [3, EOS]])
    assert (build_dice_lexicon(rows, rows, 9, 2) == -1).all()
    assert most_frequent_entries(rows, 4).tolist() == []


def test_the_most_frequent_words_are_counted_without_marks():
    rows = Ragged.from_rows([[9, 9, 7, EOS], [7, 8, 5, EOS], [3, 3, 3, EOS]])
    assert most_frequent_entries(rows, 3).tolist() == [7, 9, 5]
    assert most_frequent_entries(rows, 0).tolist() == []


def lexical_sizes() -> tuple[Any, list[list[int]]]:
    src, tgt = random_pairs(30, 5)
    sides = Ragged.from_rows(src), Ragged.from_rows(tgt)
    return replace(sizes(), facts=replace(sizes().facts, pairs=lambda: sides)), tgt


def test_only_translations_frequent_words_and_marks_are_open():
    of, tgt = lexical_sizes()
    table = brute_force(*random_pairs(30, 5), VOCAB, 2)
    counts = np.bincount([t for row in tgt for t in row], minlength=VOCAB)
    frequent = sorted(range(N_SPECIAL, VOCAB), key=lambda t: (-counts[t], t))[:3]
    arm = plan(placement("logits", "source_vocabulary", k=2, frequent=3), of=of)
    strategy, batch = arm.placed[0].strategy, tiny_batch()
    assert isinstance(strategy, LogitMask)
    keep = strategy.allowed(arm.placed[0].options, logit_context(batch, EVAL))
    assert keep.shape == (3, 1, VOCAB)
    for b, n in enumerate(batch.src_lengths.tolist()):
        opened = {t for s in batch.src[b, :n].tolist() for t in table[s]} - {-1}
        expected = opened | set(frequent) | set(range(N_SPECIAL))
        assert {v for v in range(VOCAB) if keep[b, 0, v]} == expected


def test_a_translation_stays_within_its_source_vocabulary():
    of, _ = lexical_sizes()
    model = tiny_model(plan(placement("logits", "source_vocabulary", k=1, frequent=2), of=of)).eval()
    strategy, read = model.masks.placed[0].strategy, sources(30)
    assert isinstance(strategy, LogitMask)
    said = greedy_search(model, read, EVAL, max_length_ratio=2.0)
    asked = LogitContext(torch.full((30, 1), BOS), torch.tensor([0]), read.ids, read.lengths, EVAL)
    keep = strategy.allowed(model.masks.placed[0].options, asked)[:, 0]
    assert all(keep[row, v] for row, tokens in enumerate(said) for v in tokens)
    free = greedy_search(tiny_model(plan()).eval(), read, EVAL, max_length_ratio=2.0)
    assert not all(keep[row, v] for row, tokens in enumerate(free) for v in tokens)
    assert any(a != b for a, b in pairwise(said))


def test_the_source_vocabulary_is_that_of_the_source_before_any_token_mask():
    of, _ = lexical_sizes()
    hidden = placement("encoder_input", "tokens", ratio=1.0).model_copy(update={"phases": ("eval",)})
    arm = plan(hidden, placement("logits", "source_vocabulary", k=1, frequent=0), of=of)
    said = greedy_search(tiny_model(arm).eval(), sources(30), EVAL, max_length_ratio=2.0)
    # Mask tokens have no translations: after the mask no word would be open.
    assert any(v >= N_SPECIAL for tokens in said for v in tokens)


def test_without_training_pairs_there_is_no_lexicon():
    with pytest.raises(ConfigError, match="training pairs"):
        plan(placement("logits", "source_vocabulary"), of=replace(sizes(), facts=CorpusStatistics()))
