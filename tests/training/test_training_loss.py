"""The training loss against formulas written out with `math`, and its gradient against autograd's."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from maskbench.data.padding import real_tokens
from maskbench.data.vocabulary import PAD
from maskbench.training import loss as loss_module
from maskbench.training.loss import (
    Targets,
    backward_through_output,
    loss_with_banned_entries,
    nll_of,
    normalise_weights,
    smoothed_loss,
)

ROWS, VOCAB, WIDTH = 7, 11, 5


def scores(rows: int = ROWS, vocab: int = VOCAB, seed: int = 0) -> Tensor:
    return torch.randn(rows, vocab, generator=torch.Generator().manual_seed(seed)) * 3


def targets(rows: int = ROWS, smoothing: float = 0.1, weights: list[float] | None = None) -> Targets:
    gold = torch.randint(PAD + 1, VOCAB, (rows,), generator=torch.Generator().manual_seed(rows))
    given = torch.ones(rows) if weights is None else torch.tensor(weights)
    return Targets(gold, normalise_weights(given), smoothing)


def by_hand(logits: Tensor, gold: list[int], weights: list[float], smoothing: float) -> float:
    """Cross-entropy with the smoothed distribution, spelled out entry by entry in double precision."""
    total = 0.0
    for row, right, weight in zip(logits.tolist(), gold, weights, strict=True):
        log_z = math.log(math.fsum(math.exp(x) for x in row))
        spread_over = [v for v in range(len(row)) if v != PAD and row[v] > -math.inf]
        wanted = {v: smoothing / len(spread_over) for v in spread_over}
        wanted[right] += 1 - smoothing
        assert math.isclose(sum(wanted.values()), 1.0)
        total += weight * sum(q * (log_z - row[v]) for v, q in wanted.items())
    return total / sum(weights) if sum(weights) else 0.0


@given(
    smoothing=st.floats(0, 0.9),
    weights=st.lists(st.sampled_from([0.0, 0.25, 1.0]), min_size=ROWS, max_size=ROWS),
)
def test_the_loss_is_the_formula_entry_by_entry(smoothing: float, weights: list[float]) -> None:
    logits, wanted = scores(), targets(smoothing=smoothing, weights=weights)
    expected = by_hand(logits, wanted.gold.tolist(), weights, smoothing)
    assert smoothed_loss(logits, wanted)[0].item() == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert loss_with_banned_entries(logits, wanted).item() == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_banned_entries_get_no_smoothing_and_no_probability() -> None:
    logits, wanted = scores(), targets()
    banned = torch.zeros(ROWS, VOCAB, dtype=torch.bool)
    banned[:, [2, 9]] = True
    banned.scatter_(1, wanted.gold[:, None], torch.zeros_like(wanted.gold, dtype=torch.bool)[:, None])
    logits = logits.masked_fill(banned, -math.inf).requires_grad_()
    value = loss_with_banned_entries(logits, wanted)
    value.backward()  # type: ignore[no-untyped-call]
    assert value.item() == pytest.approx(by_hand(logits, wanted.gold.tolist(), [1.0] * ROWS, 0.1), rel=1e-5)
    assert logits.grad is not None and bool((logits.grad[banned] == 0).all())


def test_the_gradient_is_the_one_autograd_finds_for_the_plain_formula() -> None:
    wanted = targets(weights=[1.0, 0.0, 2.0, 1.0, 0.5, 0.0, 1.0])
    grads = []
    for fast in (True, False):
        logits = scores().requires_grad_()
        value = smoothed_loss(logits, wanted)[0] if fast else loss_with_banned_entries(logits, wanted)
        torch.autograd.backward(value * 1.7)
        grads.append(logits.grad)
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-5, atol=1e-7)


def test_smoothing_never_rewards_padding() -> None:
    """The gradient at PAD is its probability: no part of the target distribution pulls it up."""
    wanted, logits = targets(smoothing=0.5), scores().requires_grad_()
    torch.autograd.backward(smoothed_loss(logits, wanted)[0])
    assert logits.grad is not None
    expected = logits.detach().softmax(-1)[:, PAD] * wanted.weights
    torch.testing.assert_close(logits.grad[:, PAD], expected, rtol=1e-4, atol=1e-8)


def test_the_reported_nll_knows_neither_smoothing_nor_weights() -> None:
    wanted = targets(smoothing=0.4, weights=[0.0] * (ROWS - 1) + [1.0])
    expected = torch.nn.functional.cross_entropy(scores(), wanted.gold, reduction="none")
    torch.testing.assert_close(smoothed_loss(scores(), wanted)[1], expected)
    torch.testing.assert_close(nll_of(scores(), wanted.gold), expected)


def test_weights_that_are_all_zero_give_no_loss_and_no_gradient() -> None:
    wanted, logits = targets(weights=[0.0] * ROWS), scores().requires_grad_()
    loss, _ = smoothed_loss(logits, wanted)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0.0
    assert logits.grad is not None and not logits.grad.any()


@given(lengths=st.lists(st.integers(0, 6), min_size=1, max_size=5))
def test_real_tokens_are_those_before_the_length(lengths: list[int]) -> None:
    keep = real_tokens(torch.tensor(lengths), 6)
    assert keep.tolist() == [[t < n for t in range(6)] for n in lengths]


def backward_in_pieces(piece: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(5)
    rows = torch.randn(ROWS, WIDTH, generator=generator)
    matrix = torch.randn(VOCAB, WIDTH, generator=generator, requires_grad=True)
    monkeypatch.setattr(loss_module, "SCORES_PER_PIECE", piece)
    loss, nll, grad = backward_through_output(
        rows, lambda x: torch.nn.functional.linear(x, matrix), VOCAB, targets()
    )
    assert matrix.grad is not None
    return loss, nll, grad, matrix.grad


@pytest.mark.parametrize("rows_at_a_time", [1, 2, 3, 6])
def test_pieces_of_any_size_give_the_loss_and_gradients_of_the_whole(
    rows_at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = backward_in_pieces(ROWS * VOCAB, monkeypatch)
    pieces = backward_in_pieces(rows_at_a_time * VOCAB, monkeypatch)
    torch.testing.assert_close(pieces, whole, rtol=1e-5, atol=1e-6)


def test_the_gradient_may_be_used_once_only() -> None:
    logits = scores().requires_grad_()
    loss, _ = smoothed_loss(logits, targets())
    loss.backward(retain_graph=True)  # type: ignore[no-untyped-call]
    with pytest.raises(RuntimeError):
        loss.backward()  # type: ignore[no-untyped-call]


def test_bfloat16_scores_are_summed_in_float32() -> None:
    logits, wanted = scores().bfloat16(), targets()
    loss, nll = smoothed_loss(logits, wanted)
    assert loss.dtype == nll.dtype == torch.float32
    assert loss.item() == pytest.approx(
        by_hand(logits.double(), wanted.gold.tolist(), [1.0] * ROWS, 0.1), rel=1e-5
    )
