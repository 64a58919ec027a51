"""Entropy and mass of attention rows whose values are known."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskbench.metrics.attention_statistics import attention_mass, attention_shares, normalised_entropy

ALL = torch.ones(1, 4, dtype=torch.bool)


def spread(row: list[float], keep: list[bool] | None = None) -> float:
    weights = torch.tensor([row])
    return float(normalised_entropy(weights, ALL[:, : len(row)] if keep is None else torch.tensor([keep])))


def test_entropy_of_rows_worked_out_by_hand():
    assert spread([0.25, 0.25, 0.25, 0.25]) == pytest.approx(1.0, abs=1e-12)
    assert spread([0.0, 1.0, 0.0, 0.0]) == 0.0
    # Half and half on two of four keys: ln 2 / ln 4.
    assert spread([0.5, 0.0, 0.5, 0.0]) == pytest.approx(0.5, abs=1e-12)
    # 1/2, 1/4, 1/8, 1/8: (1/2 + 2/4 + 3/8 + 3/8) ln 2 / (2 ln 2).
    assert spread([0.5, 0.25, 0.125, 0.125]) == pytest.approx(0.875, abs=1e-12)


def test_entropy_is_measured_against_the_keys_that_are_allowed():
    assert spread([0.5, 0.0, 0.5, 0.0], [True, False, True, False]) == pytest.approx(1.0, abs=1e-12)
    assert spread([0.5, 0.0, 0.5, 0.0], [True, True, True, False]) == pytest.approx(math.log(2) / math.log(3))


def test_weight_on_hidden_keys_counts_them_as_keys():
    assert spread([0.25, 0.25, 0.25, 0.25], [True, True, False, False]) == pytest.approx(1.0, abs=1e-12)


def test_a_row_without_a_choice_or_without_attention_has_no_entropy():
    assert math.isnan(spread([0.0, 1.0, 0.0, 0.0], [False, True, False, False]))
    assert math.isnan(spread([0.0, 0.0, 0.0, 0.0]))
    assert math.isnan(spread([0.0, 0.0], [False, False]))


def test_rows_that_do_not_sum_to_one_are_read_as_shares_of_their_absolute_sum():
    assert attention_shares(torch.tensor([[2.0, -1.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]])).tolist() == [
        [0.5, 0.25, 0.0, 0.25],
        [0.0, 0.0, 0.0, 0.0],
    ]
    assert spread([2.0, -1.0, -1.0, 0.0]) == pytest.approx(0.75, abs=1e-12)


def test_mass_is_the_share_on_the_marked_keys():
    weights = torch.tensor([[[0.1, 0.2, 0.3, 0.4], [1.0, -3.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]])
    found = attention_mass(weights.double(), torch.tensor([False, True, False, True]).expand(1, 3, 4))[
        0
    ].tolist()
    assert found[:2] == pytest.approx([0.6, 0.75])
    assert math.isnan(found[2])


rows = st.lists(st.floats(-4, 4, width=32), min_size=2, max_size=9)


@given(rows, st.floats(0.01, 50), st.randoms(use_true_random=False))
def test_neither_scale_nor_order_nor_what_is_hidden_matters(row, scale, random):
    weights = torch.tensor([row], dtype=torch.float64)
    keep = torch.ones_like(weights, dtype=torch.bool)
    on = torch.tensor([[i % 2 == 0 for i in range(len(row))]])
    order = random.sample(range(len(row)), len(row))
    wider = [
        torch.cat([x, x.new_zeros(1, 3)], 1)[:, [*order, *range(len(row), len(row) + 3)]]
        for x in (
            weights * scale,
            keep,
            on,
        )
    ]
    for plain, other in (
        (normalised_entropy(weights, keep), normalised_entropy(*wider[:2])),
        (attention_mass(weights, on), attention_mass(wider[0], wider[2])),
    ):
        assert float(other) == pytest.approx(float(plain), rel=1e-9, abs=1e-12, nan_ok=True)
        assert math.isnan(float(plain)) == (not any(row)) and not float(plain) < 0 and not float(plain) > 1


@given(st.integers(2, 60), st.sampled_from([torch.float32, torch.float64]))
def test_even_attention_has_entropy_one_and_never_more(n, dtype):
    even = torch.full((1, n), 1.0, dtype=dtype).softmax(-1)
    value = float(normalised_entropy(even, torch.ones(1, n, dtype=torch.bool)))
    assert value <= 1.0 and value == pytest.approx(1.0, abs=1e-12)
