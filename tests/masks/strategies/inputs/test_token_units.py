"""Words and spans: what is picked as one, how long spans are, where they lie, and what a decoder may know of them."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
import torch
from helpers import TRAIN, VOCAB, placement, plan, sizes
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from maskbench.data.vocabulary import BOS, EOS, MASK, N_SPECIAL, PAD
from maskbench.masks.context import Annotations, SourceBatch, TokenInput
from maskbench.masks.corpus_statistics import edges_of_starts
from maskbench.masks.random_draws import Draws
from maskbench.masks.strategies.inputs.selection_order import priority_mask
from maskbench.masks.strategies.inputs.token_units import (
    SpanOptions,
    Units,
    draw_lengths,
    draw_running_spans,
    lay_out_spans,
    span_start_probability,
)
from maskbench.randomness import Key

STARTS = [i < N_SPECIAL or i % 3 > 0 for i in range(VOCAB)]
"""What `helpers.facts` says: every third entry continues a word."""


def draws(examples: int, seed: int = 0) -> Draws:
    return Draws(Key.of(seed, "test"), 0, torch.arange(examples), True)


def batch(count: int, words: int, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(N_SPECIAL, VOCAB, (count, words), generator=generator)
    lengths = torch.randint(2, words + 1, (count,), generator=generator)
    columns = torch.arange(words)
    ids = torch.where(columns < lengths[:, None] - 1, ids, EOS)
    return torch.where(columns < lengths[:, None], ids, PAD), lengths, torch.arange(count)


def decoder_batch(count: int, words: int) -> Tensor:
    generator = torch.Generator().manual_seed(words)
    ids = torch.randint(N_SPECIAL, VOCAB, (count, words), generator=generator)
    return torch.cat([torch.full((count, 1), BOS), ids], 1)


def corrupt(site: str, ids: Tensor, lengths: Tensor, start: int = 0, **options: Any) -> TokenInput:
    arm = plan(placement(site, "tokens", **options))
    return arm.corrupt(site, ids, lengths, torch.arange(len(ids)), TRAIN, start=start)


def words_of(row: list[int]) -> list[list[int]]:
    """The columns of every word of a sentence, by a loop."""
    words: list[list[int]] = []
    for column, token in enumerate(row):
        if token < N_SPECIAL:
            continue
        if STARTS[token] or column == 0 or row[column - 1] < N_SPECIAL:
            words.append([])
        words[-1].append(column)
    return words


@given(st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=12))
def test_words_are_those_a_loop_finds(row):
    ids = torch.tensor([row])
    facts = sizes().facts
    assert facts.source_words is not None and facts.source_words[0].tolist() == STARTS
    units = Units.from_words(ids >= N_SPECIAL, ids, facts.source_words)
    found: dict[int, list[int]] = {}
    for column, number in enumerate(units.unit_indices()[0].tolist()):
        if row[column] >= N_SPECIAL:
            found.setdefault(number, []).append(column)
    assert [found[number] for number in sorted(found)] == words_of(row)
    assert sorted(found) == list(range(len(found)))


@pytest.mark.parametrize("site", ["encoder_input", "decoder_input"])
def test_all_pieces_of_a_word_are_picked_or_none(site):
    ids, lengths, _ = batch(200, 13)
    ids = torch.cat([torch.full((200, 1), BOS), ids], 1)
    changed = corrupt(site, ids, lengths + 1, ratio=0.4, unit="word")
    assert changed.picked is not None
    words = [(row, word) for row in range(200) for word in words_of(ids[row].tolist())]
    taken = [changed.picked[row, word].tolist() for row, word in words]
    assert all(len(set(pieces)) == 1 for pieces in taken)
    share = sum(pieces[0] for pieces in taken) / len(taken)
    assert share == pytest.approx(0.4, abs=4 * (0.24 / len(taken)) ** 0.5)


def test_word_counts_are_rounded_over_words_not_over_tokens():
    row = [5, 6, 9, 7, 8, 10, 12, EOS]  # words of 3, 1, 1 and 2 tokens
    ids = torch.tensor([row]).expand(50, -1)
    changed = corrupt("encoder_input", ids, torch.full((50,), 8), ratio=0.5, unit="word", count="floor")
    assert changed.picked is not None
    for picked in changed.picked.tolist():
        assert sum(picked[word[0]] for word in words_of(row)) == 2


@pytest.mark.parametrize(
    ("spans", "chances"),
    [
        (SpanOptions(lengths="fixed", mean=3, max=5), [0, 0, 1, 0, 0]),
        (SpanOptions(lengths="geometric", mean=2, max=3), [4 / 7, 2 / 7, 1 / 7]),
        (SpanOptions(lengths="poisson", mean=2, max=3), [6 / 16, 6 / 16, 4 / 16]),
        (SpanOptions(lengths="geometric", mean=1, max=4), [1, 0, 0, 0]),
    ],
)
def test_the_chances_of_span_lengths_are_those_worked_by_hand(spans, chances):
    assert spans.length_probabilities() == pytest.approx(chances)


def test_spanbert_lengths_are_3_8_words_on_average():
    chances = SpanOptions(lengths="geometric", mean=5, max=10).length_probabilities()
    assert sum(n * p for n, p in enumerate(chances, 1)) == pytest.approx(3.797, abs=1e-3)


def test_lengths_are_drawn_by_their_chances():
    chances = torch.tensor([0.5, 0.25, 0.0, 0.25], dtype=torch.float64)
    quarter = 2**30
    words = torch.tensor([0, quarter, 2 * quarter - 1, 2 * quarter, 3 * quarter - 1, 3 * quarter, 2**32 - 1])
    assert draw_lengths(words, chances).tolist() == [1, 1, 1, 2, 2, 4, 4]


def blocks(row: list[int]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for place, number in enumerate(row):
        if number >= 0:
            found.setdefault(number, []).append(place)
    return found


@given(st.integers(1, 12), st.integers(0, 12), st.integers(1, 4), st.integers(0, 10**6))
def test_spans_cover_the_quota_exactly_in_the_drawn_lengths(n, quota, longest, seed):
    quota = min(n, quota)
    chances = torch.full((longest,), 1 / longest, dtype=torch.float64)
    one = draws(3, seed)
    found = lay_out_spans(torch.full((3, 1), n), torch.full((3, 1), quota), chances, one, n + 2)
    word = one.words(torch.arange(n + 2), torch.full((n + 2,), 2))[0]
    for row, drawn in zip(found.tolist(), draw_lengths(word, chances).tolist(), strict=True):
        left, expected = quota, []
        for length in drawn:
            if left:
                expected.append(min(length, left))
                left -= expected[-1]
        spans = blocks(row)
        assert [len(spans[i]) for i in sorted(spans)] == expected
        assert all(b == a + 1 for span in spans.values() for a, b in pairwise(span))
        assert row[n:] == [-1, -1]


def test_every_arrangement_of_spans_is_equally_likely():
    """A span of 2 and one of 1 (cut from 2) over 5 places: two orders of the spans times six places among the rest."""
    chances = torch.tensor([0.0, 1.0], dtype=torch.float64)
    n, examples = 5, 12_000
    found = lay_out_spans(
        torch.full((examples, 1), n), torch.full((examples, 1), 3), chances, draws(examples), n
    )
    counts = Counter(tuple(row) for row in found.tolist())
    assert len(counts) == 12
    assert all(abs(count - examples / 12) < 4 * (examples / 12) ** 0.5 for count in counts.values())


def test_padding_and_batch_mates_move_no_span():
    chances = torch.tensor([0.25, 0.25, 0.5], dtype=torch.float64)
    n, quota = torch.tensor([[7], [4], [9]]), torch.tensor([[3], [2], [5]])
    whole = lay_out_spans(n, quota, chances, draws(3), 12)
    for i in range(3):
        one = Draws(Key.of(0, "test"), 0, torch.tensor([i]), True)
        alone = lay_out_spans(n[i : i + 1], quota[i : i + 1], chances, one, int(n[i]))
        assert torch.equal(alone[0], whole[i, : int(n[i])])


def test_the_chance_to_begin_solves_the_closed_form():
    one, two = torch.tensor([1.0], dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)
    each = torch.tensor([0.0, 0.19, 0.75, 1.0], dtype=torch.float64)
    assert span_start_probability(each, one).flatten().tolist() == pytest.approx(each.tolist(), abs=1e-9)
    # A place is free if no span began here or one place before: (1 - q)^2.
    expected = [0.0, 0.1, 0.5, 1.0]
    assert span_start_probability(each, two).flatten().tolist() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("ratio", [0.0, 0.15, 0.6, 1.0])
def test_running_spans_cover_every_place_with_the_asked_probability(ratio):
    chances = torch.tensor(
        SpanOptions(lengths="poisson", mean=3, max=6).length_probabilities(), dtype=torch.float64
    )
    examples = 4000
    covered, _ = draw_running_spans(torch.arange(9), ratio, chances, draws(examples))
    shares = covered.double().mean(0)
    assert float((shares - ratio).abs().max()) <= 4 * (ratio * (1 - ratio) / examples) ** 0.5


def test_running_spans_are_those_a_loop_over_starts_finds():
    chances = torch.tensor([0.3, 0.3, 0.4], dtype=torch.float64)
    source, ratio, longest = draws(40), 0.4, 3
    covered, fate = draw_running_spans(torch.arange(5, 16), ratio, chances, source)
    bound = round(float(span_start_probability(ratio, chances)) * 2**32)
    for example in range(40):
        one = Draws(source.key, 0, torch.tensor([example]), True)
        for column, place in enumerate(range(5, 16)):
            reason = None
            for start in range(place - longest + 1, place + 1):
                begins, length, word, _ = (
                    int(w) for w in one.words(torch.tensor([start + longest]), torch.tensor([4]))
                )
                u = length / 2**32
                drawn = 1 if u < 0.3 else 2 if u < 0.6 else 3
                if begins < bound and start + drawn > place:
                    reason = word
            assert bool(covered[example, column]) is (reason is not None)
            assert reason is None or int(fate[example, column]) == reason


SPANS = [
    {"unit": "span"},
    {"unit": "span", "span": {"of": "word", "lengths": "poisson", "mean": 2}},
    {"unit": "word"},
    {"unit": "span", "replace": {"mask": 0.4, "random": 0.3, "zero": 0.3}},
]


@pytest.mark.parametrize("options", SPANS)
def test_cutting_the_future_off_changes_no_pick_at_the_decoder(options):
    ids = decoder_batch(30, 9)
    whole = corrupt("decoder_input", ids, torch.full((30,), 10), ratio=0.5, **options)
    assert whole.picked is not None and whole.picked.any()
    for n in range(1, 10):
        prefix = corrupt("decoder_input", ids[:, :n], torch.full((30,), n), ratio=0.5, **options)
        assert torch.equal(prefix.ids, whole.ids[:, :n])
        assert prefix.picked is not None and torch.equal(prefix.picked, whole.picked[:, :n])


@pytest.mark.parametrize("options", SPANS)
def test_a_strategy_that_needs_earlier_tokens_says_so(options):
    where = placement("decoder_input", "tokens", ratio=0.5, **options)
    arm = plan(where.model_copy(update={"phases": ("train", "eval")}))
    by_word = options["unit"] == "word" or options.get("span", {}).get("of") == "word"
    assert arm.cacheable is not by_word
    assert plan(where).cacheable
    ids = decoder_batch(30, 9)
    whole = corrupt("decoder_input", ids, torch.full((30,), 10), ratio=0.5, **options)
    later = corrupt("decoder_input", ids[:, 4:], torch.full((30,), 10), start=4, ratio=0.5, **options)
    assert torch.equal(later.ids, whole.ids[:, 4:]) is not by_word


@pytest.mark.parametrize("count", ["rounded", "bernoulli"])
def test_tokens_of_a_span_share_their_fate(count):
    ids, lengths = torch.full((300, 13), 7), torch.full((300,), 13)
    ids[:, -1] = EOS
    mix = {"mask": 0.5, "keep": 0.5}
    spans = {"lengths": "fixed", "mean": 3}
    changed = corrupt(
        "encoder_input", ids, lengths, ratio=0.25, unit="span", span=spans, count=count, replace=mix
    )
    assert changed.picked is not None
    alone = 0
    for picked, row in zip(changed.picked.tolist(), changed.ids.tolist(), strict=True):
        runs = "".join("x" if p else " " for p in picked).split(" ")
        # A span that the sentence's end cuts may not be the only one there.
        if [run for run in runs if run] == ["xxx"] and not picked[-2]:
            alone += 1
            assert len({token for token, p in zip(row, picked, strict=True) if p}) == 1
    assert alone > 20


def test_a_sentence_of_one_span_becomes_one_mask_token():
    """The fixed length covers everything, so the example of BART's paper shrinks to the mask and the end mark."""
    ids = torch.tensor([[5, 7, 8, 10, 11, EOS, PAD]])
    spans = {"lengths": "fixed", "mean": 5}
    changed = corrupt(
        "encoder_input", ids, torch.tensor([6]), ratio=1.0, unit="span", span=spans, collapse=True
    )
    assert changed.ids.tolist() == [[MASK, EOS]]
    assert changed.lengths is not None and changed.lengths.tolist() == [2]
    assert changed.origin is not None and changed.origin.tolist() == [[0, 5]]


