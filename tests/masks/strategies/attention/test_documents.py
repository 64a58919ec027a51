"""Documents in one sequence see nothing of each other."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from helpers import placement, plan, request, tiny_batch, tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_patterns import pattern, step_of, strategy_of
from torch import Tensor

from maskbench.data.vocabulary import UNK
from maskbench.errors import ConfigError
from maskbench.masks.clock import Clock
from maskbench.masks.context import AttentionRequest

SEP = 12
FEW = settings(max_examples=40)
words = st.lists(st.sampled_from([SEP, 7, 8]), min_size=1, max_size=8)


def asked(src: list[int], tgt: list[int], site: str) -> AttentionRequest:
    """A request about one pair."""
    q, kv = (tgt if site != "encoder_self" else src), (src if site != "decoder_self" else tgt)
    base = request(len(q), len(kv), batch=1)
    return replace(
        base,
        src_lengths=torch.tensor([len(src)]),
        src_ids=torch.tensor([src]),
        tgt_ids=torch.tensor([tgt]),
    )


def answer(src: list[int], tgt: list[int], site: str) -> list[list[bool]]:
    placed = plan(placement(site, "document", separator="w12")).placed[0]
    return pattern(placed, asked(src, tgt, site))[0, 0].tolist()


def source_document(ids: list[int], j: int) -> int:
    """How many separators stand before position j."""
    return sum(1 for token in ids[:j] if token == SEP)


def target_document(ids: list[int], i: int) -> int:
    """How many separators have been read when position i predicts."""
    return sum(1 for token in ids[: i + 1] if token == SEP)


@FEW
@given(words, words)
def test_queries_see_the_keys_of_their_own_document(src, tgt):
    for i, row in enumerate(answer(src, tgt, "encoder_self")):
        assert row == [source_document(src, i) == source_document(src, j) for j in range(len(src))]
    for i, row in enumerate(answer(src, tgt, "decoder_self")):
        assert row == [target_document(tgt, i) == target_document(tgt, j) for j in range(len(tgt))]
    for i, row in enumerate(answer(src, tgt, "cross")):
        assert row == [target_document(tgt, i) == source_document(src, j) for j in range(len(src))]


def test_a_worked_example():
    src, tgt = [7, SEP, 8, 9, 2], [1, 5, SEP, 6]
    yes, no = True, False
    assert answer(src, tgt, "encoder_self") == [[yes, yes, no, no, no]] * 2 + [[no, no, yes, yes, yes]] * 3
    # The separator read at 2 opens the second document, whose first word is predicted there.
    assert answer(src, tgt, "decoder_self") == [[yes, yes, no, no]] * 2 + [[no, no, yes, yes]] * 2
    assert answer(src, tgt, "cross") == [[yes, yes, no, no, no]] * 2 + [[no, no, yes, yes, yes]] * 2


@FEW
@given(words, words)
def test_a_single_query_of_cached_decoding_gets_its_row(src, tgt):
    for site in ("decoder_self", "cross"):
        placed = plan(placement(site, "document", separator="w12")).placed[0]
        whole = pattern(placed, asked(src, tgt, site))
        for i in range(len(tgt)):
            keys = i + 1 if site == "decoder_self" else len(src)
            step = pattern(placed, step_of(asked(src, tgt, site), i, keys))
            assert torch.equal(step, whole[:, :, i : i + 1, :keys])


def test_only_a_document_that_the_source_lacks_leaves_a_row_empty():
    assert answer([7, 8], [1, SEP, 6], "cross") == [[True, True], [False, False], [False, False]]
    for site in ("encoder_self", "decoder_self", "cross"):
        assert strategy_of(site, "document", separator="w12").may_empty_rows is (site == "cross")


def moved(model_of: str, change: Tensor, at: Tensor) -> Tensor:
    """How far the encoder's output moves when the source tokens at `at` become `change`."""
    model = tiny_model(plan(placement("encoder_self", "document", separator=model_of))).eval()
    batch, clock = tiny_batch(), Clock.evaluation(100, 100)
    other = replace(batch, src=torch.where(at, change, batch.src))
    with torch.no_grad():
        outputs = [model.encode(*model.read(b, clock), clock) for b in (batch, other)]
    return (outputs[0] - outputs[1]).abs().amax(-1)


def test_a_changed_word_moves_its_own_document_and_no_other():
    # The first sentence is 14 9 14 8 12 | 9 2: one document of five tokens, one of two.
    batch = tiny_batch()
    at = torch.zeros_like(batch.src, dtype=torch.bool)
    at[0, 1] = True
    far = moved("w12", torch.full_like(batch.src, 20), at)
    assert bool((far[0, :5] > 1e-6).all())
    assert far[0, 5:].tolist() == [0.0, 0.0]
    assert bool((moved("w21", torch.full_like(batch.src, 20), at)[0] > 1e-6).all())


def test_the_separator_must_be_in_the_vocabulary():
    with pytest.raises(ConfigError, match="document: the vocabulary has no entry '<doc>'; give one as"):
        plan(placement("cross", "document", separator="<doc>"))
    placed = plan(placement("encoder_self", "document", separator="<unk>")).placed[0]
    src = torch.tensor([[7, UNK, 8]])
    keep = pattern(placed, replace(request(3, 3, batch=1), src_ids=src))
    assert keep[0, 0].tolist() == [[True, True, False], [True, True, False], [False, False, True]]
