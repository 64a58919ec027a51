"""Masks that are told the answer, against nested loops over the annotations."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from helpers import HEADS, placement, plan, request, sizes, tiny_batch, tiny_model
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from maskbench.data.batches import Batch
from maskbench.data.vocabulary import N_SPECIAL
from maskbench.errors import ConfigError
from maskbench.masks.clock import Clock
from maskbench.masks.context import Annotations, AttentionRequest
from maskbench.model.transformer import EncoderDecoder

EVAL = Clock.evaluation(20, 100)


def asking(
    q_len: int, kv_len: int, junk: Tensor | None, links: Tensor | None, start: int = 0
) -> AttentionRequest:
    asked = request(q_len, kv_len)
    return replace(asked, annotations=Annotations(junk, links), q_idx=torch.arange(start, start + q_len))


def random_bools(seed: int, *shape: int, share: float = 0.3) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < share


@given(st.integers(1, 5), st.integers(1, 8), st.integers(0, 4), st.sampled_from(["cross", "encoder_self"]))
def test_the_oracle_hides_the_junk_and_nothing_else(q_len, kv_len, seed, site):
    junk = random_bools(seed, 2, kv_len)
    keep = plan(placement(site, "oracle")).decide_attention(site, 0, asking(q_len, kv_len, junk, None)).keep
    for b in range(2):
        assert keep[b, 0].tolist() == [[not junk[b, s].item() for s in range(kv_len)]] * q_len


@given(
    st.integers(1, 5),
    st.integers(1, 8),
    st.integers(1, 6),
    st.integers(0, 9),
    st.integers(0, 5),
    st.integers(0, 4),
)
def test_align_window_keeps_the_neighbours_of_what_is_translated(q_len, kv_len, rows, width, start, seed):
    links = random_bools(seed, 2, rows, kv_len, share=0.15)
    arm = plan(placement("cross", "align_window", width=width))
    keep = arm.decide_attention("cross", 0, asking(q_len, kv_len, None, links, start)).keep
    for b in range(2):
        for i in range(q_len):
            t = start + i
            linked = [s for s in range(kv_len) if t < rows and links[b, t, s]]
            near = [not linked or min(abs(s - p) for p in linked) <= width for s in range(kv_len)]
            assert keep[b, 0, i].tolist() == near


@pytest.mark.parametrize(
    ("mask", "site"), [("oracle", "cross"), ("oracle", "encoder_self"), ("align_window", "cross")]
)
def test_a_corpus_that_does_not_mark_it_is_refused(mask, site):
    given = frozenset({"links"} if mask == "oracle" else {"junk"})
    of = replace(sizes(), facts=replace(sizes().facts, annotations=given))
    with pytest.raises(ConfigError, match=f"{mask} needs a corpus that marks"):
        plan(placement(site, mask), of=of)


def other_junk(batch: Batch) -> Batch:
    assert batch.junk is not None and bool(batch.junk.any())
    return replace(
        batch, src=torch.where(batch.junk, N_SPECIAL + (batch.src - N_SPECIAL + 5) % 18, batch.src)
    )


def logits(model: EncoderDecoder, batch: Batch) -> Tensor:
    with torch.no_grad():
        return model.eval()(batch, EVAL)


def test_with_the_oracle_at_both_sites_no_junk_word_has_any_influence():
    batch = tiny_batch()
    both = tiny_model(plan(placement("encoder_self", "oracle"), placement("cross", "oracle")))
    assert torch.equal(logits(both, batch), logits(both, other_junk(batch)))
    for site in ("encoder_self", "cross"):
        one = tiny_model(plan(placement(site, "oracle")))
        assert (logits(one, batch) - logits(one, other_junk(batch))).abs().max() > 1e-3


def test_a_source_of_nothing_but_junk_leaves_rows_empty_and_everything_finite():
    batch = tiny_batch()
    batch = replace(batch, junk=torch.ones_like(batch.src, dtype=torch.bool))
    model = tiny_model(plan(placement("encoder_self", "oracle"), placement("cross", "oracle")))
    model(batch, EVAL).sum().backward()
    assert bool(logits(model, batch).isfinite().all())
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in model.parameters())


def test_in_step_by_step_decoding_every_position_has_its_own_links():
    batch = tiny_batch()
    assert batch.links is not None
    arm = plan(placement("cross", "align_window", width=1))
    asked = replace(request(8, 7, batch=3), annotations=Annotations(batch.junk, batch.links))
    whole = arm.decide_attention("cross", 0, asked).keep.expand(3, HEADS, 8, 7)
    for t in range(8):
        step = replace(
            asked, query=asked.query[:, :, t : t + 1], x=asked.x[:, t : t + 1], q_idx=torch.tensor([t]),
            legal=torch.ones(1, 1, 1, 7, dtype=torch.bool),
        )  # fmt: skip
        assert torch.equal(
            arm.decide_attention("cross", 0, step).keep.expand(3, HEADS, 1, 7), whole[:, :, t : t + 1]
        )
    assert len({tuple(row.flatten().tolist()) for row in whole[:, 0].unbind(1)}) > 3


def test_annotations_move_with_the_columns_and_a_new_token_has_none():
    marks = Annotations(
        torch.tensor([[True, False, False]]), torch.tensor([[[True, False, True], [False, True, False]]])
    )
    moved = marks.moved(torch.tensor([[2, -1, 0, -1]]))
    assert moved.junk is not None and moved.links is not None
    assert moved.junk.tolist() == [[False, False, True, False]]
    assert moved.links.tolist() == [[[True, False, True, False], [False, False, False, False]]]


def test_links_in_the_padding_open_nothing():
    batch = tiny_batch()
    real = torch.arange(batch.src.shape[1]) < batch.src_lengths[:, None]
    everywhere = replace(batch, links=batch.links | ~real[:, None])
    arm = plan(placement("cross", "align_window", width=2))
    model = tiny_model(arm).eval()
    clock = Clock.evaluation(1, 1)
    with torch.no_grad():
        torch.testing.assert_close(model(everywhere, clock), model(batch, clock), rtol=0, atol=0)
