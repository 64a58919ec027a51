"""Attention in blocks and the fused kernel against the softmax over one matrix."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from maskbench.audit.catalogue import make_catalogue_subjects
from maskbench.audit.proofs import paths
from maskbench.audit.subject import AuditCase
from maskbench.config.schema.experiment import CorpusConfig, ModelConfig, PlacementConfig, RunConfig
from maskbench.masks.block_decision import reason_for_dense
from maskbench.masks.blocks import Block, group_queries, index_of, indices_of
from maskbench.masks.clock import Clock
from maskbench.masks.context import SourceBatch
from maskbench.masks.plan import MaskPlan
from maskbench.model import blocked_attention as kernel
from maskbench.model.attention import AttentionInputs, fused_attention
from maskbench.model.attention_path import AUTO, DENSE_ONLY, PathRules, may_leave_dense
from maskbench.model.blocked_attention import BlockDropout, blocked_attention
from maskbench.model.dropout import Dropout, draw_seed

BATCH, HEADS, HEAD_DIM = 3, 2, 5
CPU = torch.device("cpu")


def tensors(q_len: int, kv_len: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(31 * q_len + kv_len)
    lengths = (q_len, kv_len, kv_len)
    drawn = [torch.randn(BATCH, HEADS, n, HEAD_DIM, generator=generator, dtype=dtype) for n in lengths]
    return [tensor.requires_grad_() for tensor in drawn]


def formula(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    keep: Tensor,
    bias: Tensor | None = None,
    noise: Tensor | float = 1.0,
) -> Tensor:
    """exp(q k / sqrt d + bias) over the kept keys, divided by its sum; nothing where no key is kept."""
    scores = torch.einsum("bhqd,bhkd->bhqk", query, key) / HEAD_DIM**0.5
    powers = torch.exp(scores if bias is None else scores + bias) * keep
    sums = powers.sum(-1, keepdim=True)
    return torch.einsum("bhqk,bhkd->bhqd", powers / (sums + (sums == 0)) * noise, value)


def blocks_of(keep: Tensor, size: int, period: int, bias: Tensor | None = None) -> list[Block]:
    """Blocks with every key that the group's queries keep somewhere, found by walking over the matrix."""
    found = []
    for rows in group_queries(keep.shape[2], size, period, CPU):
        members = indices_of(rows, CPU)
        reached = [k for k in range(keep.shape[3]) if bool(keep[:, :, members, k].any())]
        keys = torch.tensor(reached, dtype=torch.int64)
        own = None if bias is None else bias[:, :, members][..., keys]
        found.append(Block(rows, index_of(keys), keep[:, :, members][..., keys], own))
    return found


@st.composite
def problems(draw: st.DrawFn) -> tuple[Tensor, Tensor | None, int, int]:
    q_len, kv_len = draw(st.integers(1, 9)), draw(st.integers(1, 7))
    shape = (draw(st.sampled_from([1, BATCH])), draw(st.sampled_from([1, HEADS])), q_len, kv_len)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    keep = torch.rand(shape, generator=generator) < draw(st.sampled_from([0.2, 0.6, 1.0]))
    bias = (
        torch.randn(shape[1:], generator=generator, dtype=torch.float64)[None]
        if draw(st.booleans())
        else None
    )
    return keep, bias, draw(st.integers(1, 4)), draw(st.integers(1, 3))


