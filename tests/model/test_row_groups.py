"""Rows that share the keys of their sentence: the products of rows that have keys of their own."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskbench.model.row_groups import RowGroups


@settings(max_examples=60)
@given(
    st.integers(1, 5).flatmap(
        lambda n: st.tuples(st.just(n), st.lists(st.integers(0, n - 1), min_size=1, max_size=9))
    ),
    st.integers(1, 3),
)
def test_products_are_those_of_each_row_with_its_own_sentence(case, q):
    n, sentences = case
    generator = torch.Generator().manual_seed(n * 100 + len(sentences))
    rows = torch.randn(len(sentences), 2, q, 4, generator=generator, dtype=torch.float64)
    shared = torch.randn(n, 2, 4, 6, generator=generator, dtype=torch.float64)
    groups = RowGroups.of(torch.tensor(sentences), n)
    if groups is None:
        assert sentences == list(range(n))
        return
    product = groups.multiply(rows, shared)
    assert product.shape == (len(sentences), 2, q, 6)
    for i, sentence in enumerate(sentences):
        expected = torch.einsum("hqn,hnm->hqm", rows[i], shared[sentence])
        torch.testing.assert_close(product[i], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("sentences", "n", "width", "slots"),
    [
        ([0, 0, 1, 1, 2, 2], 3, 2, None),
        ([0, 0, 1, 2, 2], 3, 2, [0, 1, 2, 4, 5]),
        ([0, 0, 2, 2], 3, 2, [0, 1, 4, 5]),
        ([1, 0], 2, 1, [1, 0]),
        ([1, 0, 1, 1], 2, 3, [3, 0, 4, 5]),
    ],
)
def test_a_full_table_of_rows_is_not_copied(sentences, n, width, slots):
    groups = RowGroups.of(torch.tensor(sentences), n)
    assert groups is not None and groups.width == width and groups.n_sentences == n
    assert (None if groups.slots is None else groups.slots.tolist()) == slots


def test_one_row_a_sentence_in_order_needs_no_groups():
    assert RowGroups.of(torch.arange(4), 4) is None
    assert RowGroups.of(torch.arange(3), 4) is not None  # a sentence is without a row
