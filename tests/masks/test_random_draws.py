"""The random words of a placement's draws."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskbench.masks.random_draws import Draws
from maskbench.randomness import Key


def philox_of_one(key: tuple[int, ...], counter: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Return Philox4x32-10 of one counter in Python's integers, as Salmon et al. 2011 write it."""
    (k0, k1), (c0, c1, c2, c3) = key[:2], counter
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * c0, 1 << 32)
        high1, low1 = divmod(0xCD9E8D57 * c2, 1 << 32)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) % (1 << 32), (k1 + 0xBB67AE85) % (1 << 32)
    return c0, c1, c2, c3


@settings(max_examples=12)
@given(
    examples=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3),
    a=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4),
    b=st.integers(0, 2**32 - 1),
    stream=st.sampled_from(["mask", "schedule"]),
)
def test_words_are_philox_of_key_and_counter(examples: list[int], a: list[int], b: int, stream: str) -> None:
    key = Key.of(7, stream)
    draws = Draws(key, 0, torch.tensor(examples), per_example=True)
    words = draws.words(torch.tensor(a), torch.tensor([b]))
    assert [word.shape for word in words] == [(len(examples), len(a))] * 4
    fold2, fold3 = key.words[2:]
    for i, example in enumerate(examples):
        for j, place in enumerate(a):
            wanted = philox_of_one(key.words, (place, b, example ^ fold2, fold3))
            assert tuple(int(word[i, j]) for word in words) == wanted
