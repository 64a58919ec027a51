"""The best columns of a step's scores: those of a stable sort, whole and in blocks, whatever is equal."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskbench.decoding import best_tokens
from maskbench.decoding.best_tokens import stable_topk

LEVELS = st.sampled_from([-math.inf, -2.5, 0.0, 1.0, 2.0, 3.0])


def sorted_columns(row: list[float], k: int) -> list[int]:
    return sorted(range(len(row)), key=lambda column: -row[column])[:k]


@given(
    st.integers(1, 31).flatmap(
        lambda n: st.tuples(
            st.lists(st.lists(LEVELS, min_size=n, max_size=n), min_size=1, max_size=4), st.integers(1, n)
        )
    ),
    st.sampled_from([2, 3, 5]),
)
def test_the_best_columns_are_those_of_a_stable_sort(case, block):
    rows, k = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(best_tokens, "_BLOCK", block)
        found = stable_topk(torch.tensor(rows), k).tolist()
    assert found == [sorted_columns(row, k) for row in rows]


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("n", [8000, 7919])
def test_a_vocabulary_is_read_in_blocks_with_the_same_result(n, k, monkeypatch):
    generator = torch.Generator().manual_seed(n + k)
    scores = torch.randn(7, n, generator=generator)
    scores[3, [4000, 77]] = 9.0  # equal, in other blocks
    scores[5, : n - 2] = -math.inf  # fewer than five allowed tokens, behind the last whole block
    whole_rows = []
    honest = best_tokens._topk
    monkeypatch.setattr(best_tokens, "_topk", lambda some, k: whole_rows.append(len(some)) or honest(some, k))
    assert stable_topk(scores, k).tolist() == [sorted_columns(row, k) for row in scores.tolist()]
    assert whole_rows == [1 + (k > 1)]  # the others were decided by their blocks
