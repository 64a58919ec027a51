"""Keyed randomness: known answers, and what a draw may and may not depend on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskbench.randomness import (
    Key,
    permutation,
    philox,
    random_bits,
    random_words,
    seed_torch,
    torch_generator,
)

ALL_ONES = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((ALL_ONES,) * 4, (ALL_ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_published_known_answers(counter, key, expected):
    # The known-answer vectors of philox4x32-10 in the Random123 distribution (Salmon et al. 2011).
    folded = Key((*key, 0, counter[3]))
    words = philox(folded, *(np.array([c], dtype=np.int64) for c in counter[:3]))
    assert tuple(int(w[0]) for w in words) == expected


def test_numpy_and_torch_give_the_same_words():
    key = Key.of(7, "mask", "encoder_input")
    a, b, e = np.arange(11)[None], np.full((1, 1), 3), np.arange(5)[:, None] * 1000
    as_numpy = philox(key, a, b, e)
    as_torch = philox(key, *(torch.from_numpy(x) for x in (a, b, e)))
    assert all(np.array_equal(x, y.numpy()) for x, y in zip(as_numpy, as_torch, strict=True))


def test_a_key_is_the_blake2_hash_of_its_parts():
    # printf '%s' '["maskbench/1",3,"order",5]' | b2sum --length 128
    assert Key.of(3, "order", 5).words == (0x3A0EDFDB, 0x86F67F3F, 0xFFF9CC70, 0x85BF7DEF)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_neighbouring_seeds_and_positions_share_no_key(seed, step):
    keys = {Key.of(seed, "dropout", step).words, Key.of(seed + 1, "dropout", step).words}
    keys |= {Key.of(seed, "dropout", step + 1).words, Key.of(seed, "dropout1", step).words}
    assert len(keys) == 4


def test_words_look_uniform():
    n = 40_000
    zero = np.zeros(1, dtype=np.int64)
    words = np.stack(philox(Key.of(1, "x"), np.arange(n), zero, zero)) / 2**32
    standard_error = 1 / np.sqrt(12 * n)
    assert np.all(np.abs(words.mean(1) - 0.5) < 4 * standard_error)
    assert np.abs(np.corrcoef(words)[np.triu_indices(4, 1)]).max() < 4 / np.sqrt(n)


@given(st.integers(0, 60), st.integers(0, 9))
def test_a_permutation_holds_every_item_once(n, seed):
    assert sorted(permutation(Key.of(seed, "order"), n).tolist()) == list(range(n))


def test_leaving_the_last_item_out_keeps_the_order_of_the_rest():
    longer = permutation(Key.of(2, "order"), 30).tolist()
    assert permutation(Key.of(2, "order"), 29).tolist() == [i for i in longer if i != 29]


@given(st.integers(1, 200), st.lists(st.integers(0, 2**20), min_size=1, max_size=4))
def test_rows_of_words_and_bits_are_those_of_single_counters(n: int, rows: list[int]) -> None:
    key, numbers = Key.of(1, "rows", n), np.array(rows, dtype=np.int64)
    words, bits = random_words(key, numbers, n), random_bits(key, numbers, n)
    for i, row in enumerate(rows):
        flat: list[int] = []
        for block in range((n + 3) // 4):
            flat += [int(w[0]) for w in philox(key, *(np.array([c]) for c in (row, block, 0)))]
        assert words[i].tolist() == flat[:n]
        assert bits[i].tolist() == [flat[k // 32] >> (k % 32) & 1 for k in range(n)]


def test_a_generator_is_seeded_by_the_first_word_of_its_key() -> None:
    key = Key.of(3, "order", 5)
    expected = torch.empty(4).normal_(generator=torch.Generator().manual_seed(0x3A0EDFDB))
    assert torch.equal(torch.empty(4).normal_(generator=torch_generator(key)), expected)


def test_dropout_of_every_device_is_seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU, dropout draws from the GPU's generator: two passes with other draws would look like a leak."""
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    seed_torch(3, torch.device("cpu"))
    assert seeded == []
    seed_torch(5, torch.device("cuda", 0))
    assert seeded == [5] and torch.initial_seed() == 5
