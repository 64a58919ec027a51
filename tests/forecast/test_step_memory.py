"""The memory of a step is counted from what autograd keeps."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from maskbench.config.schema.experiment import ModelConfig
from maskbench.data.corpus import Ragged, Split
from maskbench.forecast.step_memory import find_largest_batch, measure_kept, predict_peak


def test_storages_are_counted_once_and_parameters_not() -> None:
    layer, x = nn.Linear(6, 10, bias=False), torch.randn(3, 6)

    def step() -> None:
        inner = layer(x)
        # `sigmoid` keeps its result, the product keeps the same storage and the other factor.
        (inner.sigmoid() * inner.exp()).sum().backward()

    x_bytes, inner_bytes = 3 * 6 * 4, 3 * 10 * 4
    assert measure_kept(step) == (x_bytes + 2 * inner_bytes, inner_bytes)
    assert measure_kept(lambda: None) == (0, 0)


def test_a_peak_grows_with_parameters_and_with_what_is_kept() -> None:
    base = predict_peak(0, 0, 0)
    assert predict_peak(1_000, 0, 0) - base == 16_000
    assert predict_peak(0, 2_000, 100) - base >= 2_300


def test_the_largest_batch_has_many_tokens_or_long_sentences() -> None:
    lengths = np.array([4] * 100 + [100, 2_000])
    rows = Ragged.from_rows([[5] * int(n) for n in lengths])
    split = Split("train", rows, rows, [], [])
    short, middle, long = np.arange(100), np.array([100]), np.array([101])
    model = ModelConfig(d_model=64, n_heads=4, encoder_layers=1, decoder_layers=1, d_ff=256)
    assert find_largest_batch([middle, short], split, model) is short
    assert find_largest_batch([middle, short, long], split, model) is long
    # 499 sentences of 4 tokens have nearly as many tokens; the square of 2,000 decides.
    many = np.resize(short, 499)
    assert find_largest_batch([many, long], split, model) is long
