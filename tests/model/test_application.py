"""The ways of applying a mask: which are the same, which leak, and by how much."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from maskbench.config.schema.experiment import LEAKING_APPLICATIONS, SMALL_FILL, Application
from maskbench.masks.context import AttentionDecision
from maskbench.model.attention import attend, legal_pairs

OFF = nn.Identity()
B, H, Q, K, D = 2, 3, 4, 6, 5


def tensors(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(  # type: ignore[return-value]
        torch.randn(B, H, n, D, generator=generator, dtype=torch.float64) for n in (Q, K, K)
    )


def keeps(seed: int = 0, share: float = 0.5) -> Tensor:
    """A pattern in which every row keeps something."""
    keep = torch.rand(B, H, Q, K, generator=torch.Generator().manual_seed(seed + 90)) < share
    keep[..., 1] = True
    return keep


def applied(how: Application, seed: int = 0, keep: Tensor | None = None) -> Tensor:
    query, key, value = tensors(seed)
    return attend(query, key, value, AttentionDecision(keeps(seed) if keep is None else keep, apply=how), OFF)


def weights_by_hand(how: str, scores: list[float], keep: list[bool]) -> list[float]:
    """One row, written out."""
    if how == "multiply_scores":
        powers = [math.exp(s if k else 0.0) for s, k in zip(scores, keep, strict=True)]
    elif how == "small_fill":
        top = max(s if k else SMALL_FILL for s, k in zip(scores, keep, strict=True))
        powers = [math.exp((s if k else SMALL_FILL) - top) for s, k in zip(scores, keep, strict=True)]
    else:
        powers = [math.exp(s) for s in scores]
    shares = [p / sum(powers) for p in powers]
    if how in ("raw", "renormalise"):
        shares = [s if k else 0.0 for s, k in zip(shares, keep, strict=True)]
    if how == "renormalise":
        shares = [s / sum(shares) for s in shares]
    return shares


@pytest.mark.parametrize("how", ["renormalise", "raw", "multiply_scores", "small_fill"])
def test_each_way_is_what_its_formula_says(how):
    query, key, value = tensors()
    keep = keeps()
    expected = torch.zeros(B, H, Q, D, dtype=torch.float64)
    for b in range(B):
        for h in range(H):
            for i in range(Q):
                scores = [float(query[b, h, i] @ key[b, h, j]) / math.sqrt(D) for j in range(K)]
                row = weights_by_hand(how, scores, keep[b, h, i].tolist())
                expected[b, h, i] = sum(w * value[b, h, j] for j, w in enumerate(row))
    torch.testing.assert_close(applied(how), expected)


@given(st.integers(0, 400))
def test_renormalising_is_hiding_as_long_as_scores_are_of_unit_scale(seed):
    difference = applied("hard", seed) - applied("renormalise", seed)
    assert difference.abs().max() < 1e-6


def leak(how: Application, amount: float) -> float:
    """The most the output moves when hidden keys and values change."""
    query, key, value = tensors()
    keep = torch.zeros(1, 1, Q, K, dtype=torch.bool)
    keep[..., :3] = True
    decision = AttentionDecision(keep, apply=how)
    before = attend(query, key, value, decision, OFF)
    after = attend(
        query, key + ~keep[0, 0, 0][:, None] * amount, value + ~keep[0, 0, 0][:, None], decision, OFF
    )
    return float((after - before).abs().max())


def test_hiding_leaks_nothing_and_renormalising_only_rounding():
    assert leak("hard", 2.0) == 0.0
    assert leak("renormalise", 2.0) < 1e-12


@pytest.mark.parametrize("how", ["raw", "multiply_scores"])
def test_what_is_hidden_still_counts_in_the_ways_that_leak(how):
    assert leak(how, 2.0) > 1e-3


def test_a_finite_fill_leaks_once_scores_fall_below_it():
    query, key, value = tensors()
    keep = torch.zeros(1, 1, Q, K, dtype=torch.bool)
    keep[..., :3] = True
    # A bias as a model could learn it: every visible score sinks to -15,000.
    sunk = torch.where(keep, -15_000.0, 0.0).double()
    seen = [
        attend(query, key, value + shift, AttentionDecision(keep, bias=sunk, apply="small_fill"), OFF)
        for shift in (0.0, ~keep[0, 0, 0][:, None] * 1.0)
    ]
    torch.testing.assert_close(seen[1] - seen[0], torch.ones_like(seen[0]))
    assert leak("small_fill", 2.0) == 0.0


def test_a_fill_next_to_nothing_hides_nothing() -> None:
    """The published -1e-12: a hidden key gets the share of a score of 0."""
    query, key, value = (torch.zeros(1, 1, 1, 4), torch.zeros(1, 1, 4, 4), torch.eye(4)[None, None])
    keep = torch.tensor([True, False, False, False])[None, None, None]
    for fill, shares in (
        (-1e-12, [0.25] * 4),
        (-math.log(3), [0.5] + [1 / 6] * 3),
        (SMALL_FILL, [1.0, 0, 0, 0]),
    ):
        found = attend(query, key, value, AttentionDecision(keep, apply="small_fill", fill=fill), OFF)
        assert found.flatten().tolist() == pytest.approx(shares)


@pytest.mark.parametrize("how", ["hard", "renormalise", "raw"])
def test_a_row_without_anything_to_see_is_zero_with_finite_gradients(how):
    query, key, value = (t.requires_grad_() for t in tensors())
    keep = keeps()
    keep[0, :, 2] = False
    context = attend(query, key, value, AttentionDecision(keep, apply=how), OFF)
    assert bool((context[0, :, 2] == 0).all())
    context.square().sum().backward()
    for tensor in (query, key, value):
        assert tensor.grad is not None and bool(tensor.grad.isfinite().all())


def test_hiding_everything_gives_zeros_and_hiding_nothing_gives_plain_attention():
    nothing, everything = torch.zeros(1, 1, Q, K, dtype=torch.bool), torch.ones(1, 1, Q, K, dtype=torch.bool)
    assert bool((applied("hard", keep=nothing) == 0).all())
    plain = applied("hard", keep=everything)
    ways: tuple[Application, ...] = ("renormalise", *LEAKING_APPLICATIONS)
    for how in ways:
        torch.testing.assert_close(applied(how, keep=everything), plain)


@given(st.integers(1, 6), st.integers(1, 6), st.sampled_from(["full", "no_causal", "no_padding", "none"]))
def test_each_part_of_legality_can_be_switched_off(q_len, kv_len, parts):
    q_idx, kv_idx, lengths = torch.arange(q_len), torch.arange(kv_len), torch.tensor([1, 3, kv_len])
    own = legal_pairs("decoder_self", q_idx, kv_idx, None, parts).expand(1, 1, q_len, kv_len)
    causal = parts in ("full", "no_padding")
    assert own[0, 0].tolist() == [[j <= i or not causal for j in range(kv_len)] for i in range(q_len)]
    cross = legal_pairs("cross", q_idx, kv_idx, lengths, parts)
    padding = parts in ("full", "no_causal")
    expected = [[[[j < n or not padding for j in range(kv_len)]]] for n in lengths.tolist()]
    assert cross.tolist() == expected
