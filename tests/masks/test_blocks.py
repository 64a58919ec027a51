"""Blocks contain exactly the kept pairs, in groups that cover every query once."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from maskbench.masks.block_cache import BlockCache
from maskbench.masks.blocks import (
    Block,
    crop_blocks,
    derive_blocks,
    group_queries,
    index_length,
    indices_of,
    restrict_blocks,
    share_of_pairs,
)

CPU = torch.device("cpu")


def pattern_of(keep: Tensor):
    """The pattern function of one written-out matrix."""
    return lambda rows, kv: keep[:, :, rows][..., kv]


def written_out(blocks: list[Block], shape: torch.Size) -> Tensor:
    """The kept pairs of blocks as one matrix, pair by pair; a query that comes twice is an error."""
    keep = torch.zeros(shape, dtype=torch.bool)
    seen: list[int] = []
    for block in blocks:
        rows, keys = indices_of(block.rows, CPU).tolist(), indices_of(block.keys, CPU).tolist()
        seen += rows
        for r, row in enumerate(rows):
            for k, column in enumerate(keys):
                inside = True if block.keep is None else block.keep.expand(*shape[:2], -1, -1)[:, :, r, k]
                keep[:, :, row, column] = inside
    assert sorted(seen) == list(range(shape[2]))
    return keep


@st.composite
def patterns(draw: st.DrawFn, square: bool = False) -> Tensor:
    q_len = draw(st.integers(1, 9))
    kv_len = q_len if square else draw(st.integers(1, 11))
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 3)), q_len, kv_len)
    seed, share = draw(st.integers(0, 99)), draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < share


@given(patterns(), st.integers(1, 4), st.integers(1, 3))
@settings(max_examples=60)
def test_blocks_are_the_pattern_and_hold_no_key_that_nobody_keeps(keep, size, period):
    blocks = derive_blocks(
        pattern_of(keep), group_queries(keep.shape[2], size, period, CPU), keep.shape[3], CPU
    )
    assert torch.equal(written_out(blocks, keep.shape), keep)
    for block in blocks:
        assert index_length(block.rows) <= size
        if (
            isinstance(block.rows, slice)
            and isinstance(block.keys, slice)
            and index_length(block.keys) < keep.shape[3]
        ):
            # Nothing but the kept keys stays in memory.
            assert block.n_bytes == (0 if block.keep is None else block.keep.numel())
        if block.keep is not None:
            assert block.keep.any(2).flatten(0, 1).any(0).all()
    pairs = sum(len(indices_of(b.rows, CPU)) * len(indices_of(b.keys, CPU)) for b in blocks)
    assert share_of_pairs(blocks, *keep.shape[2:]) == pairs / (keep.shape[2] * keep.shape[3])


@given(patterns(), st.integers(1, 4), st.integers(0, 3), st.integers(0, 3))
@settings(max_examples=60)
def test_a_cropped_pattern_is_its_corner(keep, size, fewer_queries, fewer_keys):
    q_len, kv_len = max(1, keep.shape[2] - fewer_queries), max(1, keep.shape[3] - fewer_keys)
    for period in (1, 2):
        groups = group_queries(keep.shape[2], size, period, CPU)
        blocks = crop_blocks(derive_blocks(pattern_of(keep), groups, keep.shape[3], CPU), q_len, kv_len)
        corner = keep[:, :, :q_len, :kv_len]
        assert torch.equal(written_out(blocks, corner.shape), corner)


@given(patterns(), st.integers(0, 99), st.integers(1, 4))
@settings(max_examples=60)
def test_a_restriction_keeps_what_both_patterns_keep(keep, seed, size):
    also = torch.rand(keep.shape, generator=torch.Generator().manual_seed(seed)) < 0.4
    blocks = derive_blocks(pattern_of(keep), group_queries(keep.shape[2], size, 2, CPU), keep.shape[3], CPU)
    both = restrict_blocks(blocks, pattern_of(also), CPU)
    assert torch.equal(written_out(both, keep.shape), keep & also)


def test_queries_of_one_residue_share_a_group():
    groups = [indices_of(g, CPU).tolist() for g in group_queries(8, 2, 3, CPU)]
    assert groups == [[0, 3], [6], [1, 4], [7], [2, 5]]


def test_the_cache_computes_once_and_forgets_the_oldest_beyond_its_size():
    cache, computed = BlockCache(limit=2 * 605), []

    def blocks_of(name: str) -> list[Block]:
        computed.append(name)
        # 49 bytes of pairs, 56 of indices, and 500 for the object.
        return [Block(torch.arange(7), slice(0, 7), torch.ones(1, 1, 7, 7, dtype=torch.bool))]

    for name in ("a", "b", "a", "c", "a", "b"):
        cache.get(name, lambda name=name: blocks_of(name))
    assert computed == ["a", "b", "c", "b"]
