"""Batches: what is in them, in which order, and how they are padded."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskbench.data import batches as module
from maskbench.data.batches import Batch, BatchSchedule, collate, plan_batches, plan_evaluation_batches
from maskbench.data.corpus import Ragged, Split
from maskbench.data.vocabulary import BOS, EOS, PAD

LENGTHS = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 9)), min_size=1, max_size=40)


def split_of(lengths: list[tuple[int, int]]) -> Split:
    """Return a split whose sentences have these lengths without their end marks; no two sentences are alike."""
    src = [[*range(5 + 20 * i, 5 + 20 * i + s), EOS] for i, (s, _) in enumerate(lengths)]
    tgt = [[*range(7 + 20 * i, 7 + 20 * i + t), EOS] for i, (_, t) in enumerate(lengths)]
    blank = [""] * len(lengths)
    return Split("train", Ragged.from_rows(src), Ragged.from_rows(tgt), blank, blank)


def many(count: int) -> Split:
    return split_of([(i * 7 % 12, i * 5 % 10) for i in range(count)])


def as_sets(batches: list[np.ndarray]) -> set[frozenset[int]]:
    return {frozenset(batch.tolist()) for batch in batches}


@given(LENGTHS, st.integers(1, 60), st.integers(0, 3))
def test_every_example_is_in_exactly_one_batch(
    lengths: list[tuple[int, int]], batch_tokens: int, seed: int
) -> None:
    split = split_of(lengths)
    for batches in (plan_batches(split, batch_tokens, seed), plan_evaluation_batches(split, batch_tokens)):
        assert sorted(i for batch in batches for i in batch.tolist()) == list(range(len(lengths)))


@given(LENGTHS, st.integers(1, 60), st.integers(0, 3))
def test_padded_tokens_stay_within_the_bound(
    lengths: list[tuple[int, int]], batch_tokens: int, seed: int
) -> None:
    split = split_of(lengths)
    for batches in (plan_batches(split, batch_tokens, seed), plan_evaluation_batches(split, batch_tokens)):
        for ids in batches:
            batch = collate(split, ids)
            padded = len(ids) * max(batch.src.shape[1], batch.tgt_in.shape[1])
            assert padded <= batch_tokens or len(ids) == 1


@given(LENGTHS, st.integers(1, 60))
def test_evaluation_goes_from_short_to_long_and_fills_its_batches(
    lengths: list[tuple[int, int]], size: int
) -> None:
    split = split_of(lengths)
    batches = plan_evaluation_batches(split, size)
    longer = [max(lengths[i]) + 1 for batch in batches for i in batch.tolist()]
    assert longer == sorted(longer)
    for batch, following in pairwise(batches):
        one_more = (len(batch) + 1) * (max(lengths[int(following[0])]) + 1)
        assert one_more > size


def test_composition_is_fixed_by_the_seed_and_mixed_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POOL_SIZE", 50)
    split = many(230)
    first, again, other = (plan_batches(split, 90, seed) for seed in (0, 0, 1))
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in again]
    assert len(as_sets(first) & as_sets(other)) < len(first) / 4


def test_an_epoch_has_the_same_batches_in_another_order() -> None:
    schedule = BatchSchedule(many(230), 90, seed=0)
    epochs = []
    for epoch in range(3):
        steps = range(epoch * schedule.n_batches, (epoch + 1) * schedule.n_batches)
        drawn = [schedule.batch_at(step) for step in steps]
        assert {number for number, _ in drawn} == {epoch}
        epochs.append([tuple(ids.tolist()) for _, ids in drawn])
    assert set(epochs[0]) == set(epochs[1]) == set(epochs[2])
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_another_seed_orders_the_batches_otherwise() -> None:
    split = split_of([(3, 3)] * 40)
    orders = []
    for seed in (0, 1):
        schedule = BatchSchedule(split, 8, seed)
        plan = {tuple(ids.tolist()): place for place, ids in enumerate(plan_batches(split, 8, seed))}
        orders.append(
            [plan[tuple(schedule.batch_at(step)[1].tolist())] for step in range(schedule.n_batches)]
        )
    assert orders[0] != orders[1]


@settings(max_examples=30)
@given(st.lists(st.integers(0, 200), min_size=1, max_size=10))
def test_a_step_s_batch_does_not_depend_on_the_steps_asked_for_before(steps: list[int]) -> None:
    split = many(60)
    used = BatchSchedule(split, 70, seed=3)
    for step in steps:
        used.batch_at(step)
    epoch, ids = used.batch_at(17)
    fresh_epoch, fresh_ids = BatchSchedule(split, 70, seed=3).batch_at(17)
    assert (epoch, ids.tolist()) == (fresh_epoch, fresh_ids.tolist())


def test_composition_depends_on_lengths_only_and_not_on_names_or_words() -> None:
    split = many(60)
    other = Split("x", Ragged(split.src.values * 0 + 9, split.src.offsets), split.tgt, ["?"] * 60, ["!"] * 60)
    assert [i.tolist() for i in plan_batches(split, 70, 3)] == [
        i.tolist() for i in plan_batches(other, 70, 3)
    ]


def test_epochs_are_counted_in_steps() -> None:
    schedule = BatchSchedule(many(60), 70, seed=3)
    assert schedule.steps_for_epochs(4) == 4 * schedule.n_batches == 4 * len(plan_batches(many(60), 70, 3))
    assert schedule.batch_at(schedule.steps_for_epochs(4))[0] == 4


def test_a_split_without_examples_cannot_be_scheduled() -> None:
    with pytest.raises(ValueError, match="'train' has no examples"):
        BatchSchedule(split_of([]), 100, seed=0)
    assert plan_batches(split_of([]), 100, 0) == plan_evaluation_batches(split_of([]), 100) == []


@given(LENGTHS, st.data())
def test_the_decoder_input_is_its_output_one_step_behind(
    lengths: list[tuple[int, int]], data: st.DataObject
) -> None:
    split = split_of(lengths)
    chosen = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=6))
    batch = collate(split, np.array(chosen))
    for row, example in enumerate(chosen):
        n = int(batch.tgt_lengths[row])
        assert batch.tgt_in[row, 0] == BOS and batch.tgt_out[row, n - 1] == EOS
        assert batch.tgt_in[row, 1:n].tolist() == batch.tgt_out[row, : n - 1].tolist()
        assert batch.tgt_out[row, :n].tolist() == split.tgt[example].tolist()
        assert EOS not in batch.tgt_in[row]


@given(LENGTHS, st.data())
def test_rows_are_the_examples_asked_for_with_padding_behind(
    lengths: list[tuple[int, int]], data: st.DataObject
) -> None:
    split = split_of(lengths)
    chosen = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=6))
    batch = collate(split, np.array(chosen))
    assert batch.ids.tolist() == chosen
    widths = [
        (batch.src, batch.src_lengths),
        (batch.tgt_in, batch.tgt_lengths),
        (batch.tgt_out, batch.tgt_lengths),
    ]
    for tensor, real in widths:
        assert tensor.dtype == real.dtype == torch.int64 and tensor.shape == (len(chosen), int(real.max()))
        for row, n in zip(tensor.tolist(), real.tolist(), strict=True):
            assert PAD not in row[:n] and set(row[n:]) <= {PAD}
    for row, example in enumerate(chosen):
        assert batch.src[row, : int(batch.src_lengths[row])].tolist() == split.src[example].tolist()


def test_tokens_are_counted_on_the_target_side_with_end_marks() -> None:
    batch = collate(split_of([(3, 5), (8, 2)]), np.array([0, 1]))
    assert batch.n_tokens == 6 + 3 and isinstance(batch.n_tokens, int)


def test_moving_a_batch_moves_every_tensor() -> None:
    batch = collate(split_of([(3, 5), (8, 2)]), np.array([1, 0])).to("meta")
    tensors = [batch.ids, batch.src, batch.src_lengths, batch.tgt_in, batch.tgt_out, batch.tgt_lengths]
    assert isinstance(batch, Batch) and {tensor.device.type for tensor in tensors} == {"meta"}