def test_every_picked_word_becomes_one_mask_token():
    row = [5, 6, 9, 7, 8, 10, 12, EOS]  # words of 3, 1, 1 and 2 tokens
    changed = corrupt(
        "encoder_input", torch.tensor([row]), torch.tensor([8]), ratio=1.0, unit="word", collapse=True
    )
    assert changed.ids.tolist() == [[MASK] * 4 + [EOS]]
    assert changed.origin is not None and changed.origin.tolist() == [[0, 3, 4, 5, 7]]


@pytest.mark.parametrize("count", ["rounded", "bernoulli"])
def test_collapsing_leaves_what_is_not_picked_and_a_mark_for_each_span(count):
    ids, lengths, _ = batch(150, 14)
    options: dict[str, Any] = {"ratio": 0.4, "unit": "span", "count": count}
    kept = corrupt("encoder_input", ids, lengths, **options)
    joined = corrupt("encoder_input", ids, lengths, collapse=True, **options)
    assert kept.picked is not None and joined.lengths is not None
    for i in range(150):
        before = [t for t in kept.ids[i, : int(lengths[i])].tolist() if t != MASK]
        row = joined.ids[i, : int(joined.lengths[i])].tolist()
        assert [t for t in row if t != MASK] == before
        runs = sum(a and not b for a, b in pairwise([*kept.picked[i].tolist(), False]))
        marks = row.count(MASK)
        assert marks == runs if count == "bernoulli" else marks >= runs


