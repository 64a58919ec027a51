"""Sources of one length: what is cut, what is added, and what the padding may do."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from helpers import TABLE, TRAIN, placement, plan, tiny_batch, tiny_model
from pydantic import ValidationError
from torch import Tensor

from maskbench.data.batches import Batch
from maskbench.data.vocabulary import EOS, N_SPECIAL, PAD
from maskbench.errors import ConfigError, CorpusError
from maskbench.masks.clock import Clock
from maskbench.masks.context import Annotations, SourceBatch, TokenInput
from maskbench.masks.plan import MaskPlan
from maskbench.masks.strategies.inputs.fixed_length import FixedLengthOptions

EVAL = Clock.evaluation(3, 10)


def arm(**options: Any) -> MaskPlan:
    return plan(placement("encoder_input", "fixed_length", **options))


def changed(clock: Clock = TRAIN, **options: Any) -> TokenInput:
    batch = tiny_batch()
    return arm(**options).corrupt("encoder_input", batch.src, batch.src_lengths, batch.ids, clock)


def expected(length: int) -> list[list[int]]:
    rows = []
    for row, n in zip(tiny_batch().src.tolist(), tiny_batch().src_lengths.tolist(), strict=True):
        words = row[: n - 1]
        rows.append([*words[: length - 1], EOS] + [PAD] * (length - 1 - len(words)))
    return rows


@pytest.mark.parametrize("clock", [TRAIN, EVAL], ids=["train", "eval"])
@pytest.mark.parametrize("length", [2, 4, 5, 6, 7, 11])
def test_a_longer_source_keeps_its_end_mark_and_a_shorter_one_gets_padding(length, clock):
    after = changed(clock, length=length)
    assert after.ids.tolist() == expected(length)
    assert after.lengths is not None
    assert after.lengths.tolist() == [min(n, length) for n in tiny_batch().src_lengths.tolist()]


def test_visible_padding_counts_as_part_of_the_sentence():
    after = changed(length=6, pad="visible")
    assert after.lengths is not None and after.lengths.tolist() == [6, 6, 6]


def memory_of(model: Any, batch: Batch, at: Clock = EVAL) -> Tensor:
    inputs, source = model.read(batch, at)
    memory: Tensor = model.encode(inputs, source, at)
    return memory


def test_hidden_padding_changes_nothing_for_a_source_that_fits():
    batch = tiny_batch()
    fixed, plain = tiny_model(arm(length=12)), tiny_model(plan())
    n = batch.src.shape[1]
    real = torch.arange(n) < batch.src_lengths[:, None]
    torch.testing.assert_close(memory_of(fixed, batch)[:, :n][real], memory_of(plain, batch)[real])
    torch.testing.assert_close(fixed(batch, EVAL), plain(batch, EVAL), rtol=1e-10, atol=1e-10)


def test_visible_padding_takes_part_in_the_attention_of_short_sources():
    batch = tiny_batch()
    static, plain = tiny_model(arm(length=7, pad="visible")), tiny_model(plan())
    moved = (static(batch, EVAL) - plain(batch, EVAL)).abs().amax((1, 2))
    longest = batch.src_lengths == 7
    assert bool((moved[~longest] > 1e-3).all()) and bool((moved[longest] < 1e-10).all())


def test_the_padding_of_the_batch_and_batch_mates_never_matter():
    batch = tiny_batch()
    model = tiny_model(arm(length=9, pad="visible"))
    whole = model(batch, EVAL)
    wider = replace(batch, src=torch.nn.functional.pad(batch.src, (0, 5), value=11))
    torch.testing.assert_close(model(wider, EVAL), whole, rtol=1e-10, atol=1e-10)
    for i in range(3):
        row = Batch(
            **{f.name: v[i : i + 1] for f in fields(batch) if (v := getattr(batch, f.name)) is not None}
        )
        torch.testing.assert_close(model(row, EVAL), whole[i : i + 1], rtol=1e-10, atol=1e-10)


def test_a_source_that_does_not_fit_is_refused_by_name():
    with pytest.raises(CorpusError, match=r"example 31 has 7 tokens.*length 6.*overflow: truncate"):
        changed(length=6, overflow="refuse")
    assert changed(length=7, overflow="refuse").ids.shape == (3, 7)


def test_the_length_must_fit_the_model_and_hold_a_word():
    assert arm(length=TABLE)
    with pytest.raises(ConfigError, match=f"at most {TABLE}"):
        arm(length=TABLE + 1)
    with pytest.raises(ValidationError):
        FixedLengthOptions(length=1)


def test_the_realised_ratio_counts_the_words_cut_off():
    seen: list[tuple[int, int]] = []

    class Watcher:
        def observe_picks(
            self, placed: Any, draws: Any, picked: Tensor, eligible: Tensor, examples: Tensor
        ) -> None:
            seen.append((int(picked.sum()), int(eligible.sum())))

    watched, batch = arm(length=5), tiny_batch()
    watched.observer = Watcher()  # type: ignore[assignment]
    watched.corrupt("encoder_input", batch.src, batch.src_lengths, batch.ids, TRAIN)
    # 6, 3 and 5 words, of which 4 fit.
    assert seen == [(2 + 0 + 1, 6 + 3 + 5)]


def test_annotations_are_cut_and_padded_alike():
    batch = tiny_batch()
    junk = batch.src % 2 == 1
    links = torch.stack([junk, ~junk], 1)
    source = SourceBatch(batch.src, batch.src_lengths, batch.ids, Annotations(junk, links))
    after = source.after(changed(length=5)).annotations
    assert after.junk is not None and after.links is not None
    for i, n in enumerate(batch.src_lengths.tolist()):
        columns = [*range(min(n, 5) - 1), n - 1]
        padding = [False] * (5 - len(columns))
        assert after.junk[i].tolist() == [*junk[i, columns].tolist(), *padding]
        assert after.links[i, 1].tolist() == [*(~junk[i, columns]).tolist(), *padding]


def test_a_mask_behind_it_picks_words_only():
    batch = tiny_batch()
    both = plan(
        placement("encoder_input", "fixed_length", length=9, pad="visible"),
        placement("encoder_input", "tokens", ratio=1.0, replace="zero"),
    )
    after = both.corrupt("encoder_input", batch.src, batch.src_lengths, batch.ids, TRAIN)
    assert after.zeroed is not None
    assert torch.equal(after.zeroed, after.ids >= N_SPECIAL)
