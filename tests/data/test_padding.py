"""Which columns of a padded batch hold tokens."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from maskbench.data.padding import are_real, real_tokens


@given(st.lists(st.integers(0, 6), min_size=1, max_size=4), st.integers(0, 6), st.integers(0, 6))
def test_a_column_is_real_as_long_as_its_row_has_tokens_left(lengths, width, start):
    expected = [[True] * min(n, width) + [False] * (width - n) for n in lengths]
    assert real_tokens(torch.tensor(lengths), width).tolist() == expected
    later = are_real(torch.arange(min(start, width), width), torch.tensor(lengths)).tolist()
    assert later == [row[start:] for row in expected]