def test_deleting_everything_leaves_the_end_mark():
    ids, lengths, _ = batch(30, 9)
    changed = corrupt("encoder_input", ids, lengths, ratio=1.0, replace="delete")
    assert changed.ids.tolist() == [[EOS]] * 30
    assert changed.lengths is not None and changed.lengths.tolist() == [1] * 30


def test_deletion_takes_out_what_masking_would_hide():
    ids, lengths, _ = batch(80, 11)
    hidden = corrupt("encoder_input", ids, lengths, ratio=0.4)
    left = corrupt("encoder_input", ids, lengths, ratio=0.4, replace="delete")
    assert hidden.picked is not None and left.lengths is not None
    assert left.ids.shape[1] == int(left.lengths.max())
    for i in range(80):
        expected = [t for t, p in zip(ids[i].tolist(), hidden.picked[i].tolist(), strict=True) if t and not p]
        n = int(left.lengths[i])
        assert left.ids[i, :n].tolist() == expected
        assert left.ids[i, n:].tolist() == [PAD] * (left.ids.shape[1] - n)


def test_annotations_move_with_the_tokens_that_are_left():
    ids, lengths, examples = batch(60, 11)
    generator = torch.Generator().manual_seed(3)
    junk = torch.rand(ids.shape, generator=generator) < 0.5
    links = torch.rand(60, 6, 11, generator=generator) < 0.3
    changed = corrupt("encoder_input", ids, lengths, ratio=0.4, replace="delete")
    after = SourceBatch(ids, lengths, examples, Annotations(junk, links)).after(changed)
    moved, origin = after.annotations, changed.origin
    assert moved.junk is not None and moved.links is not None and origin is not None
    for i in range(60):
        for column in range(int(after.lengths[i])):
            before = int(origin[i, column])
            assert int(ids[i, before]) == int(after.ids[i, column])
            assert bool(moved.junk[i, column]) is bool(junk[i, before])
            assert torch.equal(moved.links[i, :, column], links[i, :, before])