@given(problems())
@settings(max_examples=25)
def test_blocks_give_the_output_and_the_gradients_of_the_formula(problem):
    keep, bias, size, period = problem
    inputs = tensors(*keep.shape[2:])
    blocked = blocked_attention(*inputs, blocks_of(keep, size, period, bias))
    whole = formula(*inputs, keep, bias)
    direction = torch.linspace(-1.0, 2.0, whole.numel(), dtype=whole.dtype).cos().view_as(whole)
    torch.testing.assert_close(blocked, whole, rtol=0, atol=1e-12)
    for mine, theirs in zip(
        torch.autograd.grad(blocked, inputs, direction),
        torch.autograd.grad(whole, inputs, direction),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("factor", [1.0, 1e4])
def test_a_hidden_pair_weighs_exactly_nothing_however_large_its_score_is(factor):
    # Query 1 does not keep key 2, which query 0 of the same block keeps; its score for it is the largest of all.
    keep = torch.tensor([[[[True, True, True], [True, True, False]]]])
    query, key, value = (tensor.detach() for tensor in tensors(2, 3))
    key[:, :, 2] = factor * query[:, :, 1]
    inputs = [tensor.requires_grad_() for tensor in (query, key, value)]
    blocked = blocked_attention(*inputs, [Block(slice(0, 2), slice(0, 3), keep)])
    weights = torch.softmax(query[:, :, 1:] @ key[:, :, :2].mT / HEAD_DIM**0.5, -1)
    torch.testing.assert_close(blocked[:, :, 1:], weights @ value[:, :, :2], rtol=0, atol=1e-12)
    (_, d_key, d_value) = torch.autograd.grad(blocked[:, :, 1].sum(), inputs)
    assert not d_key[:, :, 2].any() and not d_value[:, :, 2].any()
    assert d_key[:, :, :2].any() and d_value[:, :, :2].all()


def test_a_batch_that_is_split_gives_the_same_bits(monkeypatch):
    keep = torch.rand(BATCH, 1, 8, 6, generator=torch.Generator().manual_seed(2)) < 0.5
    inputs, blocks = tensors(8, 6), blocks_of(keep, 3, 1)
    whole = blocked_attention(*inputs, blocks)
    before = torch.autograd.grad(whole.square().sum(), inputs)
    monkeypatch.setattr(kernel, "_MAX_SCORES", 1)
    split = blocked_attention(*inputs, blocks)
    assert torch.equal(split, whole)
    for mine, theirs in zip(torch.autograd.grad(split.square().sum(), inputs), before, strict=True):
        assert torch.equal(mine, theirs)


def test_dropout_drops_the_same_weights_in_both_passes_and_others_under_another_seed():
    keep = torch.rand(1, 1, 8, 6, generator=torch.Generator().manual_seed(5)) < 0.7
    inputs, blocks, p = tensors(8, 6), blocks_of(keep, 3, 1), 0.4
    torch.manual_seed(11)
    dropped = blocked_attention(*inputs, blocks, p)
    torch.manual_seed(11)
    noise = torch.zeros(BATCH, HEADS, 8, 6, dtype=torch.float64)
    draws = BlockDropout(p, draw_seed())
    for number, block in enumerate(blocks):
        rows, keys = indices_of(block.rows, CPU), indices_of(block.keys, CPU)
        own = draws.noise(torch.zeros(BATCH, HEADS, len(rows), len(keys), dtype=torch.float64), number)
        noise[:, :, rows[:, None], keys] = own
    whole = formula(*inputs, keep, noise=noise)
    torch.testing.assert_close(dropped, whole, rtol=0, atol=1e-12)
    for mine, theirs in zip(
        torch.autograd.grad(dropped.square().sum(), inputs),
        torch.autograd.grad(whole.square().sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)
    assert not torch.equal(blocked_attention(*inputs, blocks, p), dropped)
    like = torch.zeros(4, 5)
    assert not torch.equal(draws.noise(like, 0), draws.noise(like, 1))
    kept = noise[keep.expand_as(noise)]
    assert kept.unique().tolist() == [0.0, pytest.approx(1 / 0.6, abs=1e-4)]


def test_half_precision_rounds_and_does_no_more():
    keep = torch.rand(BATCH, HEADS, 8, 6, generator=torch.Generator().manual_seed(3)) < 0.6
    rounded = [tensor.detach().bfloat16().requires_grad_() for tensor in tensors(8, 6)]
    precise = [tensor.detach().double().requires_grad_() for tensor in rounded]
    blocked, whole = blocked_attention(*rounded, blocks_of(keep, 3, 1)), formula(*precise, keep)
    assert blocked.dtype == torch.bfloat16
    torch.testing.assert_close(blocked.double(), whole, rtol=0.02, atol=0.02)
    mine, theirs = (torch.autograd.grad(out.sum(), of) for out, of in ((blocked, rounded), (whole, precise)))
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=0.05, atol=0.05)


@given(problems())
@settings(max_examples=12)
def test_the_fused_kernel_gives_the_formula_and_zeros_for_empty_rows(problem):
    keep = problem[0]
    inputs = tensors(*keep.shape[2:])
    fused, whole = fused_attention(*inputs, keep), formula(*inputs, keep)
    torch.testing.assert_close(fused, whole, rtol=0, atol=1e-12)
    for mine, theirs in zip(
        torch.autograd.grad(fused.square().sum(), inputs),
        torch.autograd.grad(whole.square().sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


WINDOW = PlacementConfig(mask="window", site="encoder_self", options={"radius": 3})
ALIBI = PlacementConfig(mask="alibi", site="encoder_self")


def layer_output(
    placements: tuple[PlacementConfig, ...], rules: PathRules, *, p: float = 0.0, site: str = "encoder_self"
) -> Tensor:
    """One attention layer of 19 tokens, the second sentence shorter, under an arm's plan."""
    subject = next(make_catalogue_subjects(["window"]))
    plan = MaskPlan(placements, seed=4, streams="a", sizes=subject.sizes)
    n, heads = 19, subject.sizes.n_heads
    index, generator = torch.arange(n), torch.Generator().manual_seed(8)
    query, key, value = torch.randn(3, 2, heads, n, 4, generator=generator, dtype=torch.float64)
    source = SourceBatch(torch.full((2, n), 6), torch.tensor([n, 11]), torch.tensor([3, 9]))
    scene = AttentionInputs(
        site, plan, index, index, source, torch.full((2, n), 6), Clock("train", 1, 9), None, rules
    )
    dropout = Dropout(p).train()
    torch.manual_seed(1)
    return scene.attend(0, query, key, value, torch.zeros(2, n, 12, dtype=torch.float64), dropout)


@pytest.mark.parametrize(
    "placements", [(), (WINDOW,), (ALIBI,), (WINDOW, ALIBI)], ids=["none", "window", "alibi", "both"]
)
def test_a_layer_gives_the_same_on_every_path(placements):
    dense = layer_output(placements, DENSE_ONLY)
    for rules in (paths.BLOCKED, paths.FUSED, replace(paths.BLOCKED, rows=7)):
        torch.testing.assert_close(layer_output(placements, rules), dense, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("rules", "p", "called"),
    [
        (AUTO, 0.0, "attend"),
        (replace(AUTO, smallest=19, fused_share=0.9), 0.0, "blocked_attention"),
        (replace(AUTO, smallest=20), 0.0, "attend"),
        (replace(AUTO, smallest=19, fused_share=0.1), 0.0, "fused_attention"),
        (replace(AUTO, smallest=19, fused_share=0.1), 0.3, "blocked_attention"),
        (DENSE_ONLY, 0.0, "attend"),
    ],
)
def test_the_rules_choose_the_path(monkeypatch, rules, p, called):
    from maskbench.model import attention

    names = ("attend", "blocked_attention", "fused_attention")
    calls: list[str] = []
    for name in names:
        own = getattr(attention, name)
        monkeypatch.setattr(
            attention, name, lambda *a, own=own, name=name, **k: (calls.append(name), own(*a, **k))[1]
        )
    narrow = replace(rules, rows=4) if rules is not AUTO else rules
    layer_output((WINDOW,), narrow, p=p)
    assert calls == [called]


@pytest.mark.parametrize(
    ("placement", "reason"),
    [
        (WINDOW, None),
        (ALIBI, None),
        (PlacementConfig(mask="t5_bias", site="encoder_self"), "learns its scores"),
        (PlacementConfig(mask="topk", site="encoder_self", options={"k": 2}), "after the softmax"),
        (
            PlacementConfig(mask="window", site="encoder_self", options={"radius": 3}, apply="renormalise"),
            "apply:",
        ),
        (PlacementConfig(mask="window", site="encoder_self", options={"radius": 3}, layers=(1,)), None),
    ],
    ids=lambda value: value.mask if isinstance(value, PlacementConfig) else None,
)
def test_a_reason_is_given_where_one_matrix_is_needed(placement, reason):
    sizes = next(make_catalogue_subjects(["window"])).sizes
    plan = MaskPlan([placement], seed=4, streams="a", sizes=sizes)
    found = reason_for_dense(plan, "encoder_self", 0, Clock("train", 1, 9))
    assert found is None if reason is None else reason in str(found)
    assert reason_for_dense(plan, "cross", 0, Clock("train", 1, 9)) is None


def test_only_runs_with_long_sentences_leave_the_dense_path():
    auto, dense = ModelConfig(), ModelConfig(attention="dense")
    assert [may_leave_dense(auto, n) for n in (255, 256)] == [False, True]
    assert not may_leave_dense(dense, 4096)


def test_the_setting_is_no_part_of_the_configurations_identity():
    one, other = (
        RunConfig(corpus=CorpusConfig(name="copy"), model=ModelConfig(attention=way)).identity()
        for way in ("auto", "dense")
    )
    assert one == other and "attention" not in one["model"]


def test_a_measuring_observer_sees_every_pair_of_a_mask_in_blocks():
    subject = next(make_catalogue_subjects(["window"]))
    plan = MaskPlan([WINDOW], seed=4, streams="a", sizes=subject.sizes)
    counted = {"kept": 0, "pairs": 0, "calls": 0, "told": 0}

    class Counts:
        reads_decisions, measures_pairs = False, True

        def observe_pattern(self, placed, ctx, keep):
            assert keep is None
            counted["told"] += 1

        def observe_pairs(self, placed, ctx, keep):
            counted["kept"] += int((keep & ctx.request.legal).sum())
            counted["pairs"] += int(ctx.request.legal.expand(2, 1, len(ctx.request.q_idx), -1).sum())
            counted["calls"] += 1

    plan.observer = Counts()  # type: ignore[assignment]
    n, index = 19, torch.arange(19)
    query = torch.zeros(2, subject.sizes.n_heads, n, 4)
    source = SourceBatch(torch.full((2, n), 6), torch.tensor([n, 11]), torch.tensor([3, 9]))
    scene = AttentionInputs(
        "encoder_self", plan, index, index, source, None, Clock("train", 1, 9), None, paths.BLOCKED
    )
    scene.attend(0, query, query, query, torch.zeros(2, n, 12), Dropout(0.0))
    near = [(i, j) for i in range(n) for j in range(n) if abs(i - j) <= 3]
    assert counted["kept"] == len(near) + sum(j < 11 for _, j in near)
    assert counted["pairs"] == n * n + n * 11
    assert counted["calls"] == 5 and counted["told"] == 1


@pytest.mark.parametrize(
    "name", ["window", "drop_attention", "memory_dropout", "document", "bigbird", "mixed_heads"]
)
def test_the_proof_of_the_paths_holds_for_masks_of_every_kind(name):
    for subject in make_catalogue_subjects([name]):
        results = list(paths.attention_paths(AuditCase(subject, torch.float64)))
        assert len(results) == 4 and all(result.passed for result in results), (subject.site, results)


def test_the_proof_of_the_paths_notices_a_block_without_its_last_key(monkeypatch):
    own = kernel._scores
    monkeypatch.setattr(
        kernel, "_scores", lambda q, k, block: own(q, k, block).index_fill_(-1, torch.tensor([0]), -30.0)
    )
    subject = next(make_catalogue_subjects(["window"]))
    assert not all(result.passed for result in paths.attention_paths(AuditCase(subject, torch.float64)))