def test_a_mix_with_deletion_has_the_asked_shares():
    ids, lengths = torch.full((2000, 9), 7), torch.full((2000,), 9)
    ids[:, -1] = EOS
    changed = corrupt(
        "encoder_input", ids, lengths, ratio=0.5, replace={"mask": 0.25, "delete": 0.25, "keep": 0.5}
    )
    assert changed.lengths is not None
    picks = 2000 * 8 * 0.5
    bound = 4 * (0.1875 / picks) ** 0.5
    assert int((9 - changed.lengths).sum()) / picks == pytest.approx(0.25, abs=bound)
    assert int((changed.ids == MASK).sum()) / picks == pytest.approx(0.25, abs=bound)


@pytest.mark.parametrize("options", [*SPANS, {"unit": "span", "collapse": True}, {"replace": "delete"}])
def test_padding_and_batch_mates_change_nothing(options):
    ids, lengths, _ = batch(7, 10)
    whole = corrupt("encoder_input", ids, lengths, ratio=0.5, **options)
    wide = torch.cat([ids, torch.full((7, 4), 9)], 1)
    padded = corrupt("encoder_input", wide, lengths, ratio=0.5, **options)
    after = lengths if whole.lengths is None else whole.lengths
    for i in range(7):
        n = int(after[i])
        alone = plan(placement("encoder_input", "tokens", ratio=0.5, **options)).corrupt(
            "encoder_input", ids[i : i + 1, : int(lengths[i])], lengths[i : i + 1], torch.tensor([i]), TRAIN
        )
        assert alone.ids[0].tolist() == whole.ids[i, :n].tolist() == padded.ids[i, :n].tolist()


def test_the_mean_share_of_tokens_in_spans_is_the_ratio():
    ids, lengths = torch.full((1500, 12), 7), torch.full((1500,), 12)
    ids[:, -1] = EOS
    for count in ("rounded", "bernoulli"):
        changed = corrupt("encoder_input", ids, lengths, ratio=0.3, unit="span", count=count)
        assert changed.picked is not None
        # Neighbours go together, at most ten of them: the error is that of a tenth of the tokens.
        bound = 4 * math.sqrt(0.21 / (1500 * 11 / 10))
        assert changed.picked.sum().item() / (1500 * 11) == pytest.approx(0.3, abs=bound)


def test_a_word_is_as_rare_as_its_rarest_piece():
    row = [5, 6, 7, 9, 8, 10, EOS]  # words 5 6, 7 9, 8 and 10
    counts = torch.zeros(VOCAB, dtype=torch.int64)
    counts[torch.tensor([5, 6, 7, 9, 8, 10])] = torch.tensor([90, 20, 80, 2, 30, 10])
    ids = torch.tensor([row])
    units = Units.from_words(ids >= N_SPECIAL, ids, edges_of_starts(torch.tensor(STARTS)))
    rare = priority_mask("rare", units, ids, counts) & units.starts
    often = priority_mask("frequent", units, ids, counts) & units.starts
    assert rare.nonzero()[:, 1].tolist() == [2, 5]
    assert often.nonzero()[:, 1].tolist() == [0, 4]
